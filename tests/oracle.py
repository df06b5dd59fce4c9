"""The truth: every figure of every customer's every day, computed from the log's bytes.

It shares no code with the project, and is written to be obvious rather than fast.
"""

from collections import defaultdict
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import ceil

Figures = tuple[int, int, int, int, int, float | None, float | None, float | None, float | None, float | None]
"""total, successful, failed, client errors, server errors, uptime, availability, average, median and p99 latency."""
EVERYBODY = None


def days_of(log: bytes) -> dict[tuple[str | None, str], Figures]:
    """(customer or EVERYBODY, date) -> figures. Lines without six fields are no requests; give it no other bad ones."""
    requests: dict[tuple[str | None, str], list[tuple[int | None, str]]] = defaultdict(list)
    for line in log.decode(errors="surrogateescape").split("\n"):
        fields = line.removesuffix("\r").split(" ")
        if len(fields) == 6:
            date, _, customer, _, status, duration = fields
            for whose in (customer, EVERYBODY):
                requests[whose, date].append((int(status), duration))
    return {key: figures(of_day) for key, of_day in requests.items()}


def rollups_of(log: bytes) -> dict[tuple[str, str, str | int], Figures]:
    """(customer, date, hour or endpoint) -> figures; give it paths that are their own templates, few a day."""
    requests: dict[tuple[str, str, str | int], list[tuple[int | None, str]]] = defaultdict(list)
    for line in log.decode(errors="surrogateescape").split("\n"):
        fields = line.removesuffix("\r").split(" ")
        if len(fields) == 6:
            date, clock, customer, path, status, duration = fields
            for part in (int(clock[:2]), path):
                requests[customer, date, part].append((int(status), duration))
    return {key: figures(of_part) for key, of_part in requests.items()}


def figures(requests: Sequence[tuple[int | None, str]]) -> Figures:
    """Of requests as (status, None where none was logged; duration in seconds, as logged, empty where none was)."""
    total = len(requests)
    successful = sum(1 for status, _ in requests if status is not None and 200 <= status <= 399)
    client_errors = sum(1 for status, _ in requests if status is not None and 400 <= status <= 499)
    server_errors = sum(1 for status, _ in requests if status is None or 500 <= status <= 599)
    of_requests = (
        total,
        successful,
        total - successful,
        client_errors,
        server_errors,
        float(Fraction(100 * successful, total)),
        float(Fraction(100 * (total - server_errors), total)),
    )
    latencies = sorted(int((Decimal(d) * 1000).to_integral_value(ROUND_HALF_UP)) for _, d in requests if d)
    timed = len(latencies)
    if not timed:
        return (*of_requests, None, None, None)
    middle = (latencies[(timed - 1) // 2] + latencies[timed // 2]) / Fraction(2)
    return (
        *of_requests,
        float(Fraction(sum(latencies), 1000 * timed)),
        float(middle / 1000),
        float(Fraction(latencies[ceil(Fraction(99, 100) * timed) - 1], 1000)),
    )
