"""A cache of the figures of all customers over ranges of days. After a commit, only its customers are read.

Without the counts of closed days, which it keeps as well, a page of the list takes 8 times as long after a commit.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from api.caching.figures_table import FiguresTable
from api.caching.invalidation_log import InvalidationLog, open_days
from api.caching.row_cache import RowCache
from api.caching.single_flight import SingleFlight
from rollups.counts import DailyAggregate
from rollups.figures import Figures, figures_of_each
from rollups.histogram import merge_each, pack_each
from service.memory import trim
from storage.contract import Storage
from storage.damage import named_daily, naming
from storage.errors import StorageUnavailable

_MAX_RANGES = 4
# Bound of the customers of all ranges but the last that was asked for. Of more customers only whole ranges are read.
_MAX_CUSTOMERS = 500_000
# How long the last range that was asked for is kept beyond the bounds, in seconds.
_ASKED_SECONDS = 900.0
# How long a range waits for another one that is read, in seconds: its question holds a turn meanwhile.
_WAIT_SECONDS = 5.0
# The fewest customers of one query to the store: for all days of a range, and for its open days. More, up to
# _MOST_CUSTOMERS_PER_QUERY, while the rows of a query have fewer than _CHARACTERS_PER_QUERY.
_CUSTOMERS_PER_QUERY = 20
_CUSTOMERS_PER_QUERY_OF_OPEN_DAYS = 100
_MOST_CUSTOMERS_PER_QUERY = 2_000
_CHARACTERS_PER_QUERY = 1 << 20
# Where more customers than these, and than this share of all, have changed, all rows are read: that is faster.
_NAMED_SHARE = 0.1
# Bound of the closed days' rows of one range: bytes, with those of the objects around a customer's.
_MAX_BYTES = 32 << 20
_OVERHEAD_BYTES = 400
# Bound of the customers with such rows. Of more customers most have few requests, whose rows are read soon.
_MAX_CLOSED = 20_000

_Figures = Mapping[str, Figures]
_Rows = Mapping[str, Mapping[int, DailyAggregate]]


class TooManyCustomers(Exception):
    """So many customers have requests that their figures are read over the days alone that are asked for by default."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"there are more than {most:,} customers, and of so many only the list of the default days is kept"
        )


