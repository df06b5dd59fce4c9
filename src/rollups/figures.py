"""The figures of the api, computed from counts in integers until the last division.

Both backends hand over the same integers, so their answers agree to the last digit.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rollups.counters import Integers
from rollups.counts import DayCounts
from rollups.histogram import Histogram, Histograms, histogram_of_counts, segment_sums

P99 = 99
BIN_EDGES = np.array(
    [0, 1, 2, 3, 5, 7, *(step * 10**power for power in range(7) for step in (10, 15, 20, 30, 50, 70)), 100_000_000]
)
"""Where the bins of latencies begin and end, in milliseconds: six to a power of ten, each about one and a half times as
wide as the one before, to 100,000 s. No latency is longer than a day."""

Number = TypeVar("Number", int, Integers)


class Statistics(NamedTuple):
    """How requests fared. Latencies in seconds, uptime in percent; None where there are no requests, or none that has a
    latency."""

    total_requests: int
    successful_requests: int
    failed_requests: int
    uptime: float | None
    average_latency: float | None
    median_latency: float | None
    p99_latency: float | None


NOTHING = Statistics(0, 0, 0, None, None, None, None)


def statistics(counts: DayCounts) -> Statistics:
    """The figures of these counts. Exact at the resolution of the counts, a millisecond."""
    return figures(histogram_of_counts(counts))


def figures(histogram: Histogram) -> Statistics:
    """The figures of a histogram."""
    if not histogram.total:
        return NOTHING
    timed = histogram.timed
    ranked = _at(histogram.latencies, histogram.counts, np.array(_ranks(timed)))
    return _figures(
        histogram.total, histogram.successful, timed, int(histogram.latencies.dot(histogram.counts)), *ranked.tolist()
    )


def percentiles(histogram: Histogram, asked: Sequence[int]) -> list[float | None]:
    """The latencies (s) at these percentiles, which are given in thousandths (99900: the 99.9th); None where there are
    none. The nearest rank, as for `p99_latency`."""
    timed = histogram.timed
    if not timed:
        return [None] * len(asked)
    # Negated, for `//` rounds down, and the rank is rounded up.
    ranks = [-(-percentile * timed // 100_000) for percentile in asked]
    found: list[int] = histogram.latencies[histogram.counts.cumsum().searchsorted(ranks)].tolist()
    return [milliseconds / 1000 for milliseconds in found]


def latency_bins(histogram: Histogram) -> list[tuple[int, int, int]]:
    """The requests in each bin of latencies, from the first to the last bin that has any: from (ms, inclusive),
    to (ms, exclusive), requests."""
    if not histogram.timed:
        return []
    of_latency = BIN_EDGES.searchsorted(histogram.latencies, side="right") - 1
    requests = np.zeros(len(BIN_EDGES) - 1, np.int64)
    np.add.at(requests, of_latency, histogram.counts)
    edges = BIN_EDGES.tolist()
    bins = list(zip(edges[:-1], edges[1:], requests.tolist(), strict=True))
    # Latencies are ascending.
    return bins[of_latency[0] : of_latency[-1] + 1]


def figures_of_each(histograms: Histograms) -> list[Statistics]:
    """The figures of each of several histograms, which all have requests."""
    timed = segment_sums(histograms.counts, histograms.sizes)
    milliseconds = segment_sums(histograms.latencies * histograms.counts, histograms.sizes)
    ranked = _at(histograms.latencies, histograms.counts, np.stack(_ranks(timed)) + (timed.cumsum() - timed))
    columns = (histograms.totals, histograms.successful, timed, milliseconds, *ranked)
    return list(map(_figures, *(column.tolist() for column in columns)))


def _at(latencies: Integers, counts: Integers, ranks: NDArray[Any]) -> Integers:
    """The latencies at these ranks; any where there are none."""
    return np.append(latencies, 0)[counts.cumsum().searchsorted(ranks)]


def _ranks(total: Number) -> tuple[Number, Number, Number]:
    """The ranks, from 1, of the middle two latencies (of the middle one, twice, when their count is odd), and of the
    99th percentile: the nearest rank, the ceil(p/100 * n)-th smallest (Hyndman and Fan, 1996, definition 1)."""
    return (total + 1) // 2, total // 2 + 1, (P99 * total + 99) // 100


def _figures(
    total: int, successful: int, timed: int, milliseconds: int, lower: int, upper: int, p99: int
) -> Statistics:
    return Statistics(
        total_requests=total,
        successful_requests=successful,
        failed_requests=total - successful,
        uptime=100 * successful / total,
        average_latency=milliseconds / (1000 * timed) if timed else None,
        median_latency=(lower + upper) / 2000 if timed else None,
        p99_latency=p99 / 1000 if timed else None,
    )
