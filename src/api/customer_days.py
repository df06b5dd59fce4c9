"""The counts of single customers over ranges of days, kept: after a commit only the days that it changed are read
again."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from api.dates import to_date
from api.models import DayStatistics
from api.recent_changes import RecentChanges, likely_to_change
from storage.contract import PackedCounts, Storage
from storage.statistics import figures
from storage.tally import Tally, compact, merge, tally_of

# Some hundred kilobytes each at most.
_RANGES_KEPT = 1_000
_CUSTOMERS_AT_ONCE = 200
# Those who waited for the same rows make their answers in turns: else the first one is sent when the last one is made.
_ANSWERS_A_TURN = 8

_NOTHING = merge([])

_RowsOfCustomers = dict[str, dict[int, PackedCounts]]


@dataclass(frozen=True, slots=True)
class RangeCounts:
    """The counts over a range of days."""

    daily: Mapping[int, DayStatistics] = field(default_factory=dict)
    """Each day that has requests, in order."""
    apart: Mapping[int, Tally] = field(default_factory=dict)
    """The counts of the days that are likely to change next; those without requests included."""
    rest: Tally = _NOTHING
    """The counts of all other days together."""

    def together(self) -> Tally:
        """The counts of all days."""
        return merge([self.rest, *self.apart.values()])


class CustomerDays:
    """Keeps the counts of the customers and ranges that were asked for last."""

    def __init__(self, storage: Storage, recent: RecentChanges) -> None:
        self._storage = storage
        self._recent = recent
        self._rows = _RowsTogether(storage)
        self._ranges: OrderedDict[tuple[str | None, range], _Range] = OrderedDict()

    async def over(self, customer: str | None, days: range) -> RangeCounts:
        """The counts of a customer, or of all together (None), over these days, with all changes that the latest look
        has found."""
        if not days:
            return RangeCounts()
        key = customer, days
        if key not in self._ranges:
            self._ranges[key] = _Range(self._storage, self._recent, self._rows, customer, days)
        self._ranges.move_to_end(key)
        if len(self._ranges) > _RANGES_KEPT:
            self._ranges.popitem(last=False)
        return await self._ranges[key].counts()


class _Range:
    """The counts of one customer over one range."""

    def __init__(
        self, storage: Storage, recent: RecentChanges, rows: "_RowsTogether", customer: str | None, days: range
    ) -> None:
        self._storage = storage
        self._recent = recent
        self._rows = rows
        self._customer = customer
        self._days = days
        self._look = -1
        """The number of the look after which the counts were read."""
        self._kept = RangeCounts()

    async def counts(self) -> RangeCounts:
        if self._look >= self._recent.latest(self._customer):
            return self._kept
        # Taken before the counts are read, which may be further than this look, but not behind it.
        look = self._recent.number
        counts = await self._read()
        if look > self._look:
            self._look, self._kept = look, counts
        return counts

    async def _read(self) -> RangeCounts:
        changed = self._recent.days_since(self._look)
        if changed is not None:
            changed = changed.intersection(self._days)
            if changed <= self._kept.apart.keys():
                return await self._with_days_read_again(self._kept, changed)
        return await self._read_all()

    async def _read_all(self) -> RangeCounts:
        rows = await self._storage.packed_days(self._customer, self._days[0], self._days[-1])
        tallies = {day: tally_of(rows[day]) for day in sorted(rows)}
        apart = likely_to_change(self._days)
        return RangeCounts(
            {day: _day_statistics(day, tally) for day, tally in tallies.items()},
            {day: tallies.get(day, _NOTHING) for day in apart},
            compact(merge([tally for day, tally in tallies.items() if day not in apart])),
        )

    async def _with_days_read_again(self, kept: RangeCounts, days: frozenset[int]) -> RangeCounts:
        if not days:
            return kept
        rows = await self._rows.read(self._customer, range(min(days), max(days) + 1))
        read = {day: tally_of(row) for day, row in rows.items() if day in days}
        daily = {**kept.daily, **{day: _day_statistics(day, tally) for day, tally in read.items()}}
        if len(daily) > len(kept.daily):
            daily = dict(sorted(daily.items()))
        return RangeCounts(daily, {**kept.apart, **read}, kept.rest)


@dataclass(slots=True)
class _Batch:
    """A question that has not been asked yet."""

    answer: "asyncio.Task[_RowsOfCustomers]"
    customers: set[str] = field(default_factory=set)


class _RowsTogether:
    """Reads the same days of many customers in one question, for all who wait."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._next: dict[range, _Batch] = {}
        self._under_way: asyncio.Task[_RowsOfCustomers] | None = None

    async def read(self, customer: str | None, days: range) -> Mapping[int, PackedCounts]:
        """The rows of a customer, or of all together, of these days; asked for after the call."""
        if customer is None:
            return await self._storage.packed_days(None, days[0], days[-1])
        if days not in self._next:
            self._under_way = asyncio.create_task(self._ask_after(self._under_way, days))
            self._next[days] = _Batch(self._under_way)
        batch = self._next[days]
        batch.customers.add(customer)
        turn = len(batch.customers) // _ANSWERS_A_TURN
        # One who leaves does not take the answer from the others.
        rows = await asyncio.shield(batch.answer)
        for _ in range(turn):
            await asyncio.sleep(0)
        return rows.get(customer, {})

    async def _ask_after(self, before: "asyncio.Task[_RowsOfCustomers] | None", days: range) -> "_RowsOfCustomers":
        if before is not None and not before.done():
            await asyncio.wait([before])
        customers = list(self._next.pop(days).customers)
        found: _RowsOfCustomers = {}
        for first in range(0, len(customers), _CUSTOMERS_AT_ONCE):
            part = customers[first : first + _CUSTOMERS_AT_ONCE]
            found.update(await self._storage.packed_customers(part, days[0], days[-1]))
        return found


def _day_statistics(day: int, tally: Tally) -> DayStatistics:
    return DayStatistics(date=to_date(day), **figures(tally)._asdict())
