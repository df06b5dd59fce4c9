"""Counts of spans of time that begin and end at quarter hours: the days, weeks and months of a time zone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from request_log.requests import Integers
from rollups.columns import QUARTER_HOURS_A_DAY, QUARTER_HOURS_AN_HOUR
from rollups.counters import stored_arrays
from rollups.counts import NO_COUNTS, RollupRow
from rollups.group_by import sums_of
from rollups.groups import LATENCY_BITS, QUARTER_HOUR_BITS, QUARTER_HOUR_MASK, STATUS_BITS, decode_names
from rollups.histogram import Histograms, outcomes_of_each, segment_sums

_NONE = np.empty(0, np.int64)
_IN_NO_SPAN = -1
# Characters of the counters that are decoded at once. Of few, most of the time goes into calls of numpy; the arrays of
# many do not fit into the processor's cache.
_CHARACTERS_AT_ONCE = 40_000

Counted = tuple[Integers, Integers]
"""The span and the value in one integer, ascending, and the requests of each."""


class OnlyHours(Exception):
    """Rows of schema 4 count by the hour, and a span begins within one."""

    def __init__(self, day: int) -> None:
        super().__init__(day)
        self.day = day
        """The UTC day, since 1970-01-01."""


class SpanCounts(NamedTuple):
    spans: list[int]
    """The number of each such span, ascending."""
    histograms: Histograms
    """The histogram of each."""
    statuses: Counter[int]
    """HTTP status -> requests, of all spans together."""


class DaySpans(NamedTuple):
    """The spans that a UTC day has quarter hours of."""

    first: int
    """The number of the first of them."""
    of_quarter_hour: NDArray[np.int8]
    """For each quarter hour of the day, the number of its span from the first one on; -1 where it is in none."""


class _Counter(NamedTuple):
    """A counter of a row."""

    day: int
    text: str
    place: int
    """The customer's, in the row."""
    is_by_hour: bool
    sign: Literal[1, -1]
    """-1: what was taken back."""


class DaySpanCounts(NamedTuple):
    """The counts of a customer's UTC day by span. The numbers of spans are those of `DaySpans.of_quarter_hour`."""

    statuses: Counted
    latencies: Counted

    @property
    def bytes(self) -> int:
        return sum(array.nbytes for counted in self for array in counted)


def spans_of_days(days: Sequence[int], edges: Integers) -> dict[int, DaySpans]:
    """UTC day -> the spans that it has quarter hours of.

    `edges`: the first quarter hour (since 1970-01-01) of each span, then the one after the last span; ascending. Where
    two are equal, the span between them is empty.
    """
    quarter_hours = np.array(days, np.int64)[:, None] * QUARTER_HOURS_A_DAY + np.arange(QUARTER_HOURS_A_DAY)
    of_quarter_hours = np.full((len(days), 1 << QUARTER_HOUR_BITS), _IN_NO_SPAN)
    of_quarter_hours[:, :QUARTER_HOURS_A_DAY] = np.searchsorted(edges, quarter_hours, side="right") - 1
    of_quarter_hours[of_quarter_hours == len(edges) - 1] = _IN_NO_SPAN
    # The first quarter hour of a day may be before all spans.
    firsts = np.where(of_quarter_hours >= 0, of_quarter_hours, len(edges)).min(axis=1)
    of_quarter_hours = np.where(of_quarter_hours >= 0, of_quarter_hours - firsts[:, None], _IN_NO_SPAN).astype(np.int8)
    return {day: DaySpans(*spans) for day, *spans in zip(days, firsts.tolist(), of_quarter_hours, strict=True)}


