"""The figures of every customer over a range, kept: after a commit only its customers' are made anew."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from api.recent_changes import RecentChanges
from api.sharing import SharedQuestion
from storage.contract import PackedCounts, Storage
from storage.statistics import Statistics, figures_of_each
from storage.tally import merge_each

_RANGES_KEPT = 4
_CUSTOMERS_AT_ONCE = 200

_Figures = Mapping[str, Statistics]


class CustomerFigures:
    """Keeps the figures over the ranges that were asked for last: some hundred bytes a customer, and no counts."""

    def __init__(self, storage: Storage, recent: RecentChanges) -> None:
        self._storage = storage
        self._recent = recent
        self._ranges: OrderedDict[range, SharedQuestion[_Figures]] = OrderedDict()

    async def over(self, days: range) -> _Figures:
        """The figures over these days of each customer that has requests in them, with all changes that the latest look
        has found. What is handed out does not change any more."""
        if not days:
            return {}
        if days not in self._ranges:
            self._ranges[days] = SharedQuestion(_Range(self._storage, self._recent, days).renew)
        self._ranges.move_to_end(days)
        if len(self._ranges) > _RANGES_KEPT:
            self._ranges.popitem(last=False)
        return await self._ranges[days]()


class _Range:
    """The figures over one range."""

    def __init__(self, storage: Storage, recent: RecentChanges, days: range) -> None:
        self._storage = storage
        self._recent = recent
        self._days = days
        self._look = -1
        """The number of the look after which the counts were read."""
        self._kept: _Figures = {}

    async def renew(self) -> _Figures:
        """The figures as the store has them now."""
        # Taken before the counts are read, which may be further than this look, but not behind it.
        look = self._recent.number
        changed = self._recent.customers_since(self._look)
        if changed is None:
            self._kept = await self._figures(await self._storage.customer_names())
        elif changed:
            new = await self._figures(changed)
            unchanged = self._kept.keys() - set(changed)
            self._kept = {**{customer: self._kept[customer] for customer in unchanged}, **new}
        self._look = look
        return self._kept

    async def _figures(self, customers: Sequence[str]) -> _Figures:
        figures: dict[str, Statistics] = {}
        for first in range(0, len(customers), _CUSTOMERS_AT_ONCE):
            part = customers[first : first + _CUSTOMERS_AT_ONCE]
            rows = await self._storage.packed_customers(part, self._days[0], self._days[-1])
            figures.update(await asyncio.to_thread(_figures_of, rows))
        return figures


def _figures_of(rows: Mapping[str, Mapping[int, PackedCounts]]) -> _Figures:
    if not rows:
        return {}
    groups = [list(days.values()) for days in rows.values()]
    return dict(zip(rows, figures_of_each(merge_each(groups)), strict=True))
