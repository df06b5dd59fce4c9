"""A chunk: whole lines of several logs, as the source has read them."""

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import Struct, structs

from storage.logs import FileRow, FileState, Gap, Position

KEPT_BYTES = 1024
"""Bytes that are kept of a line that is too long: its first ones, and its last ones."""
DIGEST_BYTES = 16
"""Bytes of the hash of such a line."""


class Digest(Protocol):
    """A hash, as hashlib has it."""

    def update(self, data: bytes, /) -> None:
        """Take in the next bytes."""

    def hexdigest(self) -> str:
        """The hash, in hexadecimal digits."""


@dataclass(slots=True)
class Overlong:
    """A line that is too long to be a request. Only its length, its hash, its first and its last bytes are held."""

    length: int = 0
    beginning: bytes = b""
    end: bytes = b""
    digest: Digest = field(default_factory=lambda: hashlib.blake2b(digest_size=DIGEST_BYTES))

    def add(self, data: bytes) -> None:
        """Take in the next bytes of the line."""
        self.length += len(data)
        self.beginning += data[: KEPT_BYTES - len(self.beginning)]
        self.end = (self.end + data)[-KEPT_BYTES:]
        self.digest.update(data)


class Part(Struct, frozen=True):
    """Whole lines of one file of a log, from `start` up to `end`. A part without lines tells the state of the file."""

    log: str
    path: str
    """The path of the file."""
    start: Position
    end: Position
    identity: str
    """The identity of the file at `end`, see log_processor.following.identity."""
    length: int = 0
    """Bytes in `Chunk.lines`. One more than in the file where its last line has no newline; 0 where zeros were
    skipped."""
    gaps: tuple[Gap, ...] = ()
    """Ranges that could not be read any more."""
    overlong: Overlong | None = None
    """A line that is too long, instead of lines."""
    state: FileState = "live"
    size: int = 0
    """Bytes of the file when it was seen last."""
    copy_of: int | None = None
    """If the file is a copy: the number of the original."""
    gone: int = 0
    """The day since which the file is gone, see FileRow."""
    context: str = ""
    """The context at `start`, see request_log.framing.protocol.Framing."""
    context_after: str = ""
    """The context at `end`."""
    unit: int = 1
    """Bytes of the file that count as one in the sums of a log: those of a record, where the log is a partition."""

    def row_after(self, row: FileRow) -> FileRow:
        """The row of the file after this part of it is taken in."""
        return structs.replace(
            row,
            offset=self.end.offset,
            size=self.size,
            state=self.state,
            path=self.path,
            identity=self.identity,
            copy_of=self.copy_of,
            gone=self.gone,
            context=self.context_after,
        )


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines of several logs. The parts of a file are in the order of the file."""

    parts: tuple[Part, ...] = ()
    lines: bytes = b""
    """The lines of all parts, in the order of the parts. Each line ends in a newline."""
    has_backlog: bool = False
    """Whether there is a backlog: much more waits in the files."""
    due: float = 0.0
    """When the first line has to be handed on, monotonic seconds. A full chunk comes earlier."""