def counts_of_days(
    rows: Mapping[int, Iterable[RollupRow]], customer: str, spans: Mapping[int, DaySpans]
) -> dict[int, DaySpanCounts]:
    """The counts of a customer's UTC days, from their rows. OnlyHours where these do not tell the spans of a day apart.

    `spans`: of each day that is asked for.
    """
    statuses: list[_Counter] = []
    latencies: list[_Counter] = []
    for day, of_day in spans.items():
        for row in rows.get(day, ()):
            names = list(decode_names(row.names))
            if customer not in names:
                continue
            if row.kind == "hours":
                _check_hours(day, of_day.of_quarter_hour)
            place, is_by_hour = names.index(customer), row.kind == "hours"
            statuses.append(_Counter(day, row.statuses, place, is_by_hour, 1))
            latencies.append(_Counter(day, row.latencies, place, is_by_hour, 1))
            statuses.append(_Counter(day, row.less_statuses, place, is_by_hour, -1))
            latencies.append(_Counter(day, row.less_latencies, place, is_by_hour, -1))
    of_status, of_latency = _by_day(statuses, spans, STATUS_BITS), _by_day(latencies, spans, LATENCY_BITS)
    return {day: DaySpanCounts(_sums(of_status[day]), _sums(of_latency[day])) for day in spans}


def added_up(days: Iterable[tuple[DaySpans, DaySpanCounts]], edges: Integers) -> SpanCounts:
    """The counts of all spans, from those of UTC days. `edges`: as in `spans_of_days`."""
    statuses: list[Counted] = []
    latencies: list[Counted] = []
    for spans, counts in days:
        statuses.append((counts.statuses[0] + (spans.first << STATUS_BITS), counts.statuses[1]))
        latencies.append((counts.latencies[0] + (spans.first << LATENCY_BITS), counts.latencies[1]))
    return _summed(_sums(statuses), _sums(latencies), len(edges) - 1)


def _check_hours(day: int, spans: NDArray[np.int8]) -> None:
    """OnlyHours if quarter hours of one hour are in different spans."""
    by_hour = spans[:QUARTER_HOURS_A_DAY].reshape(-1, QUARTER_HOURS_AN_HOUR)
    if (by_hour != by_hour[:, :1]).any():
        raise OnlyHours(day)


def _by_day(counters: Iterable[_Counter], spans: Mapping[int, DaySpans], bits: int) -> dict[int, list[Counted]]:
    """Day -> what each of its counters has counted by span."""
    found: dict[int, list[Counted]] = {day: [] for day in spans}
    batch: list[_Counter] = []
    characters = 0
    for counter in counters:
        if counter.text == NO_COUNTS:
            continue
        if characters + len(counter.text) > _CHARACTERS_AT_ONCE:
            _add_by_span(found, batch, spans, bits)
            batch, characters = [], 0
        batch.append(counter)
        characters += len(counter.text)
    _add_by_span(found, batch, spans, bits)
    return found