class CustomerFigures:
    """Caches the figures over the most recently used ranges."""

    def __init__(
        self,
        storage: Storage,
        invalidations: InvalidationLog,
        rows: RowCache,
        max_customers: int = _MAX_CUSTOMERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`rows`: receives the rows that are read."""
        self._storage = storage
        self._invalidations = invalidations
        self._rows = rows
        self._ranges: OrderedDict[range, _CachedRange] = OrderedDict()
        """Least recently used first."""
        self._kept: range | None = None
        self._max_customers = max_customers
        self._clock = clock
        self._customers = 0
        """How many the store has, as far as is known."""
        self._reading = asyncio.Lock()
        """Held by the range whose rows are all read: of a million customers they take a hundred megabytes."""

    def has(self, days: range) -> bool:
        """Whether the figures over these days were read before, or are kept: else all rows have to be read."""
        return not days or days == self._kept or (days in self._ranges and self._ranges[days].was_read)

    def keep(self, days: range) -> None:
        """Keep the figures over these days, however many other ranges are asked for."""
        self._kept = days

    async def over(self, days: range) -> FiguresTable:
        """The figures of each customer that has requests in these days, with all changes that polls have found.

        The result never changes; a later call returns another one. TooManyCustomers if they are not read over these
        days.
        """
        if not days:
            return FiguresTable()
        if days not in self._ranges:
            self._ranges[days] = _CachedRange(self._storage, self._invalidations, self._rows, days, self._turn)
        self._ranges.move_to_end(days)
        cached = self._ranges[days]
        cached.asked = self._clock()
        self._let_go()
        try:
            found = await cached.figures()
        except TooManyCustomers:
            self._ranges.pop(days, None)
            raise
        # Its size is known now.
        self._let_go()
        return found

    @asynccontextmanager
    async def _turn(self, days: range) -> AsyncIterator[Callable[[int], None]]:
        """The turn to read all rows of a range: one range at a time has it. Gives a function to call with how many
        customers were found so far, which raises TooManyCustomers."""
        try:
            await asyncio.wait_for(self._reading.acquire(), None if self._is_default(days) else _WAIT_SECONDS)
        except asyncio.TimeoutError:
            raise StorageUnavailable("Another list of all customers is being read: ask again later") from None

        def found(customers: int) -> None:
            self._customers = max(self._customers, customers)
            if self._customers > self._max_customers and not self._is_default(days):
                raise TooManyCustomers(self._max_customers)

        try:
            found(0)
            yield found
        finally:
            self._reading.release()

    def _is_default(self, days: range) -> bool:
        """Whether these are as many days as are kept, which before midnight are tomorrow's already."""
        return self._kept is None or len(days) == len(self._kept)

    def _let_go(self) -> None:
        """Forget ranges beyond the bounds, the least recently used first.

        Two stay: the kept one, and the last one as long as it is asked for. Before midnight the last one is the one
        that was kept until then.
        """
        others = [days for days in self._ranges if days != self._kept]
        for days in others:
            size = sum(cached.size for cached in self._ranges.values())
            if len(self._ranges) <= _MAX_RANGES and size <= self._max_customers:
                return
            if days == others[-1] and self._clock() < self._ranges[days].asked + _ASKED_SECONDS:
                return
            del self._ranges[days]


class _CachedRange:
    def __init__(
        self,
        storage: Storage,
        invalidations: InvalidationLog,
        rows: RowCache,
        days: range,
        turn: Callable[[range], AbstractAsyncContextManager[Callable[[int], None]]],
    ) -> None:
        """`turn`: see CustomerFigures."""
        self._storage = storage
        self._invalidations = invalidations
        self._rows = rows
        self._days = days
        self._turn = turn
        self.asked = 0.0
        """When it was asked for last (monotonic, s)."""
        self._poll = -1
        """The number of the poll after which the counts were read."""
        self._figures = FiguresTable()
        self.figures: Callable[[], Awaitable[FiguresTable]] = SingleFlight(self._renew)
        """The figures with all changes that polls have found."""
        self._closed: dict[str, list[DailyAggregate]] = {}
        """By customer, as many as there is room for: the counts of all closed days, in one row or none."""
        self._bytes = 0

    @property
    def was_read(self) -> bool:
        return self._poll >= 0

    @property
    def size(self) -> int:
        """How many customers it has."""
        return len(self._figures)

    async def _renew(self) -> FiguresTable:
        """Read what has changed, and return the figures."""
        # Taken before the read: the counts may be newer than this poll, but not older.
        poll = self._invalidations.number
        customers, days = self._invalidations.customers_since(self._poll), self._invalidations.days_since(self._poll)
        are_open = days is not None and days.intersection(self._days) <= set(open_days(self._days))
        known = [customer for customer in customers or () if are_open and customer in self._closed]
        others = set(customers or ()).difference(known)
        if customers is None or len(others) > max(_MOST_CUSTOMERS_PER_QUERY, _NAMED_SHARE * len(self._figures)):
            await self._read_all(poll)
        elif customers:
            parts = [
                part async for part in self._tables(self._read(list(others), self._days, _CUSTOMERS_PER_QUERY), poll)
            ]
            parts.append(FiguresTable.of(await self._read_open_days(known)))
            self._figures = await asyncio.to_thread(self._figures.changed, FiguresTable.joined(parts), customers)
        self._poll = poll
        return self._figures

    async def _read_all(self, poll: int) -> None:
        """Read the figures of all customers, after this poll."""
        self._poll = -1
        self._closed.clear()
        self._bytes = 0
        self._figures = FiguresTable()
        async with self._turn(self._days) as found:
            parts: list[FiguresTable] = []
            customers = 0
            async for part in self._tables(self._storage.daily_of_all_customers(self._days[0], self._days[-1]), poll):
                parts.append(part)
                customers += len(part)
                found(customers)
            self._figures = await asyncio.to_thread(FiguresTable.joined, parts)
            parts.clear()
        await asyncio.to_thread(trim)

    async def _tables(self, read: AsyncIterator[_Rows], poll: int) -> AsyncIterator[FiguresTable]:
        """The figures of customers from their rows of all days, which are read after this poll."""
        async for rows in read:
            self._rows.put(self._days, poll, rows)
            for customer in self._closed.keys() & rows.keys():
                self._bytes -= _bytes(self._closed.pop(customer))
            if not self._has_room:
                # This takes a third of the time, and most of a million customers get here.
                with naming(partial(named_daily, rows)):
                    yield await asyncio.to_thread(_table_of, rows)
                continue
            with naming(partial(named_daily, rows)):
                closed, new = await asyncio.to_thread(_closed_and_figures_of, rows, open_days(self._days))
            for customer, of_customer in closed.items():
                if self._has_room:
                    self._bytes += _bytes(of_customer)
                    self._closed[customer] = of_customer
            yield new

    @property
    def _has_room(self) -> bool:
        """Whether there is room for the counts of another customer's closed days."""
        return self._bytes < _MAX_BYTES and len(self._closed) < _MAX_CLOSED

    async def _read_open_days(self, customers: Sequence[str]) -> _Figures:
        """The figures of these customers, from the cached counts of their closed days and the counts of open days."""
        figures: dict[str, Figures] = {}
        async for rows in self._read(customers, open_days(self._days), _CUSTOMERS_PER_QUERY_OF_OPEN_DAYS):
            groups = {customer: [*self._closed[customer], *days.values()] for customer, days in rows.items()}
            with naming(partial(named_daily, rows)):
                figures.update(await asyncio.to_thread(_figures_of, groups))
        return figures

    async def _read(self, customers: Sequence[str], days: range, per_query: int) -> AsyncIterator[_Rows]:
        """The rows of these customers, a query's at a time. The next query runs while the caller uses the rows."""
        begun, size = 0, per_query

        def query() -> tuple[Sequence[str], "asyncio.Task[_Rows]"] | None:
            nonlocal begun
            part = customers[begun : begun + size]
            begun += len(part)
            return (
                (part, asyncio.create_task(self._storage.daily_of_customers(part, days[0], days[-1]))) if part else None
            )

        running = query()
        try:
            while running is not None:
                part, task = running
                found = await task
                characters = sum(len(row.latencies) for of_customer in found.values() for row in of_customer.values())
                few = characters < _CHARACTERS_PER_QUERY
                size = min(2 * size, _MOST_CUSTOMERS_PER_QUERY) if few else max(size // 2, per_query)
                running = query()
                yield {customer: found.get(customer, {}) for customer in part}
        finally:
            if running is not None:
                running[1].cancel()


def _closed_and_figures_of(rows: _Rows, of_open_days: range) -> tuple[dict[str, list[DailyAggregate]], FiguresTable]:
    """The counts of the closed days, in one row or none, and the figures over all days; both by customer."""
    closed = {
        customer: [row for day, row in days.items() if day not in of_open_days] for customer, days in rows.items()
    }
    packed = pack_each(merge_each([of_customer for of_customer in closed.values() if of_customer]))
    merged = {customer: [next(packed)] if of_customer else [] for customer, of_customer in closed.items()}
    opened = {customer: [row for day, row in days.items() if day in of_open_days] for customer, days in rows.items()}
    figures = _figures_of({customer: [*row, *opened[customer]] for customer, row in merged.items()})
    return merged, FiguresTable.of(figures)


def _table_of(rows: _Rows) -> FiguresTable:
    """The figures over all days."""
    return FiguresTable.of(_figures_of({customer: list(days.values()) for customer, days in rows.items()}))


def _figures_of(groups: Mapping[str, Sequence[DailyAggregate]]) -> _Figures:
    some = {customer: rows for customer, rows in groups.items() if rows}
    return dict(zip(some, figures_of_each(merge_each(list(some.values()))), strict=True)) if some else {}


def _bytes(rows: Sequence[DailyAggregate]) -> int:
    return _OVERHEAD_BYTES + sum(len(row.latencies) for row in rows)
