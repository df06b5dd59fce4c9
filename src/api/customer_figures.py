"""The figures of every customer over a range, kept: after a commit only its customers' are made anew."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from api.sharing import SharedQuestion
from storage.changes import Mark
from storage.contract import PackedCounts, Storage
from storage.statistics import Statistics, figures_of_each
from storage.tally import merge_each

_RANGES_KEPT = 4
_CUSTOMERS_AT_ONCE = 200

_Figures = Mapping[str, Statistics]


class CustomerFigures:
    """Keeps the figures over the ranges that were asked for last: some hundred bytes a customer, and no counts."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._ranges: OrderedDict[range, SharedQuestion[_Figures]] = OrderedDict()

    async def over(self, days: range) -> _Figures:
        """The figures over these days of each customer that has requests in them, with all that was committed before
        the call. What is handed out does not change any more."""
        if not days:
            return {}
        if days not in self._ranges:
            self._ranges[days] = SharedQuestion(_Range(self._storage, days).renew)
        self._ranges.move_to_end(days)
        if len(self._ranges) > _RANGES_KEPT:
            self._ranges.popitem(last=False)
        return await self._ranges[days]()


class _Range:
    """The figures over one range as the store had them after the commit `mark`, or later."""

    def __init__(self, storage: Storage, days: range) -> None:
        self._storage = storage
        self._days = days
        self._mark: Mark | None = None
        self._kept: _Figures = {}

    async def renew(self) -> _Figures:
        """The figures as the store has them now."""
        # Asked before the counts are: they can be further than the mark, never behind it.
        changes = await self._storage.changes(self._mark)
        if changes.customers is None:
            self._kept = await self._figures(await self._storage.customer_names())
        elif changes.customers:
            new = await self._figures(sorted(changes.customers))
            unchanged = self._kept.keys() - changes.customers
            self._kept = {**{customer: self._kept[customer] for customer in unchanged}, **new}
        self._mark = changes.mark
        return self._kept

    async def _figures(self, customers: Sequence[str]) -> _Figures:
        figures: dict[str, Statistics] = {}
        for first in range(0, len(customers), _CUSTOMERS_AT_ONCE):
            part = customers[first : first + _CUSTOMERS_AT_ONCE]
            counts = await self._storage.packed_customers(part, self._days[0], self._days[-1])
            figures.update(await asyncio.to_thread(_figures_of, counts))
        return figures


def _figures_of(counts: Mapping[str, Sequence[PackedCounts]]) -> _Figures:
    if not counts:
        return {}
    return dict(zip(counts, figures_of_each(merge_each(list(counts.values()))), strict=True))