def _add_by_span(
    found: Mapping[int, list[Counted]], counters: Sequence[_Counter], spans: Mapping[int, DaySpans], bits: int
) -> None:
    """Add the sum of the counts of each value in each span, ascending, of each of these counters."""
    if not counters:
        return
    # Values that nobody counted do no harm: see `_sums`.
    together, counts, sizes = stored_arrays([counter.text for counter in counters])
    # After the customer's place there are the value and the quarter hour; in rows by the hour, the hour and the value.
    places = np.array([counter.place for counter in counters]) << (bits + QUARTER_HOUR_BITS)
    if places.any() or int(together.max(initial=0)) >> (bits + QUARTER_HOUR_BITS):
        together -= places.repeat(sizes)
        is_own = (together >= 0) & (together >> (bits + QUARTER_HOUR_BITS) == 0)
        sizes = segment_sums(is_own, sizes)
        together, counts = together[is_own], counts[is_own]
    if any(counter.is_by_hour for counter in counters):
        together, counts = _by_quarter_hour(counters, together, counts, sizes, bits)
    table = np.concatenate([spans[counter.day].of_quarter_hour for counter in counters])
    rows_of_table = np.arange(len(counters)) << QUARTER_HOUR_BITS
    of_each = table.take((together & QUARTER_HOUR_MASK) + rows_of_table.repeat(sizes))
    values = together >> QUARTER_HOUR_BITS
    # The counts of a counter's value in a span follow one another.
    is_first = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=is_first[1:])
    is_first[1:] |= of_each[1:] != of_each[:-1]
    bounds = np.append(0, sizes.cumsum())
    is_first[bounds[bounds < len(values)]] = True
    firsts = is_first.nonzero()[0]
    if not len(firsts):
        return
    sums, of_first = np.add.reduceat(counts, firsts), of_each[firsts].astype(np.int64)
    # By counter, and then by span. The sort is stable, so the values of a span stay in order.
    spans_a_counter = int(table.max()) + 2
    groups = np.repeat(np.arange(len(counters)) * spans_a_counter + 1, np.diff(firsts.searchsorted(bounds))) + of_first
    order = groups.astype(np.min_scalar_type(len(counters) * spans_a_counter)).argsort(kind="stable")
    numbers, sums = (of_first[order] << bits) | values[firsts[order]], sums[order]
    # The first group of each counter is in no span.
    edges = groups[order].searchsorted(np.arange(len(counters) + 1) * spans_a_counter + [[1], [0]])
    for counter, first, end in zip(counters, edges[0, :-1].tolist(), edges[1, 1:].tolist(), strict=True):
        # Copies: a part of an array holds the memory of all of it.
        found[counter.day].append((numbers[first:end].copy(), counter.sign * sums[first:end]))


def _by_quarter_hour(
    counters: Sequence[_Counter], together: Integers, counts: Integers, sizes: Integers, bits: int
) -> tuple[Integers, Integers]:
    """The numbers of rows by the hour as those of rows by the quarter hour, ascending in each counter."""
    is_by_hour = np.array([counter.is_by_hour for counter in counters]).repeat(sizes)
    # Only a damaged row has hours beyond the day: they are in no span.
    quarter_hours = np.minimum((together >> bits) * QUARTER_HOURS_AN_HOUR, QUARTER_HOUR_MASK)
    moved = ((together & ((1 << bits) - 1)) << QUARTER_HOUR_BITS) | quarter_hours
    together = np.where(is_by_hour, moved, together)
    order = np.lexsort((together, np.arange(len(counters)).repeat(sizes)))
    return together[order], counts[order]


def _sums(parts: Sequence[Counted]) -> Counted:
    """All parts together, ascending, each integer once. Without those whose counts were all taken back."""
    numbers, counts = parts[0] if parts else (_NONE, _NONE)
    if len(parts) > 1:
        numbers, counts = (np.concatenate(of_parts) for of_parts in zip(*parts, strict=True))
    # The counts of a single row ascend already.
    is_ascending = bool((numbers[1:] > numbers[:-1]).all())
    together, sums = (numbers, counts) if is_ascending else sums_of(numbers, counts)
    is_counted = sums > 0
    # A copy of a million numbers takes milliseconds.
    return (together, sums) if is_counted.all() else (together[is_counted], sums[is_counted])


def _summed(statuses: Counted, latencies: Counted, count: int) -> SpanCounts:
    """`count`: the number of spans."""
    of_statuses, requests = statuses
    of_latencies, counts = latencies
    values = of_statuses & ((1 << STATUS_BITS) - 1)
    outcomes = outcomes_of_each(values, requests, np.bincount(of_statuses >> STATUS_BITS, minlength=count))
    found = np.flatnonzero(outcomes[0])
    by_status: Counter[int] = Counter()
    for status, of_status in zip(*(column.tolist() for column in sums_of(values, requests)), strict=True):
        by_status[status] = of_status
    bounds = of_latencies.searchsorted(np.arange(count + 1) << LATENCY_BITS)
    histograms = Histograms(
        outcomes[:, found],
        np.diff(bounds)[found],
        of_latencies & ((1 << LATENCY_BITS) - 1),
        counts,
    )
    return SpanCounts(found.tolist(), histograms, by_status)
