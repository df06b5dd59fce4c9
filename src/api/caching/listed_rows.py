"""The rows of counts that the list of customers was made of, kept for those who ask for one of its customers next: so
that a first question about one need not ask the store for rows, too."""

from collections.abc import Mapping
from typing import NamedTuple

from rollups.counts import DailyAggregate

_BYTES_KEPT = 32 << 20
# Beside its texts, most of them for Python's objects.
_BYTES_A_ROW = 400


class _Listed(NamedTuple):
    days: range
    """That were read."""
    look: int
    """The number of the look after which they were."""
    rows: Mapping[int, DailyAggregate]
    size: int
    """In bytes, about."""


class ListedRows:
    """Those of as many customers as there is room for."""

    def __init__(self) -> None:
        self._listed: dict[str, _Listed] = {}
        self._bytes = 0

    def keep(self, days: range, look: int, rows: Mapping[str, Mapping[int, DailyAggregate]]) -> None:
        """Keep all rows of these customers over these days, unless those over more days are kept. `look`: the number of
        the latest look before they were read."""
        for customer, of_days in rows.items():
            before = self._listed.get(customer)
            if before is not None:
                if before.days != days and _covers(before.days, days):
                    continue
                self._bytes -= self._listed.pop(customer).size
            size = _BYTES_A_ROW * len(of_days)
            if not size or self._bytes + size > _BYTES_KEPT:
                continue
            size += sum(len(row.statuses) + len(row.latencies) for row in of_days.values())
            if self._bytes + size <= _BYTES_KEPT:
                self._listed[customer] = _Listed(days, look, of_days, size)
                self._bytes += size

    def of(self, customer: str | None, days: range) -> tuple[int, dict[int, DailyAggregate]] | None:
        """The number of that look, and the customer's rows over these days; None where they are not kept."""
        listed = self._listed.get(customer) if customer is not None else None
        if listed is None or not _covers(listed.days, days):
            return None
        return listed.look, {day: row for day, row in listed.rows.items() if day in days}


def _covers(days: range, others: range) -> bool:
    return others[0] in days and others[-1] in days
