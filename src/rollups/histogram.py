"""Counts as arrays: what figures are computed from. Ten times as fast as counters where a row has thousands of
latencies, and a month of rows is merged for each answer."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from request_log.requests import NONE
from rollups.counters import Integers, counter_arrays, counters_arrays, decode_counter, encode_arrays, encode_counter
from rollups.counts import SUCCESS, DailyAggregate, DayCounts
from rollups.group_by import sums_of

_NO_LATENCIES = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many requests there are, how many of them succeeded, and how many took how long: a request that was logged
    without a duration has no latency."""

    total: int
    successful: int
    latencies: Integers
    """Whole milliseconds, ascending; the same may come several times."""
    counts: Integers
    """The requests of each."""

    @property
    def timed(self) -> int:
        """How many requests have a latency."""
        return int(self.counts.sum())

    def copy(self) -> "Histogram":
        """The same, to be kept: one of several holds the memory of all of them."""
        return Histogram(self.total, self.successful, self.latencies.copy(), self.counts.copy())


@dataclass(frozen=True, slots=True)
class Histograms:
    """Several histograms, one after the other: for very many of them, as what is done for each is little."""

    totals: Integers
    """An element a histogram, as the next two."""
    successful: Integers
    sizes: Integers
    """How many latencies and counts are its."""
    latencies: Integers
    counts: Integers

    def each(self) -> Iterator[Histogram]:
        """One by one."""
        ends = self.sizes.cumsum()
        numbers = (self.totals, self.successful, ends - self.sizes, ends)
        for total, successful, start, end in zip(*(column.tolist() for column in numbers), strict=True):
            yield Histogram(total, successful, self.latencies[start:end], self.counts[start:end])


def histogram_of(packed: DailyAggregate) -> Histogram:
    """The histogram of a stored row."""
    return histogram_of_arrays(decode_counter(packed.statuses), *counter_arrays(packed.latencies))


def histogram_of_arrays(statuses: Mapping[int, int], latencies: Integers, counts: Integers) -> Histogram:
    """The histogram of requests by HTTP status, and by latency in whole milliseconds, ascending."""
    successful = sum(count for status, count in statuses.items() if status in SUCCESS)
    return Histogram(sum(statuses.values()), successful, latencies, counts)


def histogram_of_requests(requests: Sequence[tuple[int, int]]) -> Histogram:
    """The histogram of requests of which each has an HTTP status and whole milliseconds, or NONE."""
    statuses = Counter(status for status, _ in requests)
    timed = np.array([latency for _, latency in requests if latency != NONE], np.int64)
    return histogram_of_arrays(statuses, *np.unique(timed, return_counts=True))


def statuses_of(rows: Iterable[DailyAggregate]) -> Counter[int]:
    """HTTP status -> requests, of all these stored rows together."""
    statuses: Counter[int] = Counter()
    for row in rows:
        statuses.update(decode_counter(row.statuses))
    return statuses


def histogram_of_counts(counts: DayCounts) -> Histogram:
    """The histogram of counts that are unpacked already."""
    latencies = sorted(counts.latencies)
    requests = list(map(counts.latencies.__getitem__, latencies))
    return histogram_of_arrays(counts.statuses, np.array(latencies, np.int64), np.array(requests, np.int64))


def merge(histograms: Sequence[Histogram]) -> Histogram:
    """The histogram of all of them together."""
    total, successful, latencies, counts = _joined(histograms)
    order = latencies.argsort(kind="stable")
    return Histogram(total, successful, latencies[order], counts[order])


def merge_for_good(histograms: Sequence[Histogram]) -> Histogram:
    """The same with each latency once: for what is merged with others again."""
    total, successful, latencies, counts = _joined(histograms)
    return Histogram(total, successful, *sums_of(latencies, counts))


def net(histograms: Sequence[Histogram]) -> Histogram:
    """The histogram of all of them together, of which some are negative: what was taken back."""
    total, successful, latencies, counts = _joined(histograms)
    latencies, counts = sums_of(latencies, counts)
    return Histogram(total, successful, latencies[counts > 0], counts[counts > 0])


def _joined(histograms: Sequence[Histogram]) -> tuple[int, int, Integers, Integers]:
    latencies = np.concatenate([_NO_LATENCIES, *(one.latencies for one in histograms)])
    counts = np.concatenate([_NO_LATENCIES, *(one.counts for one in histograms)])
    return sum(one.total for one in histograms), sum(one.successful for one in histograms), latencies, counts


def histograms_of(rows: Collection[DailyAggregate]) -> Histograms:
    """The histogram of each of these stored rows."""
    statuses, requests, sizes = counters_arrays([row.statuses for row in rows])
    is_success = (statuses >= SUCCESS.start) & (statuses < SUCCESS.stop)
    totals, successful = segment_sums(requests, sizes), segment_sums(np.where(is_success, requests, 0), sizes)
    latencies, counts, sizes = counters_arrays([row.latencies for row in rows])
    return Histograms(totals, successful, sizes, latencies, counts)


def merge_each(groups: Sequence[Sequence[DailyAggregate]]) -> Histograms:
    """The histogram of each group of stored rows; each latency comes once in it."""
    found = histograms_of([row for rows in groups for row in rows])
    sizes = np.array([len(rows) for rows in groups], np.int64)
    of_group = np.arange(len(groups)).repeat(segment_sums(found.sizes, sizes))
    # Groups and latencies in one integer.
    a_group = int(found.latencies.max(initial=0)) + 1
    together, counts = sums_of(of_group * a_group + found.latencies, found.counts)
    return Histograms(
        segment_sums(found.totals, sizes),
        segment_sums(found.successful, sizes),
        np.bincount(together // a_group, minlength=len(groups)),
        together % a_group,
        counts,
    )


def pack_each(histograms: Histograms) -> Iterator[DailyAggregate]:
    """Each of them as a row of counts. Of the statuses it has only whether they are those of success."""
    for one in histograms.each():
        statuses = {SUCCESS.start: one.successful, SUCCESS.stop: one.total - one.successful}
        yield DailyAggregate(encode_counter(statuses), encode_arrays(one.latencies, one.counts))


def segment_sums(values: Integers, sizes: Integers) -> Integers:
    """The sum of the first so many of the values, of the next so many, ..."""
    ends = sizes.cumsum()
    through = np.append(0, values.cumsum())
    found: Integers = through[ends] - through[ends - sizes]
    return found
