"""The counts of single customers over ranges of days, kept: after a commit only the days that it changed are read
again."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, takewhile

from api.caching.invalidation_log import InvalidationLog, open_days
from api.caching.listed_rows import ListedRows
from api.caching.single_flight import SingleFlight
from api.schemas.statistics import DayStatistics
from api.utc import to_date
from rollups.counts import DailyAggregate
from rollups.figures import figures_of_each
from rollups.histogram import Histogram, histograms_of, merge, merge_for_good
from storage.contract import Storage

# Some hundred kilobytes each at most.
_RANGES_KEPT = 1_000
_CUSTOMERS_AT_ONCE = 200

_NOTHING = merge([])

_CountsOfDay = tuple[Histogram, DayStatistics]
_RowsOfCustomers = dict[str | None, dict[int, DailyAggregate]]


@dataclass(frozen=True, slots=True)
class RangeCounts:
    """The counts over a range of days."""

    daily: Mapping[int, DayStatistics] = field(default_factory=dict)
    """Each day that has requests, in order."""
    apart: Mapping[int, Histogram] = field(default_factory=dict)
    """The counts of the days that are likely to change next; those without requests included."""
    rest: Histogram = _NOTHING
    """The counts of all other days together."""

    def together(self) -> Histogram:
        """The counts of all days."""
        return merge([self.rest, *self.apart.values()])


class CustomerDays:
    """Keeps the counts of the customers and ranges that were asked for last."""

    def __init__(self, storage: Storage, invalidations: InvalidationLog, listed: ListedRows) -> None:
        """`listed`: has the rows that others have read, which answer until they are out of date."""
        self._storage = storage
        self._invalidations = invalidations
        self._listed = listed
        self._ranges: OrderedDict[tuple[str | None, range], _Range] = OrderedDict()
        """In the order of asking."""
        self._waiting: set[_Range] = set()
        self._until_read_again: Callable[[], Awaitable[None]] = SingleFlight(self._read_again)

    async def over(self, customer: str | None, days: range) -> RangeCounts:
        """The counts of a customer, or of all together (None), over these days, with all changes that the latest look
        has found."""
        if not days:
            return RangeCounts()
        one = self._range(customer, days)
        one.asked = self._invalidations.number
        await self._renew(one)
        return one.counts

    async def prewarm(self, customer: str, days: range) -> None:
        """Read the counts of a customer over these days, for whoever asks for them later."""
        await self._renew(self._range(customer, days))

    async def _renew(self, one: "_Range") -> None:
        latest = self._invalidations.latest(one.customer)
        while one.look < latest:
            if one.changed(self._invalidations) is None:
                await self._read_all(one)
            else:
                self._waiting.add(one)
                await self._until_read_again()

    def _range(self, customer: str | None, days: range) -> "_Range":
        key = customer, days
        if key not in self._ranges:
            self._ranges[key] = _Range(customer, days)
            listed = self._listed.of(customer, days)
            if listed is not None and self._invalidations.days_since(listed[0]) is not None:
                self._ranges[key].set(*listed)
        self._ranges.move_to_end(key)
        if len(self._ranges) > _RANGES_KEPT:
            self._ranges.popitem(last=False)
        return self._ranges[key]

    async def _read_all(self, one: "_Range") -> None:
        # Taken before the counts are read, which may be further than this look, but not behind it.
        look = self._invalidations.number
        one.set(look, await self._storage.days(one.customer, one.days[0], one.days[-1]))

    async def _read_again(self) -> None:
        """Read changed days, in one question of all who wait, and of others that were asked for since the commit
        before: it is likely that they are asked for again."""
        look = self._invalidations.number
        asked_lately = takewhile(lambda one: one.asked >= look - 1, reversed(self._ranges.values()))
        self._waiting.update(islice(asked_lately, _CUSTOMERS_AT_ONCE))
        changed = {
            one: days
            for one in self._waiting
            if one.look < self._invalidations.latest(one.customer)
            and (days := one.changed(self._invalidations)) is not None
        }
        self._waiting.clear()
        all_days: frozenset[int] = frozenset().union(*changed.values())
        customers = {one.customer for one in changed}
        found = await self._rows(customers, min(all_days), max(all_days)) if all_days else {}
        rows = {
            one: {day: row for day, row in found.get(one.customer, {}).items() if day in days}
            for one, days in changed.items()
        }
        counts = _counts_of([row for of_one in rows.values() for row in of_one.items()])
        for one, of_one in rows.items():
            one.update(look, {day: next(counts) for day in of_one})

    async def _rows(self, customers: Collection[str | None], first: int, last: int) -> _RowsOfCustomers:
        found: _RowsOfCustomers = {}
        if None in customers:
            found[None] = await self._storage.days(None, first, last)
        names = [customer for customer in customers if customer is not None]
        for start in range(0, len(names), _CUSTOMERS_AT_ONCE):
            part = names[start : start + _CUSTOMERS_AT_ONCE]
            found.update(await self._storage.customers(part, first, last))
        return found


class _Range:
    """The counts of one customer, or of all together (None), over one range."""

    def __init__(self, customer: str | None, days: range) -> None:
        self.customer = customer
        self.days = days
        self.look = -1
        """The number of the look after which the counts were read."""
        self.asked = -1
        """That of the latest look when it was asked for last."""
        self.counts = RangeCounts()

    def changed(self, invalidations: InvalidationLog) -> frozenset[int] | None:
        """Of which of its days counts may have changed since; None: of any."""
        changed = invalidations.days_since(self.look)
        if changed is None:
            return None
        changed = changed.intersection(self.days)
        return changed if changed <= self.counts.apart.keys() else None

    def set(self, look: int, rows: Mapping[int, DailyAggregate]) -> None:
        """All its counts, read after this look."""
        if look <= self.look:
            return
        self.look = look
        in_order = dict(sorted(rows.items()))
        counts = dict(zip(in_order, _counts_of(in_order.items()), strict=True))
        apart = open_days(self.days)
        self.counts = RangeCounts(
            {day: figures for day, (_, figures) in counts.items()},
            {day: counts[day][0].copy() if day in counts else _NOTHING for day in apart},
            merge_for_good([histogram for day, (histogram, _) in counts.items() if day not in apart]),
        )

    def update(self, look: int, read: Mapping[int, _CountsOfDay]) -> None:
        """The counts of its changed days, read after this look."""
        if look <= self.look:
            return
        self.look = look
        kept = self.counts
        daily = {**kept.daily, **{day: figures for day, (_, figures) in read.items()}}
        if len(daily) > len(kept.daily):
            daily = dict(sorted(daily.items()))
        apart = {**kept.apart, **{day: histogram.copy() for day, (histogram, _) in read.items()}}
        self.counts = RangeCounts(daily, apart, kept.rest)


def _counts_of(rows: Collection[tuple[int, DailyAggregate]]) -> Iterator[_CountsOfDay]:
    """The counts of each of these rows, which come with their days; together, as that takes a fraction of the time."""
    histograms = histograms_of([row for _, row in rows])
    for (day, _), histogram, figures in zip(rows, histograms.each(), figures_of_each(histograms), strict=True):
        yield histogram, DayStatistics(date=to_date(day), **figures._asdict())
