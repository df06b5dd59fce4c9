"""Counts as arrays: what figures are computed from. Ten times as fast as counters where a row has thousands of
latencies, and a month of rows is merged for each answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.contract import PackedCounts
from storage.counts import DayCounts
from storage.text import decode_counter, unpack_counter

Integers = NDArray[np.int64]

_TYPES = {"H": "<u2", "I": "<u4", "Q": "<u8"}


@dataclass(frozen=True, slots=True)
class Tally:
    """How many requests there are, how many of them succeeded, and how many took how long."""

    total: int
    successful: int
    latencies: Integers
    """Whole milliseconds, ascending; the same may come several times."""
    counts: Integers
    """The requests of each."""


def is_success(status: int) -> bool:
    """Whether a request with this HTTP status succeeded; every other failed."""
    return 200 <= status < 400


def unpack(packed: PackedCounts) -> Tally:
    """The tally of a stored row."""
    statuses = decode_counter(packed.statuses)
    return _tally(statuses, *_arrays(packed.latencies))


def tally(counts: DayCounts) -> Tally:
    """The tally of counts that are unpacked already."""
    latencies = sorted(counts.latencies)
    requests = list(map(counts.latencies.__getitem__, latencies))
    return _tally(counts.statuses, np.array(latencies, np.int64), np.array(requests, np.int64))


def merge(tallies: Sequence[Tally]) -> Tally:
    """The tally of all of them together."""
    if not tallies:
        return tally(DayCounts())
    latencies = np.concatenate([one.latencies for one in tallies])
    counts = np.concatenate([one.counts for one in tallies])
    order = latencies.argsort(kind="stable")
    return Tally(
        sum(one.total for one in tallies), sum(one.successful for one in tallies), latencies[order], counts[order]
    )


def _tally(statuses: dict[int, int], latencies: Integers, counts: Integers) -> Tally:
    successful = sum(count for status, count in statuses.items() if is_success(status))
    return Tally(sum(statuses.values()), successful, latencies, counts)


def _arrays(text: str) -> tuple[Integers, Integers]:
    """The values, ascending, and their counts."""
    size, data, is_wide = unpack_counter(text)
    numbers = np.frombuffer(data, _TYPES[size]).astype(np.int64)
    half = len(numbers) // 2
    values = numbers[:half]
    return values.cumsum() if is_wide else values, numbers[half:]
