"""Roll-ups: the counts of a day by quarter hour, by endpoint, or by both.

A hash divides customers into groups, and the customers of a group share rows: of very many customers each has few
requests. All customers together have groups of their own.

A row has two counters, like a daily aggregate: of statuses and of latencies. The values that they count are integers,
see `packed`: the customer's index in `names` (but in `endpoint_parts`), the endpoint's index among those of the
customer, the HTTP status or the milliseconds, and the quarter hour. It comes last, so that most integers of few
customers have four bytes. Rows by endpoint have a third counter where the log has sizes of responses.

An endpoint is the template of a path and, in rows of the kind `endpoints`, after a newline the method where one was
logged. A customer has at most `Rules.paths` paths in a row, beside own templates: those of the first commits, of one
commit in alphabetical order. All others together are `OTHER`. From then on no other path gets a name in the row,
whatever the rules become.
"""

import json
import re
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np

from request_log.requests import Integers
from rollups.columns import QUARTER_HOURS_AN_HOUR, Column
from rollups.counters import UnreadableText, counter_arrays, encode_arrays
from rollups.counts import NARROW, NO_COUNTS, WIDE, RollupKind, RollupRow, SizeCounter
from rollups.histogram import Histogram, histogram_of_arrays, merge, net

GROUPS = 2048
"""Groups of customers."""
ALL_CUSTOMERS = GROUPS
"""The group of all customers together, by quarter hour and by endpoint."""
ALL_OF_HOUR = ALL_CUSTOMERS + 1
"""The first of 24 groups, one for each hour: all customers by endpoint and quarter hour. A row of a day would
be too wide."""
EVERYBODY = ""
"""Stands for the customer in the rows of all customers together."""
OTHER = "(other)"
"""Stands for paths, for methods and for customers that are not told apart."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
"""Methods that are told apart (RFC 9110, RFC 5789). Any text may be logged as a method."""
QUARTER_HOUR_BITS = 7
"""Bits of the quarter hour of a day, and of the hour in rows of the kind `hours`."""
QUARTER_HOUR_MASK = (1 << QUARTER_HOUR_BITS) - 1
STATUS_BITS = 10
"""Bits of an HTTP status."""
LATENCY_BITS = 27
"""Bits of a latency (ms), which is at most a day."""
SIZE_BITS = 1
"""Bits of a SizeCounter."""
_BY_QUARTER_HOUR: tuple[RollupKind, ...] = ("parts", "endpoint_parts")
_BY_ENDPOINT: tuple[RollupKind, ...] = ("endpoints", "endpoint_parts")
# Characters of names from which they are compressed.
_LONG = 500
_NO_LATENCIES = (np.empty(0, np.int64), np.empty(0, np.int64))
_AFTER_PATH = "\n"
_RESERVED = re.compile(r"\\*\((other|forgotten)\)").fullmatch


class Endpoint(NamedTuple):
    path: str
    """The template of a path, or `OTHER`."""
    method: str
    """One of METHODS, or `OTHER`; "" where none was logged or counted."""

    @classmethod
    def of_text(cls, text: str) -> "Endpoint":
        """The endpoint that a row names so."""
        path, _, method = text.partition(_AFTER_PATH)
        return cls(path, method)

    @property
    def text(self) -> str:
        """Its name in a row."""
        return f"{self.path}{_AFTER_PATH}{self.method}" if self.method else self.path


Part = TypeVar("Part", int, str, Endpoint)


def group_of(customer: str) -> int:
    """The group of a customer: a hash from 0 to GROUPS - 1, the same in every process."""
    return zlib.crc32(customer.encode()) % GROUPS


def packed(kind: RollupKind, heads: Integers, quarter_hours: Column, values: Column, bits: int) -> Integers:
    """The integer that a row counts for each request. `heads`: the indices of its customer and endpoint;
    `quarter_hours`: those of its day; `values`: its status or milliseconds, of `bits` bits."""
    together = (heads << bits) | values
    return (together << QUARTER_HOUR_BITS) | quarter_hours if kind in _BY_QUARTER_HOUR else together


def span_of(row: RollupRow) -> int:
    """Bits of the row's integers between the customer's index and the value."""
    bits = 0 if row.kind == "endpoints" else QUARTER_HOUR_BITS
    return bits + (row.endpoint_bits if row.kind in _BY_ENDPOINT else 0)


def widened(row: RollupRow) -> RollupRow:
    """The row with integers in which an endpoint's index has WIDE bits, in place of NARROW ones."""
    low = QUARTER_HOUR_BITS if row.kind in _BY_QUARTER_HOUR else 0
    return row._replace(
        statuses=_widened(row.statuses, STATUS_BITS + low),
        latencies=_widened(row.latencies, LATENCY_BITS + low),
        less_statuses=_widened(row.less_statuses, STATUS_BITS + low),
        less_latencies=_widened(row.less_latencies, LATENCY_BITS + low),
        sizes=_widened(row.sizes, SIZE_BITS),
        less_sizes=_widened(row.less_sizes, SIZE_BITS),
        endpoint_bits=WIDE,
    )


