"""Breakdowns: the counts of the customers' days, divided into parts: by hour, or by the template of the path.

Customers share rows, those of a group one, for where there are very many customers each has few requests. A row has the
counters of all its customers and parts in two, like a row of counts. What they count is customer, part and value in one
integer: the customer's place in `names`, below it the part, and below that the HTTP status or the milliseconds. A part
is the hour, or the path's place among the customer's; those that came when it had `MOST_PATHS` share the last one.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

from rollups.counters import NO_COUNTS, Integers, counter_arrays
from rollups.counts import Breakdown
from rollups.histogram import Tally, merge, tally_of_arrays

GROUPS = 2048
MOST_PATHS = 100
OTHER = "(other)"
# An hour, or a place among `MOST_PATHS` and one more.
PART_BITS = 7
STATUS_BITS = 10
# A latency is at most a day.
LATENCY_BITS = 27
EMPTY = Breakdown(0, "{}", NO_COUNTS, NO_COUNTS, "{}")
"""A row without counts."""
# Longer names are compressed.
_LONG = 500
_NO_LATENCIES = (np.empty(0, np.int64), np.empty(0, np.int64))

Part = TypeVar("Part", int, str)


def group_of(customer: str) -> int:
    """A hash of the customer, the same in every process: customers of one share rows."""
    return zlib.crc32(customer.encode()) % GROUPS


def encode_names(names: Mapping[str, Sequence[str]]) -> str:
    """Customer -> paths, as JSON without spaces; compressed (zlib) in base64 where it is long."""
    text = json.dumps(names, separators=(",", ":"), ensure_ascii=False).replace(" ", "\\u0020")
    return b64encode(zlib.compress(text.encode(), 1)).decode() if len(text) > _LONG else text


def decode_names(text: str) -> dict[str, list[str]]:
    """The reverse of `encode_names`."""
    names: dict[str, list[str]] = json.loads(text if text[0] == "{" else zlib.decompress(b64decode(text)))
    return names


def tallies_of_hours(rows: Iterable[Breakdown], customer: str) -> dict[int, Tally]:
    """The tally of each hour of a customer's day (0 to 23) that has requests."""
    return _merged((part, tally) for row in rows for _, part, tally in _tallies(row, customer))


def tallies_of_paths(rows: Iterable[Breakdown], customer: str) -> dict[str, Tally]:
    """The tally of each path of a customer; the rows may be of several days."""
    return _merged((paths[part], tally) for row in rows for paths, part, tally in _tallies(row, customer))


def _merged(tallies: Iterable[tuple[Part, Tally]]) -> dict[Part, Tally]:
    parts: dict[Part, list[Tally]] = {}
    for part, tally in tallies:
        parts.setdefault(part, []).append(tally)
    return {part: merge(found) for part, found in parts.items()}


def _tallies(row: Breakdown, customer: str) -> Iterator[tuple[list[str], int, Tally]]:
    """The customer's paths, each part of it in a row, and its tally."""
    names = decode_names(row.names)
    if customer not in names:
        return
    place = list(names).index(customer)
    latencies = _parts(row.latencies, place, LATENCY_BITS)
    for part, (statuses, requests) in _parts(row.statuses, place, STATUS_BITS).items():
        counted = dict(zip(statuses.tolist(), requests.tolist(), strict=True))
        yield names[customer], part, tally_of_arrays(counted, *latencies.get(part, _NO_LATENCIES))


def _parts(text: str, place: int, bits: int) -> dict[int, tuple[Integers, Integers]]:
    """The values and their counts of each part of the customer at this place."""
    together, counts = counter_arrays(text)
    first, end = np.searchsorted(together, np.array([place, place + 1]) << (PART_BITS + bits))
    if first == end:
        # A row that continues others has the names of all of them.
        return {}
    together, counts = together[first:end] - (place << (PART_BITS + bits)), counts[first:end]
    parts, values = together >> bits, together & ((1 << bits) - 1)
    bounds = [*np.flatnonzero(np.diff(parts, prepend=-1)).tolist(), len(parts)]
    return {int(parts[start]): (values[start:end], counts[start:end]) for start, end in pairwise(bounds)}
