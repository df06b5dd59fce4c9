"""The row cache: daily aggregates that the list of customers has read, for later questions about one customer.

Without it, a first answer about a customer that was not prewarmed takes 1.3 times (SQLite) to twice (InfluxDB) as long.
"""

from collections.abc import Mapping
from typing import NamedTuple

from rollups.counts import DailyAggregate

OVERHEAD_BYTES = 400
"""What a row takes beside its text: mostly Python objects. A customer takes as much."""


class _Cached(NamedTuple):
    days: range
    """The days that were read."""
    poll: int
    """The number of the poll after which they were read."""
    rows: Mapping[int, DailyAggregate]
    size: int
    """Estimated bytes."""


class RowCache:
    """Keeps the rows of as many customers as there is room for."""

    def __init__(self, max_bytes: int = 32 << 20, max_customers: int = 20_000) -> None:
        """`max_bytes`: bound of all cached rows. `max_customers`: rows of more have mostly no text of their own, and
        their objects would keep much memory apart."""
        self._max_bytes = max_bytes
        self._max_customers = max_customers
        self._customers: dict[str, _Cached] = {}
        self._bytes = 0

    def put(self, days: range, poll: int, rows: Mapping[str, Mapping[int, DailyAggregate]]) -> None:
        """Cache all rows of these customers over these days, unless rows over more days are cached.

        `poll`: the number of the latest poll before the rows were read.
        """
        for customer, of_days in rows.items():
            before = self._customers.get(customer)
            if before is not None:
                if before.days != days and _covers(before.days, days):
                    continue
                self._bytes -= self._customers.pop(customer).size
            size = OVERHEAD_BYTES * (len(of_days) + 1)
            is_full = len(self._customers) >= self._max_customers
            if not of_days or is_full or self._bytes + size > self._max_bytes:
                continue
            size += sum(len(row.statuses) + len(row.latencies) for row in of_days.values())
            if self._bytes + size <= self._max_bytes:
                self._customers[customer] = _Cached(days, poll, of_days, size)
                self._bytes += size

    def get(self, customer: str | None, days: range) -> tuple[int, dict[int, DailyAggregate]] | None:
        """The number of the poll, and the customer's rows over these days; None if they are not cached."""
        cached = self._customers.get(customer) if customer is not None else None
        if cached is None or not _covers(cached.days, days):
            return None
        return cached.poll, {day: row for day, row in cached.rows.items() if day in days}


def _covers(days: range, others: range) -> bool:
    return others[0] in days and others[-1] in days
