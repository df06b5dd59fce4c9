"""The figures of every customer over a range, kept: after a commit only its customers' are made anew."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from storage.changes import Mark
from storage.contract import PackedCounts, Storage
from storage.statistics import Statistics, figures_of_each
from storage.tally import merge_each

_RANGES_KEPT = 4
_CUSTOMERS_AT_ONCE = 200


@dataclass(slots=True)
class _Kept:
    """The figures over one range as the store had them after the commit `mark`, or later."""

    figures: Mapping[str, Statistics] = field(default_factory=dict)
    mark: Mark | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class CustomerFigures:
    """Keeps the figures over the ranges that were asked for last: some hundred bytes a customer, and no counts."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._ranges: OrderedDict[range, _Kept] = OrderedDict()

    async def over(self, days: range) -> Mapping[str, Statistics]:
        """The figures over these days of each customer that has requests in them, with all that was committed before
        the call. What is handed out does not change any more."""
        if not days:
            return {}
        kept = self._ranges.setdefault(days, _Kept())
        self._ranges.move_to_end(days)
        if len(self._ranges) > _RANGES_KEPT:
            self._ranges.popitem(last=False)
        async with kept.lock:
            # Asked before the counts are: they can be further than the mark, never behind it.
            changes = await self._storage.changes(kept.mark)
            if changes.customers is None:
                figures = await self._figures(await self._storage.customer_names(), days)
            elif changes.customers:
                new = await self._figures(sorted(changes.customers), days)
                unchanged = kept.figures.keys() - changes.customers
                figures = {**{customer: kept.figures[customer] for customer in unchanged}, **new}
            else:
                figures = kept.figures
            kept.figures, kept.mark = figures, changes.mark
            return figures

    async def _figures(self, customers: Sequence[str], days: range) -> Mapping[str, Statistics]:
        figures: dict[str, Statistics] = {}
        for first in range(0, len(customers), _CUSTOMERS_AT_ONCE):
            part = customers[first : first + _CUSTOMERS_AT_ONCE]
            counts = await self._storage.packed_customers(part, days[0], days[-1])
            figures.update(await asyncio.to_thread(_figures_of, counts))
        return figures


def _figures_of(counts: Mapping[str, Sequence[PackedCounts]]) -> dict[str, Statistics]:
    if not counts:
        return {}
    return dict(zip(counts, figures_of_each(merge_each(list(counts.values()))), strict=True))
