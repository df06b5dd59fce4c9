"""Deltas of roll-ups: adds requests to the rows of roll-ups, once for each commit, also in a redo."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from request_log.requests import NONE, Integers
from rollups.columns import QUARTER_HOURS_A_DAY, QUARTER_HOURS_AN_HOUR, Column, RequestColumns, joined_and_freed
from rollups.counters import add_to_counter, count_in, encode_counter
from rollups.counts import NARROW, NO_COUNTS, RollupKey, RollupKind, RollupRow, SizeCounter
from rollups.group_by import appearing
from rollups.groups import (
    ALL_CUSTOMERS,
    ALL_OF_HOUR,
    EVERYBODY,
    LATENCY_BITS,
    OTHER,
    SIZE_BITS,
    STATUS_BITS,
    Endpoint,
    decode_names,
    empty,
    encode_names,
    group_of,
    packed,
    widened,
)
from rollups.rules import DEFAULT, Rules

MOST_CHARACTERS = 900_000
"""Characters of a row. Another row continues one that would be larger: InfluxDB takes no field beyond 1 MiB."""
# Up to this many values are counted faster one by one.
_FEW = 32

_KINDS_OF_GROUP: tuple[RollupKind, ...] = ("parts", "endpoints")


class RowRequests(NamedTuple):
    """The requests of one roll-up: of a group of customers on a day."""

    key: RollupKey
    columns: RequestColumns


class RollupDelta:
    """Adds requests to roll-ups, or takes them back.

    `names`, `endpoints`: the customers and the endpoints, by their indices in the columns. `weight`: -1 to take back.
    `rules`: tell which paths get a name.
    """

    def __init__(
        self,
        names: Sequence[str],
        endpoints: Sequence[Endpoint],
        most_characters: int = MOST_CHARACTERS,
        weight: Literal[1, -1] = 1,
        rules: Rules = DEFAULT,
    ) -> None:
        self._names = names
        self._weight = weight
        self._endpoints = [endpoint.text for endpoint in endpoints]
        self._paths = [endpoint.path for endpoint in endpoints]
        self._named = named_by(rules)
        self._most_characters = most_characters

    def divided(self, parts: list[RequestColumns]) -> Iterator[RowRequests]:
        """These requests by roll-up: first those of all customers together, which every day has. Empties `parts`."""
        columns = joined_and_freed(parts)
        yield from self._of_all(columns)
        yield from self._of_groups(columns)

    def _of_all(self, columns: RequestColumns) -> Iterator[RowRequests]:
        hours, columns = _sorted(
            columns._replace(customers=np.zeros_like(columns.customers)), columns.quarter_hours // QUARTER_HOURS_AN_HOUR
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
        """The segments to be written, see `segments`.

        The result depends on the requests alone, not on their order or on the indices of names. So a redo writes what
        is missing of a commit, even beside a predecessor that goes on.
        """
        return segments(
            row, commit, self._most_characters, partial(self._added, requests), partial(self._divided, requests)
        )

    def _divided(self, requests: RowRequests, row: RollupRow) -> list[RollupRow]:
        """The requests in as many segments as they need, in an order that depends on the requests alone."""
        columns = requests.columns
        order = np.lexsort(
            (
                columns.sizes,
                columns.latencies,
                columns.statuses,
                columns.quarter_hours,
                _ranks(self._endpoints, columns.endpoints),
                _ranks(self._names, columns.customers),
            )
        )
        return self._halved(requests._replace(columns=columns.select(order)), row)

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
        pairs, of_pairs = self._pairs(requests, names)
        if row.endpoint_bits == NARROW and max(place for _, place in pairs) >= 1 << NARROW:
            row = widened(row)
        bits = row.endpoint_bits if row.kind != "parts" else 0
        heads_of_pairs = np.array([customer << bits | endpoint for customer, endpoint in pairs], np.int64)
        heads = heads_of_pairs[of_pairs]
        quarter_hours = columns.quarter_hours % QUARTER_HOURS_A_DAY
        latencies = packed(row.kind, heads, quarter_hours, columns.latencies, LATENCY_BITS)[columns.latencies != NONE]
        statuses = packed(row.kind, heads, quarter_hours, columns.statuses, STATUS_BITS)
        sizes = _sizes(heads_of_pairs, of_pairs, columns.sizes) if row.kind == "endpoints" else NO_COUNTS
        row = row._replace(names=row.names if size_of(names) == before else encode_names(names), left=0)
        if self._weight < 0:
            return row._replace(
                less_statuses=_counted(row.less_statuses, statuses),
                less_latencies=_counted(row.less_latencies, latencies),
                less_sizes=add_to_counter(row.less_sizes, sizes),
            )
        return row._replace(
            statuses=_counted(row.statuses, statuses),
            latencies=_counted(row.latencies, latencies),
            sizes=add_to_counter(row.sizes, sizes),
        )

    def _pairs(self, requests: RowRequests, names: dict[str, list[str]]) -> tuple[list[tuple[int, int]], Integers]:
        """The distinct pairs of a customer's index and, in rows by endpoint, its endpoint's (else 0), and each
        request's index among the pairs. New names are added to `names` in alphabetical order."""
        kind, columns = requests.key.kind, requests.columns
        customers, of_customers = appearing(columns.customers)
        own = [EVERYBODY] if requests.key.group >= ALL_CUSTOMERS else [self._names[customer] for customer in customers]
        if kind == "parts":
            return places_in(names, [(name, "") for name in own], None), of_customers
        # Rows by endpoint and part are wide enough without methods, which nobody asks of them.
        texts = self._endpoints if kind == "endpoints" else self._paths
        span = len(texts)
        together, of_pairs = appearing(of_customers * span + columns.endpoints)
        pairs = [(own[customer], texts[endpoint]) for customer, endpoint in (divmod(n, span) for n in together)]
        return places_in(names, pairs, self._named), of_pairs


