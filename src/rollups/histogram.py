"""Histograms of latencies as arrays, from which figures are computed.

Arrays are ten times as fast as counters where a row has thousands of latencies, and an answer merges a month of rows.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from request_log.fields.values import NO_STATUS
from request_log.requests import NONE, Integers
from rollups.counters import counter_arrays, counters_arrays, decode_counter, encode_arrays, encode_counter
from rollups.counts import CLIENT_ERRORS, SERVER_ERRORS, SUCCESS, DailyAggregate, DayCounts, Outcomes
from rollups.group_by import sums_of

_NO_LATENCIES = np.empty(0, np.int64)
# The statuses of the fields of Outcomes, of which the last one also has requests without a status.
_FROM, _UNTIL = np.array(
    [(0, 1 << 62), *((some.start, some.stop) for some in (SUCCESS, CLIENT_ERRORS, SERVER_ERRORS))]
).T[:, :, np.newaxis]
# A status that stands for all failures without a class, in counts of which only the outcomes are kept.
_UNCLASSED = 100


@dataclass(frozen=True, slots=True)
class Histogram:
    """The latencies of some requests, and the outcomes of these."""

    outcomes: Outcomes
    """Also of requests without a latency, which were logged without a duration."""
    latencies: Integers
    """Whole milliseconds, ascending. A value may repeat."""
    counts: Integers
    """The requests with each of `latencies`."""

    @property
    def total(self) -> int:
        """All requests."""
        return self.outcomes.total

    @property
    def successful(self) -> int:
        """Requests that succeeded."""
        return self.outcomes.successful

    @property
    def timed(self) -> int:
        """Requests that have a latency."""
        return int(self.counts.sum())

    def copy(self) -> "Histogram":
        """A copy that owns its memory: one of several Histograms holds the memory of all of them."""
        return Histogram(self.outcomes, self.latencies.copy(), self.counts.copy())


@dataclass(frozen=True, slots=True)
class Histograms:
    """Several histograms in the same arrays, because an array of its own costs each more than its figures."""

    outcomes: Integers
    """A row for each field of Outcomes, with a column for each histogram."""
    sizes: Integers
    """The number of latencies of each."""
    latencies: Integers
    """`Histogram.latencies` of all, one after the other."""
    counts: Integers
    """`Histogram.counts` of all, one after the other."""

    def each(self) -> Iterator[Histogram]:
        ends = self.sizes.cumsum()
        for outcomes, start, end in zip(
            self.outcomes_of_each(), (ends - self.sizes).tolist(), ends.tolist(), strict=True
        ):
            yield Histogram(outcomes, self.latencies[start:end], self.counts[start:end])

    def outcomes_of_each(self) -> Iterator[Outcomes]:
        return map(Outcomes._make, self.outcomes.T.tolist())


def histogram_of(packed: DailyAggregate) -> Histogram:
    return histogram_of_arrays(decode_counter(packed.statuses), *counter_arrays(packed.latencies))


def histogram_of_arrays(statuses: Mapping[int, int], latencies: Integers, counts: Integers) -> Histogram:
    """A histogram from HTTP status -> requests, and from latencies (whole ms, ascending) with the requests of each."""
    successful = client_errors = server_errors = 0
    for status, count in statuses.items():
        if status in SUCCESS:
            successful += count
        elif status in CLIENT_ERRORS:
            client_errors += count
        elif status in SERVER_ERRORS or status == NO_STATUS:
            server_errors += count
    outcomes = Outcomes(sum(statuses.values()), successful, client_errors, server_errors)
    return Histogram(outcomes, latencies, counts)


def histogram_of_requests(requests: Sequence[tuple[int, int]]) -> Histogram:
    """The histogram of requests given as (HTTP status, whole milliseconds or NONE)."""
    statuses = Counter(status for status, _ in requests)
    timed = np.array([latency for _, latency in requests if latency != NONE], np.int64)
    return histogram_of_arrays(statuses, *np.unique(timed, return_counts=True))


def statuses_of(rows: Iterable[DailyAggregate]) -> Counter[int]:
    """HTTP status -> requests, of all these daily aggregates together."""
    statuses: Counter[int] = Counter()
    for row in rows:
        statuses.update(decode_counter(row.statuses))
    return statuses


def histogram_of_counts(counts: DayCounts) -> Histogram:
    latencies = sorted(counts.latencies)
    requests = list(map(counts.latencies.__getitem__, latencies))
    return histogram_of_arrays(counts.statuses, np.array(latencies, np.int64), np.array(requests, np.int64))


def merge(histograms: Sequence[Histogram]) -> Histogram:
    """The sum of these histograms. A latency of several of them repeats."""
    outcomes, latencies, counts = _joined(histograms)
    order = latencies.argsort(kind="stable")
    return Histogram(outcomes, latencies[order], counts[order])


def merge_for_good(histograms: Sequence[Histogram]) -> Histogram:
    """The sum of these histograms with each latency once. Faster where they have many in common, or where the sum is
    merged again."""
    outcomes, latencies, counts = _joined(histograms)
    return Histogram(outcomes, *sums_of(latencies, counts))


def net(histograms: Sequence[Histogram]) -> Histogram:
    """The sum of these histograms, some of which are negative: counts that were taken back."""
    outcomes, latencies, counts = _joined(histograms)
    latencies, counts = sums_of(latencies, counts)
    return Histogram(outcomes, latencies[counts > 0], counts[counts > 0])


def _joined(histograms: Sequence[Histogram]) -> tuple[Outcomes, Integers, Integers]:
    latencies = np.concatenate([_NO_LATENCIES, *(one.latencies for one in histograms)])
    counts = np.concatenate([_NO_LATENCIES, *(one.counts for one in histograms)])
    outcomes = Outcomes(*map(sum, zip(*(one.outcomes for one in histograms), strict=True)))
    return outcomes, latencies, counts


def histograms_of(rows: Collection[DailyAggregate]) -> Histograms:
    statuses, requests, sizes = counters_arrays([row.statuses for row in rows])
    outcomes = outcomes_of_each(statuses, requests, sizes)
    latencies, counts, sizes = counters_arrays([row.latencies for row in rows])
    return Histograms(outcomes, sizes, latencies, counts)


def outcomes_of_each(statuses: Integers, requests: Integers, sizes: Integers) -> Integers:
    """`Histograms.outcomes` of consecutive segments of HTTP statuses, with the requests of each status.

    `sizes`: the number of statuses of each segment.
    """
    are_in = (statuses >= _FROM) & (statuses < _UNTIL)
    are_in[-1] |= statuses == NO_STATUS
    return segment_sums(requests * are_in, sizes)


def merge_each(groups: Sequence[Sequence[DailyAggregate]]) -> Histograms:
    """The sum of each group of daily aggregates, with each latency once."""
    found = histograms_of([row for rows in groups for row in rows])
    sizes = np.array([len(rows) for rows in groups], np.int64)
    of_group = np.arange(len(groups)).repeat(segment_sums(found.sizes, sizes))
    # The group and the latency in one integer.
    span = int(found.latencies.max(initial=0)) + 1
    together, counts = sums_of(of_group * span + found.latencies, found.counts)
    return Histograms(
        segment_sums(found.outcomes, sizes),
        np.bincount(together // span, minlength=len(groups)),
        together % span,
        counts,
    )


def pack_each(histograms: Histograms) -> Iterator[DailyAggregate]:
    """Each histogram as a daily aggregate, whose statuses only tell the outcomes of its requests."""
    for one in histograms.each():
        total, *of_classes = one.outcomes
        statuses = dict(zip((SUCCESS.start, CLIENT_ERRORS.start, SERVER_ERRORS.start), of_classes, strict=True))
        statuses[_UNCLASSED] = total - sum(of_classes)
        yield DailyAggregate(encode_counter(statuses), encode_arrays(one.latencies, one.counts))


def segment_sums(values: Integers, sizes: Integers) -> Integers:
    """The sums of consecutive segments of `values` with these sizes, along the last axis."""
    through = np.zeros((*values.shape[:-1], values.shape[-1] + 1), np.int64)
    values.cumsum(-1, out=through[..., 1:])
    ends = sizes.cumsum()
    found: Integers = through[..., ends] - through[..., ends - sizes]
    return found
