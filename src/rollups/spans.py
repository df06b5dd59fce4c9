"""Counts of spans of time that begin and end at quarter hours: the days, weeks and months of a time zone."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from request_log.requests import Integers
from rollups.columns import QUARTER_HOURS_A_DAY, QUARTER_HOURS_AN_HOUR
from rollups.counters import stored_arrays
from rollups.counts import NO_COUNTS, RollupRow
from rollups.group_by import sums_of
from rollups.groups import LATENCY_BITS, QUARTER_HOUR_BITS, QUARTER_HOUR_MASK, STATUS_BITS, decode_names
from rollups.histogram import Histograms, outcomes_of_each

_NONE = np.empty(0, np.int64)
_IN_NO_SPAN = -1

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


def counts_of_day(day: int, rows: Iterable[RollupRow], customer: str, spans: DaySpans) -> DaySpanCounts:
    """The counts of a customer's UTC day, from its rows. OnlyHours where these do not tell the spans apart."""
    statuses: list[Counted] = []
    latencies: list[Counted] = []
    for row in rows:
        names = list(decode_names(row.names))
        if customer not in names:
            continue
        if row.kind == "hours":
            _check_hours(day, spans.of_quarter_hour)
        place = names.index(customer)
        for sign, of_statuses, of_latencies in (
            (1, row.statuses, row.latencies),
            (-1, row.less_statuses, row.less_latencies),
        ):
            for text, bits, found in ((of_statuses, STATUS_BITS, statuses), (of_latencies, LATENCY_BITS, latencies)):
                if text != NO_COUNTS:
                    numbers, counts = _counted(row, text, place, spans.of_quarter_hour, bits)
                    found.append((numbers, sign * counts))
    return DaySpanCounts(_sums(statuses), _sums(latencies))


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


def _counted(row: RollupRow, text: str, place: int, spans: NDArray[np.int8], bits: int) -> Counted:
    """What a counter counts of the customer with this place. `spans`: the span of each quarter hour, or -1."""
    # Values that nobody counted do no harm: see `_sums`.
    together, counts = stored_arrays(text)
    # After the place there are the value and the quarter hour; in rows by the hour, the hour and the value.
    if place or together[-1:].max(initial=0) >> (bits + QUARTER_HOUR_BITS):
        first, end = np.searchsorted(together, np.array([place, place + 1]) << (bits + QUARTER_HOUR_BITS))
        together, counts = together[first:end] - (place << (bits + QUARTER_HOUR_BITS)), counts[first:end]
    if row.kind != "hours":
        return _by_span(spans, together, counts, bits)
    # Only a damaged row has hours beyond the day: they are in no span.
    of_each = spans.take((together >> bits) * QUARTER_HOURS_AN_HOUR, mode="clip").astype(np.int64)
    is_counted = of_each >= 0
    return ((of_each << bits) | (together & ((1 << bits) - 1)))[is_counted], counts[is_counted]


def _by_span(spans: NDArray[np.int8], together: Integers, counts: Integers, bits: int) -> Counted:
    """The sum of the counts of each value in each span, ascending.

    `together`: value and quarter hour in one integer, ascending. So the counts of a value in a span follow one another.
    """
    span, values = spans[together & QUARTER_HOUR_MASK], together >> QUARTER_HOUR_BITS
    is_first = np.ones(len(values), bool)
    np.not_equal(values[1:], values[:-1], out=is_first[1:])
    is_first[1:] |= span[1:] != span[:-1]
    firsts = is_first.nonzero()[0]
    if not len(firsts):
        return _NONE, _NONE
    sums = np.add.reduceat(counts, firsts)
    of_first = span[firsts]
    # Stable, so the values of a span stay in order. Those in no span come first.
    order = of_first.argsort(kind="stable")[np.count_nonzero(of_first < 0) :]
    return (of_first[order].astype(np.int64) << bits) | values[firsts[order]], sums[order]


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
