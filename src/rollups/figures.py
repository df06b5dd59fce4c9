"""The figures of the api: outcomes, uptime, average, percentiles and distribution of latencies.

They are exact. All are computed in integers until the last division, so both stores give the same answer to the last
digit. Percentiles are nearest ranks: the ceil(p / 100 * n)-th smallest of n latencies, which is definition 1 of Hyndman
and Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from request_log.requests import Integers
from rollups.counts import DayCounts, Outcomes
from rollups.histogram import Histogram, Histograms, histogram_of_counts, segment_sums

P99 = 99
"""The percentile of `Figures.p99_latency`."""
BIN_EDGES = np.array(
    [0, 1, 2, 3, 5, 7, *(step * 10**power for power in range(7) for step in (10, 15, 20, 30, 50, 70)), 100_000_000]
)
"""Edges of the bins of latencies (ms), up to 100,000 s: no latency is longer than a day. Six to a power of ten, each
about 1.5 times the one before, close to the preferred numbers of the series E6 (IEC 60063)."""

Number = TypeVar("Number", int, Integers)
Share = TypeVar("Share", float, NDArray[np.float64])


class Figures(NamedTuple):
    """The figures of some requests. Latencies are in seconds, and None where no request has one."""

    total_requests: int
    successful_requests: int
    failed_requests: int
    client_errors: int
    server_errors: int
    uptime: float | None
    """100 * successful / total, in percent; None where there are no requests."""
    availability: float | None
    """100 * (total - server errors) / total, in percent; None where there are no requests."""
    average_latency: float | None
    median_latency: float | None
    """The mean of the middle two where their number is even."""
    p99_latency: float | None


NOTHING = Figures(0, 0, 0, 0, 0, None, None, None, None, None)


def figures_of_counts(counts: DayCounts) -> Figures:
    """The figures of these counts, exact to the millisecond."""
    return figures(histogram_of_counts(counts))


def figures(histogram: Histogram) -> Figures:
    if not histogram.total:
        return NOTHING
    timed = histogram.timed
    ranked = _at(histogram.latencies, histogram.counts, np.array(_ranks(timed)))
    return _figures(histogram.outcomes, timed, int(histogram.latencies.dot(histogram.counts)), *ranked.tolist())


def percentiles(histogram: Histogram, asked: Sequence[int]) -> list[float | None]:
    """The latencies (s) at these percentiles, by nearest rank; None where there are no latencies.

    `asked`: in thousandths, so that 99900 is the 99.9th percentile.
    """
    timed = histogram.timed
    if not timed:
        return [None] * len(asked)
    # Negated twice, because `//` rounds down and ranks are rounded up.
    ranks = [-(-percentile * timed // 100_000) for percentile in asked]
    found: list[int] = histogram.latencies[histogram.counts.cumsum().searchsorted(ranks)].tolist()
    return [milliseconds / 1000 for milliseconds in found]


def latency_bins(histogram: Histogram) -> list[tuple[int, int, int]]:
    """(from in ms, inclusive; to in ms, exclusive; requests) of each bin, from the first to the last that has any."""
    if not histogram.timed:
        return []
    # Only a damaged row has latencies beyond the last edge.
    of_latency = np.minimum(BIN_EDGES.searchsorted(histogram.latencies, side="right"), len(BIN_EDGES) - 1) - 1
    requests = np.zeros(len(BIN_EDGES) - 1, np.int64)
    np.add.at(requests, of_latency, histogram.counts)
    edges = BIN_EDGES.tolist()
    bins = list(zip(edges[:-1], edges[1:], requests.tolist(), strict=True))
    # Latencies are ascending.
    return bins[of_latency[0] : of_latency[-1] + 1]


def figures_of_each(histograms: Histograms) -> list[Figures]:
    """The figures of each of these histograms, which all have requests."""
    timed = segment_sums(histograms.counts, histograms.sizes)
    milliseconds = segment_sums(histograms.latencies * histograms.counts, histograms.sizes)
    ranked = _at(histograms.latencies, histograms.counts, np.stack(_ranks(timed)) + (timed.cumsum() - timed))
    columns = (timed, milliseconds, *ranked)
    return list(map(_figures, histograms.outcomes_of_each(), *(column.tolist() for column in columns)))


def _at(latencies: Integers, counts: Integers, ranks: NDArray[Any]) -> Integers:
    """The latencies at these ranks (from 1). Without any latencies the values mean nothing."""
    return np.append(latencies, 0)[counts.cumsum().searchsorted(ranks)]


def _ranks(total: Number) -> tuple[Number, Number, Number]:
    """The ranks (from 1) of the middle two latencies, and of the 99th percentile. With an odd number of latencies, the
    middle one comes twice."""
    return (total + 1) // 2, total // 2 + 1, (P99 * total + 99) // 100


def uptime(successful: Share, total: Share) -> Share:
    """The percentage of the requests that succeeded, of numbers or of columns.

    All figures of the api, CSV and page have it from here. `verify` has a definition of its own.
    """
    return 100 * successful / total


def availability(server_errors: Share, total: Share) -> Share:
    """The percentage of the requests without a server error, of numbers or of columns. All figures of the api, CSV and
    page have it from here."""
    return 100 * (total - server_errors) / total


def figures_of(outcomes: Outcomes, average: float | None, median: float | None, p99: float | None) -> Figures:
    """The figures of requests with these outcomes and latencies (s).

    There may be no requests: until they are removed, rows remain whose requests were all taken back.
    """
    total, successful, client_errors, server_errors = outcomes
    return Figures(
        total_requests=total,
        successful_requests=successful,
        failed_requests=total - successful,
        client_errors=client_errors,
        server_errors=server_errors,
        uptime=uptime(successful, total) if total else None,
        availability=availability(server_errors, total) if total else None,
        average_latency=average,
        median_latency=median,
        p99_latency=p99,
    )


def _figures(outcomes: Outcomes, timed: int, milliseconds: int, lower: int, upper: int, p99: int) -> Figures:
    if not timed:
        return figures_of(outcomes, None, None, None)
    return figures_of(outcomes, milliseconds / (1000 * timed), (lower + upper) / 2000, p99 / 1000)
