"""What the source hands on: whole lines of several logs together, as they were read."""

import hashlib
from dataclasses import dataclass, field

from storage.logs import FileState, Gap, Position

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
class Part:
    """Whole lines of one file of a log, from `start` up to `end`, or none: then it says how the file is now."""

    log: str
    path: str
    """Where the file is."""
    start: Position
    end: Position
    identity: str
    """Of the file, at `end`; see log_processor.following.identity."""
    length: int = 0
    """Bytes in `Chunk.lines`: one more than in the file where the file's last line has no newline; 0 for zeros that
    were skipped."""
    gaps: tuple[Gap, ...] = ()
    """What could not be read any more."""
    overlong: Overlong | None = None
    """Instead of lines: one that is too long."""
    state: FileState = "live"
    size: int = 0
    """Bytes that the file had when it was seen last."""
    copy_of: int | None = None
    """Of a copy: the number of the file that it is a copy of."""
    gone: int = 0
    """Since which day it is not there, see FileRow."""
    context: str = ""
    """What the file says before `start` of what is behind it, see request_log.framing.protocol.Framing."""
    context_after: str = ""
    """What it says before `end`."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines of several logs. The parts of a file are in its order."""

    parts: tuple[Part, ...] = ()
    lines: bytes = b""
    """Of all parts, in their order. Each line ends in a newline."""
    behind: bool = False
    """Whether much more waits in the files."""
    due: float = 0.0
    """When the first line has waited as long as it may (monotonic seconds). A full chunk comes before that."""
