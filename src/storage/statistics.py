"""The figures of the api, computed from counts in integers until the last division.

Both backends hand over the same integers, so their answers agree to the last digit.
"""

from dataclasses import dataclass

from storage.counts import DayCounts
from storage.tally import Tally, tally

P99 = 99


@dataclass(frozen=True, slots=True)
class Statistics:
    """How requests fared. Latencies in seconds, uptime in percent; None where there are no requests."""

    total_requests: int
    successful_requests: int
    failed_requests: int
    uptime: float | None
    average_latency: float | None
    median_latency: float | None
    p99_latency: float | None


def statistics(counts: DayCounts) -> Statistics:
    """The figures of these counts. Exact at the resolution of the counts, a millisecond."""
    return figures(tally(counts))


def figures(tally: Tally) -> Statistics:
    """The figures of a tally."""
    total = tally.total
    if not total:
        return Statistics(0, 0, 0, None, None, None, None)
    # The mean of the middle two when the count is even; the middle one, twice, when it is odd.
    # Nearest rank: the ceil(p/100 * n)-th smallest (Hyndman and Fan, 1996, definition 1).
    ranks = ((total + 1) // 2, total // 2 + 1, (P99 * total + 99) // 100)
    lower, upper, p99 = tally.latencies[tally.counts.cumsum().searchsorted(ranks)].tolist()
    return Statistics(
        total_requests=total,
        successful_requests=tally.successful,
        failed_requests=total - tally.successful,
        uptime=100 * tally.successful / total,
        average_latency=int(tally.latencies.dot(tally.counts)) / (1000 * total),
        median_latency=(lower + upper) / 2000,
        p99_latency=p99 / 1000,
    )
