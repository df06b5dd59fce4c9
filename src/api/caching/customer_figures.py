"""The figures of every customer over a range, kept: after a commit only its customers' are made anew, mostly from the
days that are likely to change and what is kept of all others."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Mapping, Sequence

from api.caching.invalidation_log import InvalidationLog, open_days
from api.caching.listed_rows import ListedRows
from api.caching.single_flight import SingleFlight
from rollups.counts import DailyAggregate
from rollups.figures import Statistics, figures_of_each
from rollups.histogram import merge_each, pack_each
from storage.contract import Storage

_RANGES_KEPT = 4
_CUSTOMERS_AT_ONCE = 20
# Of few days.
_CUSTOMERS_AGAIN_AT_ONCE = 100
# Of a range.
_CHARACTERS_OF_RESTS = 32 << 20

_Figures = Mapping[str, Statistics]
_Rows = Mapping[str, Mapping[int, DailyAggregate]]


class CustomerFigures:
    """Keeps the figures over the ranges that were asked for last."""

    def __init__(self, storage: Storage, invalidations: InvalidationLog, listed: ListedRows) -> None:
        """`listed`: is given the rows that are read."""
        self._storage = storage
        self._invalidations = invalidations
        self._listed = listed
        self._ranges: OrderedDict[range, SingleFlight[_Figures]] = OrderedDict()

    async def over(self, days: range) -> _Figures:
        """The figures over these days of each customer that has requests in them, with all changes that the latest look
        has found. What is handed out does not change any more."""
        if not days:
            return {}
        if days not in self._ranges:
            self._ranges[days] = SingleFlight(_Range(self._storage, self._invalidations, self._listed, days).renew)
        self._ranges.move_to_end(days)
        if len(self._ranges) > _RANGES_KEPT:
            self._ranges.popitem(last=False)
        return await self._ranges[days]()


class _Range:
    """The figures over one range."""

    def __init__(self, storage: Storage, invalidations: InvalidationLog, listed: ListedRows, days: range) -> None:
        self._storage = storage
        self._invalidations = invalidations
        self._listed = listed
        self._days = days
        self._look = -1
        """The number of the look after which the counts were read."""
        self._figures: _Figures = {}
        self._rests: dict[str, list[DailyAggregate]] = {}
        """The counts of all days that are not likely to change, in one row or none, of as many customers as there is
        room for."""
        self._characters = 0

    async def renew(self) -> _Figures:
        """The figures as the store has them now."""
        # Taken before the counts are read, which may be further than this look, but not behind it.
        look = self._invalidations.number
        customers, days = self._invalidations.customers_since(self._look), self._invalidations.days_since(self._look)
        if customers is None:
            self._rests.clear()
            self._characters = 0
            self._figures = await self._read(await self._storage.customer_names(), look)
        elif customers:
            is_late = days is None or not days.intersection(self._days) <= set(open_days(self._days))
            known = [] if is_late else [customer for customer in customers if customer in self._rests]
            others = set(customers).difference(known)
            new = {**await self._read_again(known), **await self._read(list(others), look)}
            unchanged = self._figures.keys() - set(customers)
            self._figures = {**{customer: self._figures[customer] for customer in unchanged}, **new}
        self._look = look
        return self._figures

    async def _read(self, customers: Sequence[str], look: int) -> _Figures:
        """The figures of these customers, by reading all their counts after this look."""
        figures: dict[str, Statistics] = {}
        async for rows in self._rows(customers, self._days, _CUSTOMERS_AT_ONCE):
            self._listed.keep(self._days, look, rows)
            rests, new = await asyncio.to_thread(_rests_and_figures_of, rows, open_days(self._days))
            figures.update(new)
            for customer, rest in rests.items():
                self._characters -= _characters(self._rests.pop(customer, []))
                if self._characters < _CHARACTERS_OF_RESTS:
                    self._characters += _characters(rest)
                    self._rests[customer] = rest
        return figures

    async def _read_again(self, customers: Sequence[str]) -> _Figures:
        """The figures of customers whose rests are kept."""
        figures: dict[str, Statistics] = {}
        async for rows in self._rows(customers, open_days(self._days), _CUSTOMERS_AGAIN_AT_ONCE):
            groups = {customer: [*self._rests[customer], *days.values()] for customer, days in rows.items()}
            figures.update(await asyncio.to_thread(_figures_of, groups))
        return figures

    async def _rows(self, customers: Sequence[str], days: range, at_once: int) -> AsyncIterator[_Rows]:
        """The rows of these customers, so many at a time; the next ones are asked for while these are worked on."""
        parts = [customers[first : first + at_once] for first in range(0, len(customers), at_once)]

        def ask(part: Sequence[str]) -> "asyncio.Task[dict[str, dict[int, DailyAggregate]]]":
            return asyncio.create_task(self._storage.customers(part, days[0], days[-1]))

        coming = deque(map(ask, parts[:1]))
        try:
            for place, part in enumerate(parts, start=1):
                found = await coming.popleft()
                coming.extend(map(ask, parts[place : place + 1]))
                yield {customer: found.get(customer, {}) for customer in part}
        finally:
            for task in coming:
                task.cancel()


def _rests_and_figures_of(rows: _Rows, apart: range) -> tuple[dict[str, list[DailyAggregate]], _Figures]:
    """`apart`: the days that are not in the rests."""
    others = {customer: [row for day, row in days.items() if day not in apart] for customer, days in rows.items()}
    together = pack_each(merge_each([of_it for of_it in others.values() if of_it]))
    rests = {customer: [next(together)] if of_it else [] for customer, of_it in others.items()}
    last = {customer: [row for day, row in days.items() if day in apart] for customer, days in rows.items()}
    return rests, _figures_of({customer: [*rest, *last[customer]] for customer, rest in rests.items()})


def _figures_of(groups: Mapping[str, Sequence[DailyAggregate]]) -> _Figures:
    """The figures of those that have any rows."""
    some = {customer: rows for customer, rows in groups.items() if rows}
    return dict(zip(some, figures_of_each(merge_each(list(some.values()))), strict=True)) if some else {}


def _characters(rest: Sequence[DailyAggregate]) -> int:
    return sum(len(row.latencies) for row in rest)
