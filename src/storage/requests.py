"""Requests, as they are stored, read back and asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from request_log.requests import Integers, Requests
from rollups.counts import SUCCESS


class FileId(NamedTuple):
    """A file, and where it lies in its lane. A request is (writer, file, offset)."""

    log: str
    generation: int
    lane: int
    base: int


class OffsetRange(NamedTuple):
    """Requests of one file: those whose lines begin from `start` until before `end`, in bytes."""

    file: FileId
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class StoredRequests:
    """Requests to be stored, or read back."""

    files: Sequence[FileId]
    of_file: Integers
    """Of each request its place in `files`."""
    requests: Requests
    """Each one's offset is that in its file."""


class LoggedRequest(NamedTuple):
    """A request as it was logged; whose it is was asked for."""

    second: int
    """Unix time."""
    millisecond: int | None
    """Of that second; None: the time was logged without a fraction."""
    path: str
    status: int
    """NO_STATUS: none was logged."""
    duration: float | None
    """Seconds; None: none was logged."""
    method: str | None = None
    """None: none was logged."""
    bytes: int | None = None
    """Of the answer; None: they were not logged."""


Outcome = Literal["all", "failed", "successful"]


OUTCOMES: dict[Outcome, str] = {
    "all": "",
    "failed": f" AND (status_code < {SUCCESS.start} OR status_code >= {SUCCESS.stop})",
    "successful": f" AND status_code >= {SUCCESS.start} AND status_code < {SUCCESS.stop}",
}
"""Which requests those are, in SQL and in InfluxQL."""
