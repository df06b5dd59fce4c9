"""Roll-ups: the counts of a day by part of the day (quarter hour), by endpoint, or by both.

A hash divides customers into groups, and the customers of a group share rows: of very many customers each has few
requests. All customers together have groups of their own.

A row has two counters, like a daily aggregate: of statuses and of latencies. The values that they count are integers,
see `packed`: the customer's index in `names` (but in `endpoint_parts`), the endpoint's index among those of the
customer, the HTTP status or the milliseconds, and the part of the day. The part comes last, so that most integers of
few customers have four bytes.

A customer has at most `MOST_ENDPOINTS` endpoints in a row: those of the first commits, of one commit in alphabetical
order. All others together are `OTHER`. An endpoint is the template of a path. Where the method is counted, the method
and a newline stand before it.
"""

import json
import re
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

from request_log.requests import Integers
from rollups.columns import PARTS_AN_HOUR, Column
from rollups.counters import UnreadableText, counter_arrays
from rollups.counts import NO_COUNTS, Kind, RollupRow
from rollups.histogram import Histogram, histogram_of_arrays, merge, net

GROUPS = 2048
"""Groups of customers."""
ALL_CUSTOMERS = GROUPS
"""The group of all customers together, by part and by endpoint."""
ALL_OF_HOUR = ALL_CUSTOMERS + 1
"""The first of 24 groups, one for each hour: all customers by endpoint and part. A row for a day would be too wide."""
EVERYBODY = ""
"""Stands for the customer in the rows of all customers together."""
MOST_ENDPOINTS = 100
"""Endpoints of a customer in a row, beside `OTHER`."""
OTHER = "(other)"
"""Stands for endpoints, and for customers, that are not told apart."""
PART_BITS = 7
"""Bits of the part of the day, and of the index of an endpoint."""
STATUS_BITS = 10
"""Bits of an HTTP status."""
LATENCY_BITS = 27
"""Bits of a latency (ms), which is at most a day."""
_BY_PART: tuple[Kind, ...] = ("parts", "endpoint_parts")
# Characters of names from which they are compressed.
_LONG = 500
_NO_LATENCIES = (np.empty(0, np.int64), np.empty(0, np.int64))
_RESERVED = re.compile(r"\\*\((other|forgotten)\)").fullmatch

Part = TypeVar("Part", int, str, tuple[str, int])


def group_of(customer: str) -> int:
    """The group of a customer: a hash from 0 to GROUPS - 1, the same in every process."""
    return zlib.crc32(customer.encode()) % GROUPS


def packed(kind: Kind, heads: Integers, parts: Column, values: Column, bits: int) -> Integers:
    """The integer that a row counts for each request. `heads`: the indices of its customer and endpoint; `parts`: the
    part of its day; `values`: its status or milliseconds, of `bits` bits."""
    together = (heads << bits) | values
    return (together << PART_BITS) | parts if kind in _BY_PART else together


def empty(kind: Kind) -> RollupRow:
    """A row without counts."""
    return RollupRow(kind, 0, "{}", NO_COUNTS, NO_COUNTS)


def escaped(name: str) -> str:
    """The name under which an endpoint or a customer is counted: a backslash precedes one that equals a reserved
    name."""
    return f"\\{name}" if _RESERVED(name) else name


def unescaped(name: str) -> str:
    """The reverse of `escaped`."""
    return name[1:] if name.startswith("\\") and _RESERVED(name) else name


def encode_names(names: Mapping[str, Sequence[str]]) -> str:
    """The text of customer -> endpoints: JSON without spaces; where it is long, compressed with zlib, in base64."""
    text = json.dumps(names, separators=(",", ":"), ensure_ascii=False).replace(" ", "\\u0020")
    return b64encode(zlib.compress(text.encode(), 1)).decode() if len(text) > _LONG else text


def decode_names(text: str) -> dict[str, list[str]]:
    """The reverse of `encode_names`."""
    try:
        names: dict[str, list[str]] = json.loads(text if text[0] == "{" else zlib.decompress(b64decode(text)))
    except (ValueError, LookupError, RecursionError, zlib.error) as error:
        raise UnreadableText(text) from error
    return names


