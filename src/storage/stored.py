"""Requests as they were before they were stored."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

import numpy as np

from request_log.requests import NONE, Requests


def requests_of(rows: Iterable[tuple[int, int, str, str, int, float | None]]) -> Requests:
    """The requests of rows of offset (bytes), Unix time (s), customer, path, status and duration (s); without the
    durations as logged and the fractions of their times."""
    places: dict[str, int] = {}
    texts: dict[str, str] = {}
    customers, paths = [], []
    numbers: list[tuple[int, int, int, int]] = []
    for offset, second, customer, path, status, duration in rows:
        customers.append(places.setdefault(customer, len(places)))
        # Each text once in memory, however many rows have it.
        paths.append(texts.setdefault(path, path))
        numbers.append((offset, second, status, milliseconds(duration)))
    offsets, seconds, statuses, latencies = np.array(numbers, np.int64).reshape(-1, 4).T
    return Requests(
        names=list(places),
        customers=np.array(customers, np.int64),
        paths=paths,
        statuses=statuses,
        latencies=latencies,
        seconds=seconds,
        milliseconds=np.full(len(seconds), NONE),
        offsets=offsets,
    )


@lru_cache(100_000)
def milliseconds(duration: float | None) -> int:
    """A stored duration (s) in whole milliseconds, half up in decimal as the line has it; exact where that has no more
    than 15 digits, which is what a floating-point number holds. NONE where there is none."""
    return NONE if duration is None else int((Decimal(str(duration)) * 1000).to_integral_value(ROUND_HALF_UP))
