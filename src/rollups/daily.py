"""Deltas of daily aggregates: counts many requests at once, and adds the counts to the aggregates."""

from collections.abc import Iterator, Sequence
from sys import intern
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from request_log.requests import NONE, Integers
from rollups.columns import RequestColumns, joined
from rollups.counters import add_to_counter, encode_counters, take_from_counter
from rollups.counts import DailyAggregate, DailyKey
from rollups.group_by import counts_of, sums_of

# Aggregates that are encoded at once.
_ROWS_AT_ONCE = 1_000
LINES_AT_ONCE = 250_000
"""Requests that are sorted at once: sorting takes several times their memory."""


class DailyDelta(NamedTuple):
    """Counts to be added to a daily aggregate, as the texts of its counters."""

    key: DailyKey
    statuses: str
    latencies: str


def daily_deltas(
    parts: Sequence[RequestColumns], names: Sequence[str], lines_at_once: int = LINES_AT_ONCE
) -> Iterator[DailyDelta]:
    """A delta for each daily aggregate: first for all customers together, then for each customer.

    `names`: the customers, by their indices in the columns.
    """
    if not parts:
        return
    first = min(int(part.days.min()) for part in parts)
    span = max(int(part.days.max()) for part in parts) - first + 1
    for day, *counts in _counted([(part.days - first, part.statuses, part.latencies) for part in parts]):
        yield DailyDelta(DailyKey(None, first + day), *counts)
    lines = sum(part.lines for part in parts)
    for some in _divided(parts, -(-lines // lines_at_once)):
        rows = some.customers * np.int64(span) + (some.days - first)
        for row, *counts in _counted([(rows, some.statuses, some.latencies)]):
            number, day = divmod(row, span)
            yield DailyDelta(DailyKey(names[number], first + day), *counts)


def add(delta: DailyDelta, row: DailyAggregate, commit: int) -> DailyAggregate:
    """The aggregate plus a delta; unchanged where this commit has counted in it already."""
    if row.commit >= commit:
        return row
    # Most aggregates of few requests have the same statuses, so one text in memory serves them all.
    statuses = intern(add_to_counter(row.statuses, delta.statuses))
    return DailyAggregate(statuses, add_to_counter(row.latencies, delta.latencies), commit, row.first)


def take_back(delta: DailyDelta, row: DailyAggregate, commit: int) -> DailyAggregate:
    """The aggregate minus a delta; unchanged where this commit has taken it back already. Raises ValueError where the
    aggregate lacks counts of the delta."""
    if row.commit >= commit:
        return row
    return DailyAggregate(
        take_from_counter(row.statuses, delta.statuses),
        take_from_counter(row.latencies, delta.latencies),
        commit,
        row.first,
    )


def _divided(parts: Sequence[RequestColumns], times: int) -> Iterator[RequestColumns]:
    """The requests divided by customers into `times` parts, without empty parts."""
    for turn in range(times):
        some = [part.select(np.flatnonzero(part.customers % times == turn)) for part in parts] if times > 1 else parts
        together = joined(some)
        if together.lines:
            yield together


_Rows = tuple[NDArray[np.signedinteger], NDArray[np.int16], NDArray[np.int32]]
"""Columns of requests: the number of the aggregate, the status, the latency."""


def _counted(parts: Sequence[_Rows]) -> Iterator[tuple[int, str, str]]:
    """(aggregate, statuses, latencies) with the counters as text, in ascending order of the aggregates."""
    of_status = _counted_values([(rows, statuses) for rows, statuses, _ in parts])
    of_latency = _counted_values([(rows, latencies) for rows, _, latencies in parts])
    for (row, statuses), (_, latencies) in zip(of_status, of_latency, strict=True):
        yield row, statuses, latencies


def _counted_values(
    parts: Sequence[tuple[NDArray[np.signedinteger], NDArray[np.signedinteger]]],
) -> Iterator[tuple[int, str]]:
    """(aggregate, counter of its values as text), in ascending order. NONE is not counted."""
    # NONE is below 0.
    width = np.int64(max(values.max() for _, values in parts)) - NONE + 1
    pairs, counts = _sums([counts_of(rows * width + (values - NONE)) for rows, values in parts])
    # Of 4 bytes each, because the caller keeps these arrays while it goes through the aggregates.
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
    """The keys of all parts, ascending, and the sum of each one's counts."""
    if len(parts) == 1:
        return parts[0]
    return sums_of(*map(np.concatenate, zip(*parts, strict=True)))
