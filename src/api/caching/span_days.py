"""A cache of the counts of single customers by parts of UTC days, which the days of a time zone consist of.

Without it, an answer about 45 local days of a busy customer takes ten times as long after a commit.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
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

QUARTER_HOUR_KINDS: tuple[RollupKind, ...] = ("parts", "hours")
"""The roll-ups that have the counts of quarter hours, or of hours."""
# Bound of all cached counts, in bytes, and what each takes beside its arrays.
_MAX_BYTES = 64 << 20
_OVERHEAD_BYTES = 1_000

_Key = tuple[str | None, int, bytes]
"""Customer, UTC day, and how the day is divided into spans."""


class _Cached(NamedTuple):
    poll: int
    """The number of a poll. The counts have all that it has found of the day, and the roll-ups had it."""
    counts: DaySpanCounts


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
        rows: Mapping[int, Sequence[RollupRow]] = {}
        # Taken before the read: the roll-ups may be further, but not behind.
        poll = self._rolled_up.latest
        changed = self._invalidations.days_since(poll)
        if missing:
            group = ALL_CUSTOMERS if customer is None else group_of(customer)
            rows = await self._storage.rollups(group, QUARTER_HOUR_KINDS, min(missing), max(missing))

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
