"""Requests that are not in their rows of counts yet, and how they get there, each exactly once.

A row says in `applied` through which position of each log it is counted. After a crash between the counts and the
ledger some rows are already further than the ledger; requests up to there are not added to them again.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from log_processor.chunk import Batch
from log_processor.columns import join
from request_log.requests import NONE
from storage.contract import PackedCounts
from storage.counts import CountsKey, Position
from storage.text import add_to_counter, decode_applied, encode_applied

# Of numpy's numbers so many become Python's at once.
_ROWS_AT_ONCE = 1_000


class Addition(NamedTuple):
    """What is to be added to a row."""

    key: CountsKey
    statuses: dict[int, int]
    """HTTP status -> requests."""
    latencies: dict[int, int]
    """Whole milliseconds -> requests."""


class _Columns(NamedTuple):
    """Requests as numbers, columns of equal length."""

    customers: NDArray[np.int32]
    days: NDArray[np.int32]
    statuses: NDArray[np.int16]
    latencies: NDArray[np.int32]
    generations: NDArray[np.int32]
    offsets: NDArray[np.int64]


class Uncounted:
    """Requests of one log, of batches in its order without gaps.

    They are sorted and counted all at once: cheaper than one by one, the more so the more rows there are.
    """

    def __init__(self, log: str, start: Position) -> None:
        """`start`: of the first batch."""
        self._log = log
        self._start = self._end = start
        self._numbers: dict[str, int] = {}
        self._parts: list[_Columns] = []
        self._after: dict[Position, dict[CountsKey, Addition]] = {}
        self._made: dict[str, tuple[Position, str]] = {}

    def take(self, batch: Batch) -> None:
        """Take in a batch's requests."""
        requests, numbers = batch.requests, self._numbers
        own_numbers = np.array([numbers.setdefault(name, len(numbers)) for name in requests.names], np.int32)
        columns = _Columns(
            own_numbers[requests.customers],
            requests.days.astype(np.int32),
            requests.statuses.astype(np.int16),
            requests.latencies.astype(np.int32),
            np.full(len(requests), batch.start.generation, np.int32),
            requests.offsets,
        )
        self._parts.append(columns)
        self._end = batch.end

    def additions(self) -> Iterator[Addition]:
        """All of them, by the rows that they belong to: the days of all customers together, then each customer's."""
        self._parts = [_Columns(*join(self._parts))]
        return self._additions(self._parts[0])

    def add(self, addition: Addition, row: PackedCounts) -> PackedCounts:
        """The row with the addition, but without the requests that are already counted there."""
        through, applied = self._applied(row.applied)
        if through > self._start:
            nothing = Addition(addition.key, {}, {})
            addition = self._additions_after(through).get(addition.key, nothing)
        return PackedCounts(
            add_to_counter(row.statuses, addition.statuses),
            add_to_counter(row.latencies, addition.latencies),
            applied,
        )

    def _applied(self, text: str) -> tuple[Position, str]:
        """Through which position a row with this `applied` is counted, at least from our start; and its next one. Most
        rows have the same: it is made once, and in memory it is there once."""
        if text not in self._made:
            applied = decode_applied(text)
            through = applied.get(self._log, self._start)
            applied[self._log] = max(self._end, through)
            self._made[text] = through, encode_applied(applied)
        return self._made[text]

    def _additions(self, columns: _Columns) -> Iterator[Addition]:
        if not len(columns.days):
            return
        names = list(self._numbers)
        first = int(columns.days.min())
        days = columns.days - np.int64(first)
        span = int(days.max()) + 1
        for is_customer, rows in ((False, days), (True, columns.customers * span + days)):
            pairs = zip(_counted(rows, columns.statuses), _counted(rows, columns.latencies), strict=True)
            for (row, statuses), (_, latencies) in pairs:
                number, day = divmod(row, span)
                latencies.pop(NONE, None)
                yield Addition((names[number] if is_customer else None, first + day), statuses, latencies)

    def _additions_after(self, applied: Position) -> dict[CountsKey, Addition]:
        """Only the requests from a position on, which many rows have in common."""
        if applied not in self._after:
            (columns,) = self._parts
            is_later = (columns.generations > applied.generation) | (
                (columns.generations == applied.generation) & (columns.offsets >= applied.offset)
            )
            later = _Columns(*(column[is_later] for column in columns))
            self._after[applied] = {addition.key: addition for addition in self._additions(later)}
        return self._after[applied]


def _counted(rows: NDArray[np.int64], values: NDArray[np.signedinteger]) -> Iterator[tuple[int, dict[int, int]]]:
    """Each row, in ascending order, and how often it has each value."""
    # NONE is below 0.
    width = int(values.max()) - NONE + 1
    pairs, counts = np.unique(rows * width + (values - NONE), return_counts=True)
    # What follows is kept for as long as it takes to go through the rows, so it is little.
    values, counts = (pairs % width + NONE).astype(np.int32), counts.astype(np.int32)
    rows = pairs // width
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    rows, starts = rows[starts], np.append(starts, len(values))
    del pairs
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        bounds = starts[first : first + _ROWS_AT_ONCE + 1]
        some_values = values[bounds[0] : bounds[-1]].tolist()
        some_counts = counts[bounds[0] : bounds[-1]].tolist()
        ends = (bounds - bounds[0]).tolist()
        for row, start, end in zip(rows[first : first + _ROWS_AT_ONCE].tolist(), ends, ends[1:], strict=False):
            yield row, dict(zip(some_values[start:end], some_counts[start:end], strict=True))
