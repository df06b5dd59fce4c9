"""A cache of the figures of all customers over ranges of days. After a commit, only its customers are read.

Without the counts of closed days, which it keeps as well, a page of the list takes 8 times as long after a commit.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from api.caching.invalidation_log import InvalidationLog, open_days
from api.caching.row_cache import RowCache
from api.caching.single_flight import SingleFlight
from rollups.counts import DailyAggregate
from rollups.figures import Figures, figures_of_each
from rollups.histogram import merge_each, pack_each
from storage.contract import Storage

_MAX_RANGES = 4
# The most customers of one query to the store: for all days of a range, and for its open days.
_CUSTOMERS_PER_QUERY = 20
_CUSTOMERS_PER_QUERY_OF_OPEN_DAYS = 100
# Bound of the closed days' rows of one range: characters.
_MAX_CHARACTERS = 32 << 20

_Figures = Mapping[str, Figures]
_Rows = Mapping[str, Mapping[int, DailyAggregate]]


class CustomerFigures:
    """Caches the figures over the most recently used ranges."""

    def __init__(self, storage: Storage, invalidations: InvalidationLog, rows: RowCache) -> None:
        """`rows`: receives the rows that are read."""
        self._storage = storage
        self._invalidations = invalidations
        self._rows = rows
        self._ranges: OrderedDict[range, _CachedRange] = OrderedDict()
        """Least recently used first."""
        self._kept: range | None = None

    def has(self, days: range) -> bool:
        """Whether the figures over these days were read before, or are kept: else all rows have to be read."""
        return not days or days == self._kept or (days in self._ranges and self._ranges[days].was_read)

    def keep(self, days: range) -> None:
        """Keep the figures over these days, however many other ranges are asked for."""
        self._kept = days

    async def over(self, days: range) -> _Figures:
        """The figures of each customer that has requests in these days, with all changes that polls have found.

        The result never changes; a later call returns another one.
        """
        if not days:
            return {}
        if days not in self._ranges:
            self._ranges[days] = _CachedRange(self._storage, self._invalidations, self._rows, days)
        self._ranges.move_to_end(days)
        if len(self._ranges) > _MAX_RANGES:
            del self._ranges[next(oldest for oldest in self._ranges if oldest != self._kept)]
        return await self._ranges[days].figures()


class _CachedRange:
    """The figures over one range."""

    def __init__(self, storage: Storage, invalidations: InvalidationLog, rows: RowCache, days: range) -> None:
        self._storage = storage
        self._invalidations = invalidations
        self._rows = rows
        self._days = days
        self._poll = -1
        """The number of the poll after which the counts were read."""
        self._figures: _Figures = {}
        self.figures: Callable[[], Awaitable[_Figures]] = SingleFlight(self._renew)
        """The figures with all changes that polls have found."""
        self._closed: dict[str, list[DailyAggregate]] = {}
        """By customer, as many as there is room for: the counts of all closed days, in one row or none."""
        self._characters = 0

    @property
    def was_read(self) -> bool:
        """Whether all rows were read before."""
        return self._poll >= 0

    async def _renew(self) -> _Figures:
        """Read what has changed, and return the figures."""
        # Taken before the read: the counts may be newer than this poll, but not older.
        poll = self._invalidations.number
        customers, days = self._invalidations.customers_since(self._poll), self._invalidations.days_since(self._poll)
        if customers is None:
            self._closed.clear()
            self._characters = 0
            self._figures = await self._read_all_days(await self._storage.customer_names(), poll)
        elif customers:
            are_open = days is not None and days.intersection(self._days) <= set(open_days(self._days))
            known = [customer for customer in customers if customer in self._closed] if are_open else []
            others = set(customers).difference(known)
            new = {**await self._read_open_days(known), **await self._read_all_days(list(others), poll)}
            unchanged = self._figures.keys() - set(customers)
            self._figures = {**{customer: self._figures[customer] for customer in unchanged}, **new}
        self._poll = poll
        return self._figures

    async def _read_all_days(self, customers: Sequence[str], poll: int) -> _Figures:
        """The figures of these customers, from all their counts, read after this poll."""
        figures: dict[str, Figures] = {}
        async for rows in self._read(customers, self._days, _CUSTOMERS_PER_QUERY):
            self._rows.put(self._days, poll, rows)
            closed, new = await asyncio.to_thread(_closed_and_figures_of, rows, open_days(self._days))
            figures.update(new)
            for customer, of_customer in closed.items():
                self._characters -= _characters(self._closed.pop(customer, []))
                if self._characters < _MAX_CHARACTERS:
                    self._characters += _characters(of_customer)
                    self._closed[customer] = of_customer
        return figures

    async def _read_open_days(self, customers: Sequence[str]) -> _Figures:
        """The figures of these customers, from the cached counts of their closed days and the counts of open days."""
        figures: dict[str, Figures] = {}
        async for rows in self._read(customers, open_days(self._days), _CUSTOMERS_PER_QUERY_OF_OPEN_DAYS):
            groups = {customer: [*self._closed[customer], *days.values()] for customer, days in rows.items()}
            figures.update(await asyncio.to_thread(_figures_of, groups))
        return figures

    async def _read(self, customers: Sequence[str], days: range, per_query: int) -> AsyncIterator[_Rows]:
        """The rows of these customers, a query's at a time. The next query runs while the caller uses the rows."""
        parts = [customers[first : first + per_query] for first in range(0, len(customers), per_query)]

        def query(part: Sequence[str]) -> "asyncio.Task[dict[str, dict[int, DailyAggregate]]]":
            return asyncio.create_task(self._storage.customers(part, days[0], days[-1]))

        running = deque(map(query, parts[:1]))
        try:
            for following, part in enumerate(parts, start=1):
                found = await running.popleft()
                running.extend(map(query, parts[following : following + 1]))
                yield {customer: found.get(customer, {}) for customer in part}
        finally:
            for task in running:
                task.cancel()


def _closed_and_figures_of(rows: _Rows, of_open_days: range) -> tuple[dict[str, list[DailyAggregate]], _Figures]:
    """The counts of the closed days, in one row or none, and the figures over all days; both by customer."""
    closed = {
        customer: [row for day, row in days.items() if day not in of_open_days] for customer, days in rows.items()
    }
    packed = pack_each(merge_each([of_customer for of_customer in closed.values() if of_customer]))
    merged = {customer: [next(packed)] if of_customer else [] for customer, of_customer in closed.items()}
    opened = {customer: [row for day, row in days.items() if day in of_open_days] for customer, days in rows.items()}
    return merged, _figures_of({customer: [*row, *opened[customer]] for customer, row in merged.items()})


def _figures_of(groups: Mapping[str, Sequence[DailyAggregate]]) -> _Figures:
    """The figures of each customer that has rows."""
    some = {customer: rows for customer, rows in groups.items() if rows}
    return dict(zip(some, figures_of_each(merge_each(list(some.values()))), strict=True)) if some else {}


def _characters(rows: Sequence[DailyAggregate]) -> int:
    return sum(len(row.latencies) for row in rows)
