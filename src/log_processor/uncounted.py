"""Requests that are not in their rows of counts yet, and how they get there, each exactly once.

A row says in `applied` through which position of each log it is counted. After a crash between the counts and the
ledger some rows are already further than the ledger; requests up to there are not added to them again.
"""

from collections.abc import Iterator, Sequence
from sys import intern
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from log_processor.pending import Pending, RequestColumns
from request_log.requests import NONE
from rollups.counters import NO_COUNTS, Integers, add_to_counter, decode_applied, encode_applied, encode_counters
from rollups.counts import CountsKey, PackedCounts, Position
from rollups.group_by import counts_of, sums_of

# So many become text at once.
_ROWS_AT_ONCE = 1_000
# So many requests are sorted at once, for it takes several times their memory.
_LINES_AT_ONCE = 250_000


class Addition(NamedTuple):
    """What is to be added to a row, as if it were all that the row has."""

    key: CountsKey
    statuses: str
    latencies: str


class Uncounted:
    """What is taken in by a `Pending` from here on, before it is broken down.

    It is sorted and counted all at once: cheaper than one by one, the more so the more rows there are.
    """

    def __init__(self, pending: Pending) -> None:
        self._pending = pending
        self._first = len(pending.parts)
        self._lines_before = pending.lines
        self._start = pending.end
        self._after: dict[Position, dict[CountsKey, Addition]] = {}
        self._made: dict[str, tuple[Position, str]] = {}

    def additions(self) -> Iterator[Addition]:
        """All of them, by the rows that they belong to: the days of all customers together, then each customer's."""
        return self._additions(self._parts())

    def _parts(self) -> list[RequestColumns]:
        parts = self._pending.parts[self._first :]
        assert sum(len(part.hours) for part in parts) == self._pending.lines - self._lines_before
        return parts

    def add(self, addition: Addition, row: PackedCounts) -> PackedCounts:
        """The row with the addition, but without the requests that are already counted there."""
        through, applied = self._applied(row.applied)
        if through > self._start:
            nothing = Addition(addition.key, NO_COUNTS, NO_COUNTS)
            addition = self._additions_after(through).get(addition.key, nothing)
        return PackedCounts(
            # In memory each once: of few requests most rows have the same.
            intern(add_to_counter(row.statuses, addition.statuses)),
            add_to_counter(row.latencies, addition.latencies),
            applied,
        )

    def _applied(self, text: str) -> tuple[Position, str]:
        """Through which position a row with this `applied` is counted, at least from our start; and its next one. Most
        rows have the same: it is made once, and in memory it is there once."""
        if text not in self._made:
            applied = decode_applied(text)
            through = applied.get(self._pending.log, self._start)
            applied[self._pending.log] = max(self._pending.end, through)
            self._made[text] = through, encode_applied(applied)
        return self._made[text]

    def _additions(self, parts: list[RequestColumns]) -> Iterator[Addition]:
        if not parts:
            return
        names = self._pending.names()
        first = min(int(part.hours.min()) for part in parts) // 24
        span = max(int(part.hours.max()) for part in parts) // 24 - first + 1
        for day, *counts in _counted([(part.hours // 24 - first, part.statuses, part.latencies) for part in parts]):
            yield Addition((None, first + day), *counts)
        lines = sum(len(part.hours) for part in parts)
        for some in _divided(parts, -(-lines // _LINES_AT_ONCE)):
            rows = some.customers * np.int64(span) + (some.hours // 24 - first)
            for row, *counts in _counted([(rows, some.statuses, some.latencies)]):
                number, day = divmod(row, span)
                yield Addition((names[number], first + day), *counts)

    def _additions_after(self, applied: Position) -> dict[CountsKey, Addition]:
        """Only the requests from a position on, which many rows have in common."""
        if applied not in self._after:
            place = self._pending.place(applied)
            later = [part.select(part.positions >= place) for part in self._parts()]
            additions = self._additions([part for part in later if len(part.hours)])
            self._after[applied] = {addition.key: addition for addition in additions}
        return self._after[applied]


def _divided(parts: Sequence[RequestColumns], times: int) -> Iterator[RequestColumns]:
    """The requests by their customers, in so many parts; those without any are left out."""
    for turn in range(times):
        some = [part.select(np.flatnonzero(part.customers % times == turn)) for part in parts] if times > 1 else parts
        joined = RequestColumns._make(map(np.concatenate, zip(*some, strict=True)))
        if len(joined.hours):
            yield joined


_Rows = tuple[NDArray[np.signedinteger], NDArray[np.int16], NDArray[np.int32]]
"""Of some requests: their rows, statuses and latencies."""


def _counted(parts: Sequence[_Rows]) -> Iterator[tuple[int, str, str]]:
    """Each row, in ascending order, and how often it has each status and each latency, as it is stored."""
    of_status = _counted_values([(rows, statuses) for rows, statuses, _ in parts])
    of_latency = _counted_values([(rows, latencies) for rows, _, latencies in parts])
    for (row, statuses), (_, latencies) in zip(of_status, of_latency, strict=True):
        yield row, statuses, latencies


def _counted_values(
    parts: Sequence[tuple[NDArray[np.signedinteger], NDArray[np.signedinteger]]],
) -> Iterator[tuple[int, str]]:
    """Each row, in ascending order, and how often it has each value, but for NONE."""
    # NONE is below 0.
    width = np.int64(max(values.max() for _, values in parts)) - NONE + 1
    pairs, counts = _sums([counts_of(rows * width + (values - NONE)) for rows, values in parts])
    # What follows is kept for as long as it takes to go through the rows, so it is little.
    values, counts = (pairs % width + NONE).astype(np.int32), counts.astype(np.int32)
    rows = pairs // width
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    rows, starts = rows[starts], np.append(starts, len(values))
    del pairs
    is_value = values != NONE
    if not is_value.all():
        values, counts = values[is_value], counts[is_value]
        starts = np.append(0, is_value.cumsum())[starts]
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        bounds = starts[first : first + _ROWS_AT_ONCE + 1]
        some = slice(bounds[0], bounds[-1])
        texts = encode_counters(values[some].astype(np.int64), counts[some].astype(np.int64), bounds - bounds[0])
        yield from zip(rows[first : first + _ROWS_AT_ONCE].tolist(), texts, strict=True)


def _sums(parts: Sequence[tuple[Integers, Integers]]) -> tuple[Integers, Integers]:
    """All keys of these parts, ascending, and the sums of their counts."""
    if len(parts) == 1:
        return parts[0]
    return sums_of(*map(np.concatenate, zip(*parts, strict=True)))
