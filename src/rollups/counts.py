"""What is counted, and the rows that hold it."""

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, NamedTuple

from request_log.fields.values import NO_STATUS

RollupKind = Literal["parts", "endpoints", "endpoint_parts", "hours"]
"""What a roll-up groups the requests of a day by: the quarter hour (`parts`), the endpoint, or both. `hours` are
rows of schema 4, which counted by hours: they are read and no longer written."""

SUCCESS = range(200, 400)
"""HTTP statuses of requests that succeeded. Requests with any other status failed."""
CLIENT_ERRORS = range(400, 500)
"""HTTP statuses of failures for which the client is to blame."""
SERVER_ERRORS = range(500, 600)
"""HTTP statuses of failures for which the server is to blame. It is for requests without a status, too: they had no
answer."""

NARROW, WIDE = 7, 16
"""Bits of an endpoint's index in a row: as long as they hold the indices of all its endpoints, and from then on."""
NO_COUNTS = "H"
"""The text of a counter without counts, see rollups.counters."""


def logged_status(status: int) -> int | None:
    """A counted status as it was logged; None where none was logged, so that the requests failed."""
    return None if status == NO_STATUS else status


class Outcomes(NamedTuple):
    """How many requests there are, and how many of them had each outcome."""

    total: int = 0
    successful: int = 0
    client_errors: int = 0
    server_errors: int = 0
    """Also those without a status. Failures with a status below 200 or above 599 are in no class of errors."""


class SizeCounter(IntEnum):
    """What is counted of the sizes of responses."""

    REQUESTS = 0
    """Requests with a logged size."""
    BYTES = 1
    """The sum of these sizes, in bytes."""


class DailyKey(NamedTuple):
    """The key of a daily aggregate: a customer, or all customers together (None), and a UTC day (since 1970-01-01)."""

    customer: str | None
    day: int


class RollupKey(NamedTuple):
    """The key of a roll-up: a group of customers, a UTC day (since 1970-01-01), and what is grouped by."""

    group: int
    day: int
    kind: RollupKind


class RollupSegmentKey(NamedTuple):
    """The key of a segment of a roll-up: a row that would grow too large is continued by another one."""

    group: int
    day: int
    kind: RollupKind
    segment: int
    """The number of the segment, from 0."""


class DailyAggregate(NamedTuple):
    """The daily aggregate of a customer, as it is stored. Its counters are text, see rollups.counters."""

    statuses: str
    """HTTP status -> requests."""
    latencies: str
    """Whole milliseconds -> requests."""
    commit: int = 0
    """The number of the last commit that counted in it."""
    first: int = 0
    """The number of the commit that made it, if it is that of OTHER or if new customers of a later day were folded
    before; else 0."""


class RollupRow(NamedTuple):
    """A segment of a roll-up, as it is stored. Its counts add to those of the other segments."""

    kind: RollupKind
    segment: int
    names: str
    """Customers and their endpoints as text without spaces, see rollups.groups."""
    statuses: str
    """A counter whose values are integers of rollups.groups.packed."""
    latencies: str
    """A counter like `statuses`, with milliseconds in place of the status."""
    commit: int = 0
    """The number of the last commit that counted in it."""
    left: int = 0
    """How many segments that commit adds after this one."""
    less_statuses: str = NO_COUNTS
    """Counts that were taken back from `statuses`, of this segment and of those before."""
    less_latencies: str = NO_COUNTS
    """Counts that were taken back from `latencies`."""
    sizes: str = NO_COUNTS
    """Of rows by endpoint: a counter like `statuses`, with the SizeCounter in place of the status. Empty where no
    response's size was logged."""
    less_sizes: str = NO_COUNTS
    """What was taken back from `sizes`."""
    endpoint_bits: int = NARROW
    """Bits of an endpoint's index in the integers of all counters."""

    @property
    def size(self) -> int:
        """Characters of all texts."""
        of_less = len(self.less_statuses) + len(self.less_latencies) + len(self.less_sizes)
        return len(self.names) + len(self.statuses) + len(self.latencies) + len(self.sizes) + of_less

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return self.statuses == self.less_statuses == NO_COUNTS


@dataclass(slots=True)
class DayCounts:
    statuses: Counter[int] = field(default_factory=Counter)
    """HTTP status -> requests."""
    latencies: Counter[int] = field(default_factory=Counter)
    """Whole milliseconds -> requests."""

    def add(self, other: "DayCounts") -> None:
        self.statuses.update(other.statuses)
        self.latencies.update(other.latencies)