def _widened(text: str, low: int) -> str:
    """The text of a counter whose values have an endpoint's index above `low` bits."""
    if text == NO_COUNTS:
        return text
    values, counts = counter_arrays(text)
    customers, endpoints = values >> (low + NARROW), (values >> low) & ((1 << NARROW) - 1)
    return encode_arrays((((customers << WIDE) | endpoints) << low) | (values & ((1 << low) - 1)), counts)


def empty(kind: RollupKind) -> RollupRow:
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
        (part if row.kind == "hours" else part // QUARTER_HOURS_AN_HOUR, histogram)
        for row in rows
        for _, part, histogram in _histograms(row, customer)
    )


def histograms_by_method(rows: Iterable[RollupRow], customer: str) -> dict[Endpoint, Histogram]:
    """Endpoint -> histogram of a customer, from rows of the kind `endpoints`, which may be of several days."""
    return _merged(
        (Endpoint.of_text(endpoints[part]), histogram)
        for row in rows
        for endpoints, part, histogram in _histograms(row, customer)
    )


def histograms_of_endpoints(rows: Iterable[RollupRow], customer: str) -> dict[str, Histogram]:
    """Path -> histogram of a customer, of all methods together, from rows as for `histograms_by_method`."""
    return _merged(
        (Endpoint.of_text(endpoints[part]).path, histogram)
        for row in rows
        for endpoints, part, histogram in _histograms(row, customer)
    )


def statuses_of_endpoints(rows: Iterable[RollupRow], customer: str) -> Counter[tuple[str, int]]:
    """(path, HTTP status) -> requests of a customer, from rows of the kind `endpoints`."""
    found: Counter[tuple[str, int]] = Counter()
    for row in rows:
        names = decode_names(row.names)
        if customer not in names:
            continue
        place = list(names).index(customer)
        for sign, text in ((1, row.statuses), (-1, row.less_statuses)):
            for endpoint, (statuses, requests) in _parts(row, text, place, STATUS_BITS).items():
                for status, count in zip(statuses.tolist(), requests.tolist(), strict=True):
                    found[Endpoint.of_text(names[customer][endpoint]).path, status] += sign * count
    return +found


def histograms_of_customers(rows: Iterable[RollupRow], path: str) -> dict[str, Histogram]:
    """Customer -> histogram of its requests to a path, from rows of the kinds `endpoints` and `endpoint_parts`."""
    return _merged(found for row in rows for found in _of_path(row, path))