def histograms_of_hours(rows: Iterable[RollupRow], customer: str) -> dict[int, Histogram]:
    """Hour (0 to 23) -> histogram of a customer's day, from rows of the kinds `parts` and `hours`."""
    return _merged(
        (part if row.kind == "hours" else part // PARTS_AN_HOUR, histogram)
        for row in rows
        for _, part, histogram in _histograms(row, customer)
    )


def histograms_of_endpoints(rows: Iterable[RollupRow], customer: str) -> dict[str, Histogram]:
    """Endpoint -> histogram of a customer, from rows of the kind `endpoints`, which may be of several days."""
    return _merged(
        (endpoints[part], histogram) for row in rows for endpoints, part, histogram in _histograms(row, customer)
    )


def statuses_of_endpoints(rows: Iterable[RollupRow], customer: str) -> Counter[tuple[str, int]]:
    """(endpoint, HTTP status) -> requests of a customer, from rows of the kind `endpoints`."""
    found: Counter[tuple[str, int]] = Counter()
    for row in rows:
        names = decode_names(row.names)
        if customer not in names:
            continue
        place = list(names).index(customer)
        for sign, text in ((1, row.statuses), (-1, row.less_statuses)):
            for endpoint, (statuses, requests) in _parts(row.kind, text, place, STATUS_BITS).items():
                for status, count in zip(statuses.tolist(), requests.tolist(), strict=True):
                    found[names[customer][endpoint], status] += sign * count
    return +found


def histograms_of_endpoint_parts(rows: Iterable[RollupRow]) -> dict[tuple[str, int], Histogram]:
    """(endpoint, part of the day) -> histogram of all customers together, from rows of `endpoint_parts` of one day."""
    return _merged(
        ((endpoints[together >> PART_BITS], together & ((1 << PART_BITS) - 1)), histogram)
        for row in rows
        for endpoints, together, histogram in _histograms(row, EVERYBODY)
    )


def _merged(histograms: Iterable[tuple[Part, Histogram]]) -> dict[Part, Histogram]:
    parts: dict[Part, list[Histogram]] = {}
    for part, histogram in histograms:
        parts.setdefault(part, []).append(histogram)
    merged = {
        part: merge(found) if min(one.total for one in found) > 0 else net(found) for part, found in parts.items()
    }
    return {part: histogram for part, histogram in merged.items() if histogram.total}


def _histograms(row: RollupRow, customer: str) -> Iterator[tuple[list[str], int, Histogram]]:
    """(the customer's endpoints, part, histogram) of each part. The histogram of counts taken back is negative."""
    names = decode_names(row.names)
    if customer not in names:
        return
    place = list(names).index(customer)
    for sign, of_statuses, of_latencies in (
        (1, row.statuses, row.latencies),
        (-1, row.less_statuses, row.less_latencies),
    ):
        if of_statuses == NO_COUNTS:
            continue
        latencies = _parts(row.kind, of_latencies, place, LATENCY_BITS)
        for part, (statuses, requests) in _parts(row.kind, of_statuses, place, STATUS_BITS).items():
            counted = dict(zip(statuses.tolist(), (sign * requests).tolist(), strict=True))
            values, counts = latencies.get(part, _NO_LATENCIES)
            yield names[customer], part, histogram_of_arrays(counted, values, sign * counts)


def _parts(kind: Kind, text: str, place: int, bits: int) -> dict[int, tuple[Integers, Integers]]:
    """Part -> values and their counts, of the customer with this index.

    A part is, by the kind: the hour, the part of the day, the endpoint's index, or that with the part of the day in the
    lower `PART_BITS`.
    """
    together, counts = counter_arrays(text)
    span = bits + (2 * PART_BITS if kind == "endpoint_parts" else PART_BITS)
    first, end = np.searchsorted(together, np.array([place, place + 1]) << span)
    if first == end:
        # A segment that continues others has their names as well.
        return {}
    together, counts = together[first:end] - (place << span), counts[first:end]
    if kind in _BY_PART:
        parts = (together >> (bits + PART_BITS) << PART_BITS) | (together & ((1 << PART_BITS) - 1))
        order = parts.argsort(kind="stable")
        parts, together, counts = parts[order], together[order] >> PART_BITS, counts[order]
    else:
        parts = together >> bits
    values = together & ((1 << bits) - 1)
    bounds = [*np.flatnonzero(np.diff(parts, prepend=-1)).tolist(), len(parts)]
    return {int(parts[start]): (values[start:end], counts[start:end]) for start, end in pairwise(bounds)}
