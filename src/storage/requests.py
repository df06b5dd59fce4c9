"""Requests, as they are stored, read back and asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from request_log.fields.values import NO_STATUS
from request_log.requests import Integers, Requests
from rollups.counts import CLIENT_ERRORS, SERVER_ERRORS, SUCCESS


class FileId(NamedTuple):
    """A file of a log, and where it lies in its lane. A request's identity is (writer, file, offset).

    `lane`, `base`: see storage.logs.FileRow.
    """

    log: str
    generation: int
    lane: int
    base: int


class OffsetRange(NamedTuple):
    """The requests of a file whose lines begin from offset `start` until before offset `end` (bytes)."""

    file: FileId
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class StoredRequests:
    files: Sequence[FileId]
    of_file: Integers
    """Each request's index in `files`."""
    requests: Requests
    """Offsets are those in the request's file."""


MOST_OF_PATH = 8_000
"""Characters of the path of a logged request. A line may have eight times as many, and an answer a thousand paths."""


class LoggedRequest(NamedTuple):
    """A request as it was logged, without its customer."""

    second: int
    """Unix time."""
    millisecond: int | None
    """Of that second; None where the time was logged without a fraction."""
    path: str
    """The first MOST_OF_PATH characters."""
    status: int
    """HTTP status; NO_STATUS where none was logged."""
    duration: float | None
    """Seconds; None where none was logged."""
    method: str | None = None
    """None where none was logged."""
    bytes: int | None = None
    """Size of the response; None where none was logged."""


Outcome = Literal["all", "failed", "successful", "client_errors", "server_errors"]
OUTCOMES: dict[Outcome, str] = {
    "all": "",
    "failed": f" AND (status_code < {SUCCESS.start} OR status_code >= {SUCCESS.stop})",
    "successful": f" AND status_code >= {SUCCESS.start} AND status_code < {SUCCESS.stop}",
    "client_errors": f" AND status_code >= {CLIENT_ERRORS.start} AND status_code < {CLIENT_ERRORS.stop}",
    "server_errors": f" AND (status_code = {NO_STATUS} OR status_code >= {SERVER_ERRORS.start}"
    f" AND status_code < {SERVER_ERRORS.stop})",
}
"""The condition for requests of this outcome, in SQL and in InfluxQL."""