def _of_path(row: RollupRow, path: str) -> Iterator[tuple[str, Histogram]]:
    """(customer, histogram) of each endpoint with this path. The histogram of counts taken back is negative."""
    found = [
        (customer, place << row.endpoint_bits | of_endpoint)
        for place, (customer, endpoints) in enumerate(decode_names(row.names).items())
        for of_endpoint, text in enumerate(endpoints)
        if text.startswith(path) and Endpoint.of_text(text).path == path
    ]
    heads = np.array([head for _, head in found], np.int64)
    low = QUARTER_HOUR_BITS if row.kind in _BY_QUARTER_HOUR else 0
    for sign, of_statuses, of_latencies in (
        (1, row.statuses, row.latencies),
        (-1, row.less_statuses, row.less_latencies),
    ):
        if not found or of_statuses == NO_COUNTS:
            continue
        of_status = _slices(of_statuses, heads, STATUS_BITS, low)
        of_latency = _slices(of_latencies, heads, LATENCY_BITS, low)
        for (customer, _), (statuses, requests), (values, counts) in zip(found, of_status, of_latency, strict=True):
            counted: Counter[int] = Counter()
            for status, count in zip(statuses.tolist(), requests.tolist(), strict=True):
                counted[status] += sign * count
            if counted:
                yield customer, histogram_of_arrays(counted, values, sign * counts)


def _slices(text: str, heads: Integers, bits: int, low: int) -> Iterator[tuple[Integers, Integers]]:
    """Values of `bits` bits, which lie above `low` others, and their counts, of each of these heads."""
    together, counts = counter_arrays(text)
    starts, ends = (together.searchsorted(bound << (bits + low)).tolist() for bound in (heads, heads + 1))
    for start, end in zip(starts, ends, strict=True):
        yield (together[start:end] >> low) & ((1 << bits) - 1), counts[start:end]


def sizes_of_endpoints(rows: Iterable[RollupRow], customer: str) -> dict[Endpoint, int]:
    """Endpoint -> bytes of the responses of a customer, from rows of the kind `endpoints`. Leaves out endpoints of
    which no size was logged."""
    found: dict[Endpoint, list[int]] = {}
    for row in rows:
        names = decode_names(row.names) if row.sizes != NO_COUNTS or row.less_sizes != NO_COUNTS else {}
        if customer not in names:
            continue
        place = list(names).index(customer)
        for sign, text in ((1, row.sizes), (-1, row.less_sizes)):
            for part, (which, amounts) in _parts(row, text, place, SIZE_BITS).items():
                sums = found.setdefault(Endpoint.of_text(names[customer][part]), [0, 0])
                for counter, amount in zip(which.tolist(), amounts.tolist(), strict=True):
                    sums[counter] += sign * amount
    return {endpoint: sums[SizeCounter.BYTES] for endpoint, sums in found.items() if sums[SizeCounter.REQUESTS]}


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
        latencies = _parts(row, of_latencies, place, LATENCY_BITS)
        for part, (statuses, requests) in _parts(row, of_statuses, place, STATUS_BITS).items():
            counted = dict(zip(statuses.tolist(), (sign * requests).tolist(), strict=True))
            values, counts = latencies.get(part, _NO_LATENCIES)
            yield names[customer], part, histogram_of_arrays(counted, values, sign * counts)


def _parts(row: RollupRow, text: str, place: int, bits: int) -> dict[int, tuple[Integers, Integers]]:
    """Part -> values and their counts, of the customer with this index.

    A part is, by the kind: the hour, the quarter hour, the endpoint's index, or that with the quarter hour in the lower
    `QUARTER_HOUR_BITS`.
    """
    together, counts = counter_arrays(text)
    span = bits + span_of(row)
    first, end = together.searchsorted(np.array([place, place + 1]) << span).tolist()
    if first == end:
        # A segment that continues others has their names as well.
        return {}
    together, counts = together[first:end] - (place << span), counts[first:end]
    if row.kind in _BY_QUARTER_HOUR:
        parts = (together >> (bits + QUARTER_HOUR_BITS) << QUARTER_HOUR_BITS) | (together & QUARTER_HOUR_MASK)
        order = parts.argsort(kind="stable")
        parts, together, counts = parts[order], together[order] >> QUARTER_HOUR_BITS, counts[order]
    else:
        parts = together >> bits
    values = together & ((1 << bits) - 1)
    changes = (parts[1:] != parts[:-1]).nonzero()[0] + 1
    bounds = [0, *changes.tolist(), len(parts)]
    return {int(parts[start]): (values[start:end], counts[start:end]) for start, end in pairwise(bounds)}
