"""Requests like those of real traffic: few busy and many quiet customers, some with more failures, long-tailed latency.

Each column comes from a random generator of its own. So a seed gives the same requests, whatever the batches and the
times are.
"""

from itertools import accumulate
from math import exp, log
from random import Random

from request_log.line import SECONDS_A_DAY, format_lines

# Path -> (share of the traffic in percent, median latency in ms).
PATHS = {
    "/api/v1/status": (5, 3),
    "/api/v1/login": (10, 120),
    "/api/v1/products": (30, 35),
    "/api/v1/products/search": (15, 180),
    "/api/v1/cart": (20, 50),
    "/api/v1/orders": (15, 90),
    "/api/v1/payments": (4, 400),
    "/api/v1/reports/monthly": (1, 2500),
}
# HTTP status -> share in percent, of the successful and of the failed requests.
SUCCEEDED = {200: 85, 201: 8, 204: 4, 301: 3}
FAILED = {400: 20, 401: 15, 404: 30, 429: 10, 500: 12, 502: 5, 503: 8}

LATENCY_SIGMA = 0.8
"""Spread of the lognormal latency: the 99th percentile is 6.4 times the median."""
MEDIAN_FAILURE_RATE = 0.01
FAILURE_RATE_SIGMA = 1.2
"""Spread of the customers' lognormal failure rates: one customer in twenty fails seven times as often as the median."""
MAX_FAILURE_RATE = 0.5


class Traffic:
    """An endless stream of requests. The same seed gives the same stream."""

    def __init__(self, seed: int, customers: int, history_days: int = 0) -> None:
        """`history_days`: the times are spread evenly over this many days before now, in no order; 0: all are now."""

        def stream(column: str) -> Random:
            return Random(f"{seed} {column}")

        self._history_seconds = history_days * SECONDS_A_DAY
        self._times = stream("times")
        self._customers = stream("customers")
        self._paths = stream("paths")
        self._successes = stream("successes")
        self._failures = stream("failures")
        self._outcomes = stream("outcomes")
        self._latencies = stream("latencies")

        # Zipf's law: the n-th busiest customer has 1/n of the busiest one's requests.
        self._busyness = list(accumulate(1 / rank for rank in range(1, customers + 1)))
        rates = stream("failure rates")
        self._failure_rates = {
            f"cust_{rank}": min(MAX_FAILURE_RATE, rates.lognormvariate(log(MEDIAN_FAILURE_RATE), FAILURE_RATE_SIGMA))
            for rank in range(1, customers + 1)
        }
        self._customer_ids = list(self._failure_rates)

    def lines(self, count: int, now: float) -> bytes:
        """The log lines of the next `count` requests; `now` is Unix time (s)."""
        customers = self._customers.choices(self._customer_ids, cum_weights=self._busyness, k=count)
        paths = self._paths.choices(list(PATHS), [share for share, _ in PATHS.values()], k=count)
        statuses = [
            failure if outcome < self._failure_rates[customer] else success
            for customer, outcome, success, failure in zip(
                customers,
                [self._outcomes.random() for _ in range(count)],
                self._successes.choices(list(SUCCEEDED), list(SUCCEEDED.values()), k=count),
                self._failures.choices(list(FAILED), list(FAILED.values()), k=count),
                strict=True,
            )
        ]
        durations_ms = [round(PATHS[path][1] * exp(self._latencies.gauss(0, LATENCY_SIGMA))) for path in paths]
        return format_lines(self._seconds(count, now), customers, paths, statuses, durations_ms)

    def _seconds(self, count: int, now: float) -> list[int]:
        if not self._history_seconds:
            return [int(now)] * count
        return [int(now - self._history_seconds * self._times.random()) for _ in range(count)]
