"""What flows from the source to the log handler."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from request_log.line import Reason
from request_log.requests import Parser, Rejected, Requests
from storage.contract import Gap
from storage.counts import Position

# What is kept of a line that is too long.
KEPT_BYTES = 1024
DIGEST_BYTES = 16


@dataclass(slots=True)
class Overlong:
    """A line too long to be a request, and so not held: only its length, its hash, its first bytes and its last."""

    length: int = 0
    beginning: bytes = b""
    end: bytes = b""
    digest: "hashlib.blake2b" = field(default_factory=lambda: hashlib.blake2b(digest_size=DIGEST_BYTES))

    def add(self, data: bytes) -> None:
        """The line's next bytes."""
        self.length += len(data)
        self.beginning += data[: KEPT_BYTES - len(self.beginning)]
        self.end = (self.end + data)[-KEPT_BYTES:]
        self.digest.update(data)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines of one log, from `start` up to `end`."""

    log: str
    path: str
    start: Position
    end: Position
    lines: bytes
    """Each line ends in a newline."""
    fingerprint: str
    """Of the file, at `end`."""
    behind: bool
    """Whether much more waits in the file."""
    due: float = 0.0
    """When its first line has waited as long as it may (monotonic seconds); a chunk that is full comes before that."""
    overlong: Overlong | None = None
    """Instead of lines: one that is too long."""
    gaps: tuple[Gap, ...] = ()
    """What could not be had any more, before `start`."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A chunk after parsing."""

    log: str
    path: str
    start: Position
    end: Position
    fingerprint: str
    behind: bool
    due: float
    gaps: tuple[Gap, ...]
    lines: bytes
    """As long as they are not stored."""
    requests: Requests
    rejected: list[Rejected]


def parse_chunk(chunk: Chunk, parse: Parser, oldest_day: int) -> Batch:
    """The requests of a chunk. Lines of days before `oldest_day` (days since 1970-01-01) are rejected."""
    if chunk.overlong is None:
        requests, rejected = parse(chunk.lines, chunk.start.offset, oldest_day)
    else:
        line = chunk.overlong
        requests = Requests()
        rejected = [Rejected(chunk.start.offset, Reason.TOO_LONG, line.beginning, line.length, line.digest.hexdigest())]
    return Batch(
        chunk.log,
        chunk.path,
        chunk.start,
        chunk.end,
        chunk.fingerprint,
        chunk.behind,
        chunk.due,
        chunk.gaps,
        chunk.lines,
        requests,
        rejected,
    )


def reject(batch: Batch, places: Sequence[int]) -> Batch:
    """The batch without the requests at these places: the store refuses them."""
    refused_places = set(places)
    refused = []
    for place in places:
        offset = int(batch.requests.offsets[place])
        start = offset - batch.start.offset
        refused.append(Rejected(offset, Reason.REFUSED, batch.lines[start : batch.lines.index(b"\n", start)]))
    return replace(
        batch,
        requests=batch.requests.select([place not in refused_places for place in range(len(batch.requests))]),
        rejected=sorted([*batch.rejected, *refused], key=attrgetter("offset")),
    )