def segments(
    row: RollupRow,
    commit: int,
    most_characters: int,
    added: Callable[[RollupRow], RollupRow],
    divided: Callable[[RollupRow], list[RollupRow]],
) -> list[RollupRow]:
    """The segments to be written where a commit adds counts to a roll-up, each before the next one; none where it has
    counted already.

    `row`: the last segment that is stored. `most_characters`: of a segment. `added`: a row with the counts, too.
    `divided`: copies of a row, each with a part of the counts.
    """

    def segments_after(last: RollupRow) -> list[RollupRow]:
        """The counts in as many new segments as they need, after `last`, which may be one of them."""
        rows = divided(empty(row.kind)._replace(commit=commit))
        first = last.segment + 1 if last.commit != commit else last.segment + 1 + last.left - len(rows)
        return [new._replace(segment=first + place, left=len(rows) - 1 - place) for place, new in enumerate(rows)]

    if row.commit == commit:
        return segments_after(row)[-row.left :] if row.left else []
    if row.commit > commit:
        return []
    grown = added(row._replace(commit=commit))
    if grown.size <= most_characters:
        return [grown]
    if row.is_empty:
        # It has nothing to keep, so the first new segment replaces it.
        return segments_after(row._replace(segment=-1))
    # A segment has the names of the one that it continues, unless they leave no room. So an endpoint that was `OTHER`
    # stays so.
    names = row.names if len(row.names) <= most_characters // 2 else empty(row.kind).names
    bits = row.endpoint_bits if names is row.names else NARROW
    grown = added(RollupRow(row.kind, row.segment + 1, names, NO_COUNTS, NO_COUNTS, commit, endpoint_bits=bits))
    return [grown] if grown.size <= most_characters else segments_after(row)


def places_in(
    names: dict[str, list[str]], pairs: Sequence[tuple[str, str]], named: "Callable[[list[str]], Named] | None"
) -> list[tuple[int, int]]:
    """The indices in a row of the customer and of the endpoint, of each pair of these. New names are added to `names`,
    in alphabetical order. `named`: see `named_by`; None: the row has no endpoints, and their index is 0."""
    for name in sorted({name for name, _ in pairs}):
        names.setdefault(name, [])
    places = {name: place for place, name in enumerate(names)}
    if named is None:
        return [(places[name], 0) for name, _ in pairs]
    of_names = {name: named(names[name]) for name in {name for name, _ in pairs}}
    found = {(name, endpoint): (places[name], of_names[name].place(endpoint)) for name, endpoint in sorted(pairs)}
    return [found[pair] for pair in pairs]


def named_by(rules: Rules) -> Callable[[list[str]], "Named"]:
    """A function from the endpoints that a row names of a customer to what the row names by these rules."""
    return partial(Named, rules.paths, frozenset(rules.templates))


class Named:
    """The endpoints of a customer that a row names."""

    def __init__(self, most_paths: int, own_templates: Collection[str], texts: list[str]) -> None:
        """`texts`: their names, to which new ones are added."""
        self._texts = texts
        self._most_paths = most_paths
        self._own_templates = own_templates
        self._places = {text: place for place, text in enumerate(texts)}
        self._paths = {Endpoint.of_text(text).path for text in texts}
        self._told_apart = len(self._paths.difference(own_templates))

    def place(self, text: str) -> int:
        """The index of an endpoint, or of that of its method in which more paths are counted together."""
        place = self._places.get(text)
        if place is not None:
            return place
        path, method = Endpoint.of_text(text)
        if path not in self._paths and path not in self._own_templates:
            if OTHER in self._paths or self._told_apart >= self._most_paths:
                path, text = OTHER, Endpoint(OTHER, method).text
            else:
                self._told_apart += 1
        self._paths.add(path)
        if text not in self._places:
            self._places[text] = len(self._texts)
            self._texts.append(text)
        return self._places[text]


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


def _sizes(heads: Integers, of_heads: Integers, sizes: Integers) -> str:
    """The text of a counter of the logged sizes of requests. `of_heads`: each request's index in `heads`."""
    is_logged = sizes != NONE
    if not is_logged.any():
        return NO_COUNTS
    of_logged = of_heads[is_logged]
    requests, amounts = np.bincount(of_logged, minlength=len(heads)), np.zeros(len(heads), np.int64)
    np.add.at(amounts, of_logged, sizes[is_logged])
    counted: Counter[int] = Counter()
    for which, of_which in ((SizeCounter.REQUESTS, requests), (SizeCounter.BYTES, amounts)):
        for head, amount in zip(heads.tolist(), of_which.tolist(), strict=True):
            if amount:
                # Several endpoints have the head of OTHER.
                counted[head << SIZE_BITS | which] += amount
    return encode_counter(counted)


def _counted(text: str, values: Integers) -> str:
    if len(values) <= _FEW:
        return add_to_counter(text, encode_counter(Counter(values.tolist())))
    return count_in(text, values)
