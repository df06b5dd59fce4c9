"""What is counted, and the rows that hold it."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from request_log.fields.values import NO_STATUS

Kind = Literal["parts", "endpoints", "endpoint_parts", "hours"]
"""By what a roll-up divides a day: the part of the day (a quarter hour), the endpoint, or both. `hours` are rows of
before there were parts: they are read and no longer written."""

SUCCESS = range(200, 400)
"""The statuses of requests that succeeded; all others failed."""

NO_COUNTS = "H"
"""The text of a counter without counts, see rollups.counters."""


def logged_status(status: int) -> int | None:
    """The status of requests as it was logged; None where none was, so that they failed."""
    return None if status == NO_STATUS else status


class DailyKey(NamedTuple):
    """The row of a customer's UTC day (days since 1970-01-01). Customer None: all customers together."""

    customer: str | None
    day: int


class RollupKey(NamedTuple):
    """The row of a group of customers' UTC day (days since 1970-01-01), divided by `kind`, see rollups.groups."""

    group: int
    day: int
    kind: Kind


class RollupSegmentKey(NamedTuple):
    """One of the rows of a `RollupKey`: a row that would grow too large is continued by another one."""

    group: int
    day: int
    kind: Kind
    segment: int
    """The row's number, from 0."""


class DailyAggregate(NamedTuple):
    """A daily row as it is stored. Its counters are text, see rollups.counters."""

    statuses: str
    """HTTP status -> requests."""
    latencies: str
    """Whole milliseconds -> requests."""
    commit: int = 0
    """The number of the commit that counted in it last."""


class RollupRow(NamedTuple):
    """One segment of a roll-up as it is stored. It has what the segments before it do not have."""

    kind: Kind
    segment: int
    names: str
    """Customers and their endpoints, see rollups.groups; without spaces."""
    statuses: str
    latencies: str
    commit: int = 0
    """The number of the commit that counted in it last."""
    left: int = 0
    """Segments that this commit adds after this one."""
    less_statuses: str = NO_COUNTS
    """What was taken back of `statuses`, and of those of the segments before."""
    less_latencies: str = NO_COUNTS

    @property
    def size(self) -> int:
        """Characters of its texts."""
        of_less = len(self.less_statuses) + len(self.less_latencies)
        return len(self.names) + len(self.statuses) + len(self.latencies) + of_less

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted in it."""
        return self.statuses == self.less_statuses == NO_COUNTS


@dataclass(slots=True)
class DayCounts:
    """The counts of a day, unpacked."""

    statuses: Counter[int] = field(default_factory=Counter)
    """HTTP status -> requests."""
    latencies: Counter[int] = field(default_factory=Counter)
    """Whole milliseconds -> requests."""

    def add(self, other: "DayCounts") -> None:
        """Add another's counts."""
        self.statuses.update(other.statuses)
        self.latencies.update(other.latencies)
