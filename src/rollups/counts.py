"""The counts of one customer's one day, from which every figure is computed."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["hours", "paths"]
"""By what a customer's day is broken down: the hour of the day, or the template of the path."""

SUCCESS = range(200, 400)
"""The statuses of requests that succeeded; all others failed."""

Outcome = Literal["all", "failed", "successful"]
OUTCOMES: dict[Outcome, str] = {
    "all": "",
    "failed": f" AND (status_code < {SUCCESS.start} OR status_code >= {SUCCESS.stop})",
    "successful": f" AND status_code >= {SUCCESS.start} AND status_code < {SUCCESS.stop}",
}
"""Which requests those are, in SQL and in InfluxQL."""


class Position(NamedTuple):
    """A place in a log: how often the log had been rotated, and the byte offset in that generation's file. Ordered."""

    generation: int
    offset: int


class BreakdownKey(NamedTuple):
    """Requests of which group of customers (see rollups.groups) are broken down, of which UTC day (days since
    1970-01-01), and by what."""

    group: int
    day: int
    kind: "Kind"


CountsKey = tuple[str | None, int]
"""Whose counts, and of which UTC day (days since 1970-01-01). Customer None: all customers together."""


@dataclass(slots=True)
class DayCounts:
    """Counts of requests of one UTC day, absolute: they replace what was stored before."""

    statuses: Counter[int] = field(default_factory=Counter)
    """HTTP status -> requests."""
    latencies: Counter[int] = field(default_factory=Counter)
    """Whole milliseconds -> requests."""
    applied: dict[str, Position] = field(default_factory=dict)
    """Log -> through which position its lines are counted here."""

    def add(self, other: "DayCounts") -> None:
        """Add another's counts; `applied` stays as it is."""
        self.statuses.update(other.statuses)
        self.latencies.update(other.latencies)


class PackedCounts(NamedTuple):
    """A row of counts as it is stored, see rollups.counters."""

    statuses: str
    latencies: str
    applied: str


class Breakdown(NamedTuple):
    """A row of breakdowns as it is stored, see rollups.groups. Rows that would grow too large are continued: each
    has what the ones before it do not have."""

    segment: int
    """The row's number, from 0."""
    names: str
    """Without spaces."""
    statuses: str
    latencies: str
    applied: str
