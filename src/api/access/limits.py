"""Limits: a token bucket for each caller. Each process has buckets of its own."""

import time
from collections.abc import Callable

BURST_SECONDS = 4.0
"""Seconds in which a full bucket fills: so many seconds' requests may come at once."""
_MAX_BUCKETS = 10_000
"""Callers are as many as keys, or as a proxy names. Beyond this many, whoever asked least recently has a new bucket."""


class Limits:
    """Token buckets that fill by `rate` tokens a second. A request takes one."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._size = max(1.0, rate * BURST_SECONDS)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """By name, the least recently used first: the tokens at a time (s)."""

    def take(self, name: str) -> float:
        """Take a token. Returns 0, or the seconds until there is one."""
        now = self._clock()
        tokens, at = self._buckets.pop(name, (self._size, now))
        tokens = min(self._size, tokens + (now - at) * self._rate)
        wait = 0.0 if tokens >= 1.0 else (1.0 - tokens) / self._rate
        self._buckets[name] = (tokens if wait else tokens - 1.0, now)
        if len(self._buckets) > _MAX_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        return wait
