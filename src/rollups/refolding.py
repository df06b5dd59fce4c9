"""Adds the counts of a roll-up to another one, whose customers and endpoints have other indices."""

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from request_log.requests import Integers
from rollups.columns import QUARTER_HOURS_A_DAY, QUARTER_HOURS_AN_HOUR
from rollups.counters import add_to_counter, counter_arrays, encode_arrays
from rollups.counts import NARROW, RollupRow
from rollups.delta import MOST_CHARACTERS, named_by, places_in, segments, size_of
from rollups.group_by import sums_of
from rollups.groups import (
    LATENCY_BITS,
    QUARTER_HOUR_BITS,
    QUARTER_HOUR_MASK,
    SIZE_BITS,
    STATUS_BITS,
    decode_names,
    encode_names,
    packed,
    widened,
)
from rollups.rules import DEFAULT, Rules


class _Counts(NamedTuple):
    """Counts of statuses, of milliseconds, or of sizes."""

    heads: Integers
    """Ascending: the index of the customer and of the endpoint, and the quarter hour."""
    values: Integers
    amounts: Integers

    def between(self, first: int, end: int) -> "_Counts":
        """Those of heads from `first` until before `end`."""
        some = slice(*np.searchsorted(self.heads, (first, end)).tolist())
        return _Counts(self.heads[some], self.values[some], self.amounts[some])


class Refolding:
    """What all segments of a roll-up have counted, less what was taken back."""

    def __init__(
        self, segments: Sequence[RollupRow], most_characters: int = MOST_CHARACTERS, rules: Rules = DEFAULT
    ) -> None:
        """`segments`: in their order. Segments of the kind `hours` may be among those of `parts`: all requests of an
        hour are then in its first part. `most_characters`: of a row. `rules`: tell which paths get a name. Raises
        ValueError where more was taken back than was counted."""
        self._most_characters = most_characters
        self._named = named_by(rules)
        names = [decode_names(row.names) for row in segments]
        self._customers = list(dict.fromkeys(customer for of_row in names for customer in of_row))
        endpoints = (endpoint for of_row in names for of_one in of_row.values() for endpoint in of_one)
        self._endpoints = list(dict.fromkeys(["", *endpoints]))
        self._statuses = self._counted(segments, STATUS_BITS, "statuses")
        self._latencies = self._counted(segments, LATENCY_BITS, "latencies")
        self._sizes = self._counted(segments, SIZE_BITS, "sizes")

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return not len(self._statuses.heads)

    def add(self, row: RollupRow, commit: int) -> list[RollupRow]:
        """The segments to be written, see `segments`. `row`: the last segment that is stored of the other roll-up."""
        end = len(self._customers) * len(self._endpoints) * QUARTER_HOURS_A_DAY
        added, divided = partial(self._added, first=0, end=end), partial(self._halved, first=0, end=end)
        return segments(row, commit, self._most_characters, added, divided)

    def _halved(self, row: RollupRow, first: int, end: int) -> list[RollupRow]:
        added = self._added(row, first, end)
        heads = np.unique(self._statuses.between(first, end).heads)
        if added.size <= self._most_characters or len(heads) < 2:
            return [added]
        middle = int(heads[len(heads) // 2])
        return [*self._halved(row, first, middle), *self._halved(row, middle, end)]

    def _added(self, row: RollupRow, first: int, end: int) -> RollupRow:
        """A row with the counts of these heads, too."""
        statuses, latencies = self._statuses.between(first, end), self._latencies.between(first, end)
        names = decode_names(row.names)
        before = size_of(names)
        pairs = np.unique(statuses.heads // QUARTER_HOURS_A_DAY)
        texts = [
            (self._customers[customer], self._endpoints[endpoint])
            for customer, endpoint in (divmod(pair, len(self._endpoints)) for pair in pairs.tolist())
        ]
        places = places_in(names, texts, self._named if row.kind != "parts" else None)
        if row.endpoint_bits == NARROW and max((endpoint for _, endpoint in places), default=0) >= 1 << NARROW:
            row = widened(row)
        endpoint_bits = row.endpoint_bits if row.kind != "parts" else 0
        own = np.array([customer << endpoint_bits | endpoint for customer, endpoint in places], np.int64)

        def counted(text: str, counts: _Counts, bits: int) -> str:
            heads = own[np.searchsorted(pairs, counts.heads // QUARTER_HOURS_A_DAY)]
            together = packed(row.kind, heads, counts.heads % QUARTER_HOURS_A_DAY, counts.values, bits)
            return add_to_counter(text, encode_arrays(*sums_of(together, counts.amounts)))

        return row._replace(
            statuses=counted(row.statuses, statuses, STATUS_BITS),
            latencies=counted(row.latencies, latencies, LATENCY_BITS),
            sizes=counted(row.sizes, self._sizes.between(first, end), SIZE_BITS),
            names=row.names if size_of(names) == before else encode_names(names),
            left=0,
        )

    def _counted(self, segments: Sequence[RollupRow], bits: int, of: str) -> _Counts:
        together, amounts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for row in segments:
            for sign, text in ((1, getattr(row, of)), (-1, getattr(row, f"less_{of}"))):
                values, counts = counter_arrays(text)
                together.append(self._repacked(row, values, bits))
                amounts.append(sign * counts)
        found, counts = sums_of(np.concatenate(together), np.concatenate(amounts))
        if (counts < 0).any():
            raise ValueError("more was taken back of a roll-up than was counted")
        found, counts = found[counts > 0], counts[counts > 0]
        return _Counts(found >> bits, found & ((1 << bits) - 1), counts)

    def _repacked(self, row: RollupRow, together: Integers, bits: int) -> Integers:
        """The integers of a row: our own heads, and their values in the lower bits."""
        names = decode_names(row.names)
        quarter_hours: Integers = np.zeros_like(together)
        if row.kind in ("parts", "endpoint_parts"):
            quarter_hours, together = together & QUARTER_HOUR_MASK, together >> QUARTER_HOUR_BITS
        values, heads = together & ((1 << bits) - 1), together >> bits
        endpoint_bits = QUARTER_HOUR_BITS if row.kind == "hours" else row.endpoint_bits
        customers, endpoints = heads >> endpoint_bits, heads & ((1 << endpoint_bits) - 1)
        if row.kind == "parts":
            customers, endpoints = heads, np.zeros_like(heads)
        if row.kind == "hours":
            quarter_hours, endpoints = endpoints * QUARTER_HOURS_AN_HOUR, np.zeros_like(heads)
        elif row.kind != "parts":
            numbers = {endpoint: number for number, endpoint in enumerate(self._endpoints)}
            begins = np.array([0, *accumulate(map(len, names.values()))], np.int64)
            every = [numbers[endpoint] for of_customer in names.values() for endpoint in of_customer]
            endpoints = np.array([*every, 0], np.int64)[begins[customers] + endpoints]
        places = {customer: number for number, customer in enumerate(self._customers)}
        own = np.array([*(places[customer] for customer in names), 0], np.int64)[customers]
        of_day = (own * len(self._endpoints) + endpoints) * QUARTER_HOURS_A_DAY
        found: Integers = ((of_day + quarter_hours) << bits) | values
        return found
