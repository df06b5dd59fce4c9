"""Breakdowns: the counts of a customer's day, divided into parts: by hour, or by the template of the path.

A row has the counters of all its parts in two, like a row of counts. What they count is the part and the value in one
integer: the part in the upper bits, and below it the HTTP status or the milliseconds. A part is the hour, or the place
of the path in `names`; those that came when there were `MOST_PATHS` names share the last one.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

from storage.contract import Breakdown
from storage.tally import Tally, merge, tally_of_arrays
from storage.text import NO_COUNTS, Integers, counter_arrays

MOST_PATHS = 100
OTHER = "(other)"
STATUS_BITS = 10
# A latency is at most a day.
LATENCY_BITS = 27
EMPTY = Breakdown(0, "[]", NO_COUNTS, NO_COUNTS, "{}")
"""A row without counts."""

_NO_LATENCIES = (np.empty(0, np.int64), np.empty(0, np.int64))

Part = TypeVar("Part", int, str)


def encode_names(names: Sequence[str]) -> str:
    """Names, as JSON without white space."""
    return json.dumps(names, separators=(",", ":"), ensure_ascii=False)


def decode_names(text: str) -> list[str]:
    """The reverse of `encode_names`."""
    names: list[str] = json.loads(text)
    return names


def tallies_of_hours(rows: Iterable[Breakdown]) -> dict[int, Tally]:
    """The tally of each hour of a day (0 to 23) that has requests."""
    return _merged((part, tally) for row in rows for part, tally in _tallies(row))


def tallies_of_paths(rows: Iterable[Breakdown]) -> dict[str, Tally]:
    """The tally of each path; the rows may be of several days."""
    return _merged(
        (names[part], tally) for row in rows for names in [decode_names(row.names)] for part, tally in _tallies(row)
    )


def _merged(tallies: Iterable[tuple[Part, Tally]]) -> dict[Part, Tally]:
    parts: dict[Part, list[Tally]] = {}
    for part, tally in tallies:
        parts.setdefault(part, []).append(tally)
    return {part: merge(found) for part, found in parts.items()}


def _tallies(row: Breakdown) -> Iterator[tuple[int, Tally]]:
    """Each part of a row and its tally."""
    latencies = _parts(row.latencies, LATENCY_BITS)
    for part, (statuses, requests) in _parts(row.statuses, STATUS_BITS).items():
        counted = dict(zip(statuses.tolist(), requests.tolist(), strict=True))
        yield part, tally_of_arrays(counted, *latencies.get(part, _NO_LATENCIES))


def _parts(text: str, bits: int) -> dict[int, tuple[Integers, Integers]]:
    """The values and their counts of each part."""
    together, counts = counter_arrays(text)
    parts, values = together >> bits, together & ((1 << bits) - 1)
    bounds = [*np.flatnonzero(np.diff(parts, prepend=-1)).tolist(), len(parts)]
    return {int(parts[start]): (values[start:end], counts[start:end]) for start, end in pairwise(bounds)}
