"""The figures of the api, computed from counts in integers until the last division.

Both backends hand over the same integers, so their answers agree to the last digit.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

from storage.counts import DayCounts

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


def is_success(status: int) -> bool:
    """Whether a request with this HTTP status succeeded; every other failed."""
    return 200 <= status < 400


def statistics(counts: DayCounts) -> Statistics:
    """The figures of these counts. Exact at the resolution of the counts, a millisecond."""
    total = counts.statuses.total()
    successful = sum(count for status, count in counts.statuses.items() if is_success(status))
    if not total:
        return Statistics(0, 0, 0, None, None, None, None)
    latencies = _Sorted(counts.latencies)
    return Statistics(
        total_requests=total,
        successful_requests=successful,
        failed_requests=total - successful,
        uptime=100 * successful / total,
        average_latency=sum(map(mul, counts.latencies, counts.latencies.values())) / (1000 * total),
        # The mean of the middle two when the count is even; the middle one, twice, when it is odd.
        median_latency=(latencies.smallest((total + 1) // 2) + latencies.smallest(total // 2 + 1)) / 2000,
        # Nearest rank: the ceil(p/100 * n)-th smallest (Hyndman and Fan, 1996, definition 1).
        p99_latency=latencies.smallest((P99 * total + 99) // 100) / 1000,
    )


class _Sorted:
    """Looks values of a counted collection up by rank."""

    def __init__(self, counter: Counter[int]) -> None:
        self._values = sorted(counter)
        self._ranks = list(accumulate(map(counter.__getitem__, self._values)))

    def smallest(self, rank: int) -> int:
        """The rank-th smallest value, from 1."""
        return self._values[bisect_left(self._ranks, rank)]
