"""A cache of the counts of single customers by parts of UTC days, which the days of a time zone consist of.

Without it, an answer about 45 local days of a busy customer takes ten times as long after a commit. Roll-ups of the
busiest customers are kept as well, of which a first answer about any zone is made.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from api.caching.invalidation_log import InvalidationLog
from api.caching.rolled_up_polls import RolledUpPolls
from rollups.columns import QUARTER_HOURS_A_DAY
from rollups.counts import RollupKind, RollupRow
from rollups.groups import ALL_CUSTOMERS, EVERYBODY, group_of
from rollups.spans import DaySpanCounts, DaySpans, SpanCounts, added_up, counts_of_days, spans_of_days
from storage.contract import Storage
from storage.errors import DamagedRow

QUARTER_HOUR_KINDS: tuple[RollupKind, ...] = ("parts", "hours")
"""The roll-ups that have the counts of quarter hours, or of hours."""
# Bound of all cached counts, in bytes, and what each takes beside its arrays.
_MAX_BYTES = 64 << 20
_OVERHEAD_BYTES = 1_000
# Bound of the texts of roll-ups that are kept, in bytes, and what each takes beside them.
_MAX_ROLLUP_BYTES = 48 << 20
_ROLLUP_BYTES = 1_000

_Key = tuple[str | None, int, bytes]
"""Customer, UTC day, and how the day is divided into spans."""


class _Cached(NamedTuple):
    poll: int
    """The number of a poll. The counts have all that it has found of the day, and the roll-ups had it."""
    counts: DaySpanCounts


class _Rollups(NamedTuple):
    """The roll-ups of a group of customers."""

    poll: int
    """As `_Cached.poll`."""
    days: range
    rows: Mapping[int, Sequence[RollupRow]]
    """By day."""


class SpanDays:
    """Caches the counts of the most recently used customers and days."""

    def __init__(
        self, storage: Storage, invalidations: InvalidationLog, rolled_up: RolledUpPolls, max_bytes: int = _MAX_BYTES
    ) -> None:
        self._storage = storage
        self._invalidations = invalidations
        self._rolled_up = rolled_up
        self._max_bytes = max_bytes
        self._days: OrderedDict[_Key, _Cached] = OrderedDict()
        """Least recently used first."""
        self._bytes = 0
        self._rollups: dict[int, _Rollups] = {}
        """By group of customers."""

    async def prewarm(self, customers: Iterable[str], days: range) -> None:
        """Read the roll-ups of all customers together, and of as many of these as there is room for."""
        groups = dict.fromkeys([ALL_CUSTOMERS, *map(group_of, customers)])
        self._rollups.clear()
        room = _MAX_ROLLUP_BYTES
        for group in groups:
            poll = self._rolled_up.latest
            try:
                rows = await self._storage.rollups(group, QUARTER_HOUR_KINDS, days[0], days[-1])
            except DamagedRow:
                # Questions about it tell.
                continue
            room -= sum(_ROLLUP_BYTES + row.size for of_day in rows.values() for row in of_day)
            if room < 0:
                break
            self._rollups[group] = _Rollups(poll, days, rows)
            # Lets questions in between.
            await asyncio.sleep(0)

    async def over(self, customer: str | None, edges: NDArray[np.int64]) -> SpanCounts:
        """The counts of a customer, or of all customers together (None), by span, as the roll-ups have them.

        `edges`: see rollups.spans.spans_of_days. OnlyHours where the rows of a day do not tell its spans apart.
        """
        if len(edges) < 2 or edges[0] == edges[-1]:
            return added_up([], edges)
        days = range(int(edges[0]) // QUARTER_HOURS_A_DAY, (int(edges[-1]) - 1) // QUARTER_HOURS_A_DAY + 1)
        spans = spans_of_days(days, edges)
        found = {day: counts for day in days if (counts := self._get(customer, day, spans[day])) is not None}
        missing = {day: spans[day] for day in days if day not in found}
        # Taken before the read: the roll-ups may be further, but not behind.
        poll = self._rolled_up.latest
        changed = self._invalidations.days_since(poll)
        group = ALL_CUSTOMERS if customer is None else group_of(customer)
        rows = self._kept(group, missing)
        unread = missing.keys() - rows.keys()
        if unread:
            rows |= await self._storage.rollups(group, QUARTER_HOUR_KINDS, min(unread), max(unread))

        def added() -> tuple[dict[int, DaySpanCounts], SpanCounts]:
            read = counts_of_days(rows, customer or EVERYBODY, missing)
            counts = found | read
            return read, added_up([(spans[day], counts[day]) for day in days], edges)

        # A busy customer has ten thousand counts a day, and all customers together have more.
        read, together = await asyncio.to_thread(added)
        for day, counts in read.items():
            # What was counted since that poll may not be rolled up yet.
            if changed is not None and day not in changed:
                self._put(customer, day, spans[day], _Cached(poll, counts))
        return together

    def _kept(self, group: int, days: Collection[int]) -> dict[int, Sequence[RollupRow]]:
        """The roll-ups of those of these days that have not changed since they were read."""
        kept = self._rollups.get(group)
        changed = self._invalidations.days_since(kept.poll) if kept is not None else None
        if kept is None or changed is None:
            return {}
        return {day: kept.rows.get(day, ()) for day in days if day in kept.days and day not in changed}

    def _get(self, customer: str | None, day: int, spans: DaySpans) -> DaySpanCounts | None:
        key = customer, day, spans.of_quarter_hour.tobytes()
        cached = self._days.get(key)
        if cached is None:
            return None
        changed = self._invalidations.days_since(cached.poll)
        if changed is None or day in changed:
            return None
        self._days.move_to_end(key)
        return cached.counts

    def _put(self, customer: str | None, day: int, spans: DaySpans, cached: _Cached) -> None:
        key = customer, day, spans.of_quarter_hour.tobytes()
        before = self._days.pop(key, None)
        if before is not None:
            self._bytes -= _size(before)
        self._days[key] = cached
        self._bytes += _size(cached)
        while self._bytes > self._max_bytes:
            self._bytes -= _size(self._days.popitem(last=False)[1])


def _size(cached: _Cached) -> int:
    return cached.counts.bytes + _OVERHEAD_BYTES
