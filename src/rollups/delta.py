"""Deltas of roll-ups: adds requests to the rows of roll-ups, once for each commit, also in a redo."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from request_log.requests import NONE, Integers
from rollups.columns import PARTS_A_DAY, PARTS_AN_HOUR, Column, RequestColumns, joined_and_freed
from rollups.counters import add_to_counter, count_in, encode_counter
from rollups.counts import NO_COUNTS, Kind, RollupKey, RollupRow
from rollups.group_by import appearing
from rollups.groups import (
    ALL_CUSTOMERS,
    ALL_OF_HOUR,
    EVERYBODY,
    LATENCY_BITS,
    MOST_ENDPOINTS,
    OTHER,
    PART_BITS,
    STATUS_BITS,
    decode_names,
    empty,
    encode_names,
    escaped,
    group_of,
    packed,
)

MOST_CHARACTERS = 900_000
"""Characters of a row. Another row continues one that would be larger: InfluxDB takes no field beyond 1 MiB."""
# Up to this many values are counted faster one by one.
_FEW = 32

_KINDS_OF_GROUP: tuple[Kind, ...] = ("parts", "endpoints")


class RowRequests(NamedTuple):
    """The requests of one roll-up: of a group of customers on a day."""

    key: RollupKey
    columns: RequestColumns


class RollupDelta:
    """Adds requests to roll-ups, or takes them back.

    `names`, `endpoints`: the customers and the endpoints, by their indices in the columns. `weight`: -1 to take back.
    """

    def __init__(
        self,
        names: Sequence[str],
        endpoints: Sequence[str],
        most_characters: int = MOST_CHARACTERS,
        weight: Literal[1, -1] = 1,
    ) -> None:
        self._names = names
        self._weight = weight
        self._endpoints = list(map(escaped, endpoints))
        self._most_characters = most_characters

    def divided(self, parts: list[RequestColumns]) -> Iterator[RowRequests]:
        """These requests by roll-up: first those of all customers together, which every day has. Empties `parts`."""
        columns = joined_and_freed(parts)
        yield from self._of_all(columns)
        yield from self._of_groups(columns)

    def _of_all(self, columns: RequestColumns) -> Iterator[RowRequests]:
        hours, columns = _sorted(
            columns._replace(customers=np.zeros_like(columns.customers)), columns.parts // PARTS_AN_HOUR
        )
        for day, of_day in _runs(hours // 24):
            for kind in _KINDS_OF_GROUP:
                yield RowRequests(RollupKey(ALL_CUSTOMERS, day, kind), columns.select(of_day))
        for hour, of_hour in _runs(hours):
            key = RollupKey(ALL_OF_HOUR + hour % 24, hour // 24, "endpoint_parts")
            yield RowRequests(key, columns.select(of_hour))

    def _of_groups(self, columns: RequestColumns) -> Iterator[RowRequests]:
        # By days, because a question to the store is about one.
        numbers, groups = np.unique([group_of(name) for name in self._names], return_inverse=True)
        keys = columns.days
        first = int(keys.min())
        # In place, because there may be a million.
        keys -= first
        keys *= len(numbers)
        keys += groups.astype(np.int32)[columns.customers]
        keys, columns = _sorted(columns, keys)
        for key, of_group in _runs(keys):
            day, number = divmod(key, len(numbers))
            group, of_row = int(numbers[number]), columns.select(of_group)
            for kind in _KINDS_OF_GROUP:
                yield RowRequests(RollupKey(group, first + day, kind), of_row)

    def add(self, requests: RowRequests, row: RollupRow, commit: int) -> list[RollupRow]:
        """The segments to be written, each before the next one; none where this commit has counted already.

        `row`: the last segment that is stored. The result depends on the requests alone, not on their order or on the
        indices of names. So a redo writes what is missing of a commit, even beside a predecessor that goes on.
        """
        if row.commit == commit:
            return self._chunks(requests, row, commit)[-row.left :] if row.left else []
        if row.commit > commit:
            return []
        grown = self._added(requests, row._replace(commit=commit))
        if grown.size <= self._most_characters:
            return [grown]
        # A segment has the names of the one that it continues, unless they leave no room. So an endpoint that was
        # `OTHER` stays so.
        names = row.names if len(row.names) <= self._most_characters // 2 else empty(row.kind).names
        continued = RollupRow(row.kind, row.segment + 1, names, NO_COUNTS, NO_COUNTS, commit)
        if not row.is_empty:
            grown = self._added(requests, continued)
            if grown.size <= self._most_characters:
                return [grown]
        # An empty row has nothing to keep, so the first new segment replaces it.
        return self._chunks(requests, row if not row.is_empty else row._replace(segment=-1), commit)

    def _chunks(self, requests: RowRequests, last: RollupRow, commit: int) -> list[RollupRow]:
        """The requests in as many new segments as they need, behind `last`, which may be one of them.

        The order of the segments depends on the requests alone.
        """
        columns = requests.columns
        order = np.lexsort(
            (
                columns.latencies,
                columns.statuses,
                columns.parts,
                _ranks(self._endpoints, columns.endpoints),
                _ranks(self._names, columns.customers),
            )
        )
        in_order = requests._replace(columns=columns.select(order))
        rows = self._halved(in_order, empty(requests.key.kind)._replace(commit=commit))
        first = last.segment + 1 if last.commit != commit else last.segment + 1 + last.left - len(rows)
        return [row._replace(segment=first + place, left=len(rows) - 1 - place) for place, row in enumerate(rows)]

    def _halved(self, requests: RowRequests, row: RollupRow) -> list[RollupRow]:
        added = self._added(requests, row)
        half = requests.columns.lines // 2
        if added.size <= self._most_characters or not half:
            return [added]
        first, second = (
            requests._replace(columns=requests.columns.select(part)) for part in (slice(half), slice(half, None))
        )
        return [*self._halved(first, row), *self._halved(second, row)]

    def _added(self, requests: RowRequests, row: RollupRow) -> RollupRow:
        columns = requests.columns
        names = decode_names(row.names)
        before = size_of(names)
        heads = self._heads(requests, names)
        parts = columns.parts % PARTS_A_DAY
        latencies = packed(row.kind, heads, parts, columns.latencies, LATENCY_BITS)[columns.latencies != NONE]
        statuses = packed(row.kind, heads, parts, columns.statuses, STATUS_BITS)
        row = row._replace(names=row.names if size_of(names) == before else encode_names(names), left=0)
        if self._weight < 0:
            return row._replace(
                less_statuses=_counted(row.less_statuses, statuses),
                less_latencies=_counted(row.less_latencies, latencies),
            )
        return row._replace(statuses=_counted(row.statuses, statuses), latencies=_counted(row.latencies, latencies))

    def _heads(self, requests: RowRequests, names: dict[str, list[str]]) -> Integers:
        """Each request's head, see rollups.groups.packed: its customer's index, and in rows by endpoint its endpoint's
        index in the lower bits. New names are added to `names` in alphabetical order."""
        kind, columns = requests.key.kind, requests.columns
        customers, of_customers = appearing(columns.customers)
        own = [EVERYBODY] if requests.key.group >= ALL_CUSTOMERS else [self._names[customer] for customer in customers]
        for name in sorted(own):
            names.setdefault(name, [])
        places = {name: place for place, name in enumerate(names)}
        if kind == "parts":
            return np.array([places[name] for name in own], np.int64)[of_customers]
        span = len(self._endpoints)
        together, of_pairs = appearing(of_customers * span + columns.endpoints)
        pairs = [
            (own[customer], self._endpoints[endpoint]) for customer, endpoint in (divmod(n, span) for n in together)
        ]
        heads = {
            (name, endpoint): places[name] << PART_BITS | place_among(names[name], endpoint)
            for name, endpoint in sorted(pairs)
        }
        return np.array([heads[pair] for pair in pairs], np.int64)[of_pairs]


def _sorted(columns: RequestColumns, keys: NDArray[np.int32]) -> tuple[Column, RequestColumns]:
    """The keys (from 0) in ascending order, and the requests in the order of the keys. The sort is stable."""
    if (keys[1:] >= keys[:-1]).all():
        return keys, columns
    # The sort is ten times as fast for 2 bytes.
    from_first = keys - keys.min()
    is_small = int(from_first.max()) < 1 << 16
    order = (from_first.astype(np.uint16) if is_small else from_first).argsort(kind="stable")
    return keys[order], columns.select(order)


def _runs(keys: Column) -> Iterator[tuple[int, slice]]:
    """(key, slice) of each distinct key of an ascending array."""
    starts = [0, *(np.flatnonzero(keys[1:] != keys[:-1]) + 1).tolist()]
    for start, end in pairwise([*starts, len(keys)]):
        yield int(keys[start]), slice(start, end)


def _ranks(texts: Sequence[str], numbers: Column) -> Integers:
    """Each number's rank: the index of its text among the texts that appear, in alphabetical order."""
    found, places = appearing(numbers)
    in_order = sorted(range(len(found)), key=lambda place: texts[found[place]])
    ranks = np.empty(len(found), np.int64)
    ranks[in_order] = np.arange(len(found))
    return ranks[places]


def size_of(names: dict[str, list[str]]) -> int:
    """The number of customers and endpoints, which never falls."""
    return len(names) + sum(map(len, names.values()))


def place_among(endpoints: list[str], endpoint: str) -> int:
    """The index of an endpoint among those of a customer, to which a new one is added."""
    if endpoint not in endpoints[:MOST_ENDPOINTS]:
        if len(endpoints) == MOST_ENDPOINTS:
            endpoints.append(OTHER)
        if len(endpoints) > MOST_ENDPOINTS:
            return MOST_ENDPOINTS
        endpoints.append(endpoint)
    return endpoints.index(endpoint)


def _counted(text: str, values: Integers) -> str:
    """The text of a counter after these values were counted."""
    if len(values) <= _FEW:
        return add_to_counter(text, encode_counter(Counter(values.tolist())))
    return count_in(text, values)
