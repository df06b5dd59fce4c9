"""A file of a log that has a number: how far it is read, and what became of it."""

from typing import Protocol

from log_processor.following.clock import Clock
from log_processor.following.identity import Identity
from log_processor.following.matching import FileAt
from log_processor.following.present import Candidate
from log_processor.following.reader import Reader
from request_log.framing.protocol import Framing
from storage.keys import FileKey
from storage.logs import FileRow, FileState, Gap, Position


class FamilyOfFile(Protocol):
    """What a file asks of its family, and tells it. See `family.Family`."""

    clock: Clock
    framing: Framing
    may_be_behind: bool
    """Whether speed counts more than freshness while there is much to read."""
    bytes: int
    """Bytes that were handed on of all files."""
    is_dirty: bool
    """Whether the files are to be looked at."""

    @property
    def reading(self) -> dict["File", Reader]:
        """The files that are open."""

    @property
    def news(self) -> dict["File", None]:
        """Files of which something other than lines is to be handed on."""


class File:
    """A file of a log that has a number."""

    def __init__(self, family: "FamilyOfFile", row: FileRow) -> None:
        self.family = family
        self.key = FileKey(row.log, row.generation)
        self.start = row.start
        self.state: FileState = row.state
        self.path = row.path
        self.copy_of = row.copy_of
        self.gone = row.gone
        self.gaps: list[Gap] = []
        """What could not be read, until someone takes it from here."""
        self.reader: Reader | None = None
        self.least_size: int | None = None
        """The fewest bytes that were seen in its place since it is no longer what was read of it."""
        self.size = row.size
        self.size_elsewhere = 0
        """Bytes that it had when another file had them all, and went on with its last line."""
        self.nameless_since: float | None = None
        """When it was first seen to have no name any more, monotonic seconds."""
        self._offset = row.offset
        self._identity = row.identity
        self._context = row.context

    @property
    def offset(self) -> int:
        """Through which it was handed on."""
        return self.reader.offset if self.reader is not None else self._offset

    @property
    def identity(self) -> str:
        """Of the file at the offset."""
        return (self.reader.identity if self.reader is not None else "") or self._identity

    @property
    def context(self) -> str:
        """What the file says before the offset of what is behind it, see request_log.framing.protocol.Framing."""
        return self.reader.context if self.reader is not None else self._context

    @property
    def position(self) -> Position:
        """Through which it was handed on."""
        return Position(self.key.generation, self.offset)

    @property
    def may_be_behind(self) -> bool:
        """Whether speed counts more than freshness while there is much to read."""
        return self.family.may_be_behind

    def read_from(self, descriptor: int, at: FileAt, is_final: bool) -> None:
        """Read on in the file at this place, from a descriptor of its text."""
        identity = Identity.decode(self.identity)
        family = self.family
        reader = Reader(
            descriptor, at, self.start, self.offset, identity, is_final, family.clock, family.framing, self.context
        )
        self.close_reader()
        self.reader = self.family.reading[self] = reader
        self.family.news[self] = None

    def note_last_line(self, candidate: Candidate, start: int) -> None:
        """Another file goes on after it, and is read from `start`."""
        if self.reader is not None:
            size = self.reader.size
            if candidate.read(size - start, start) == self.reader.read(size - start, start):
                self.size_elsewhere = size

    def move_to(self, inode: int, size: int) -> None:
        """It is this file now, which need not be read."""
        if self.reader is None and self._identity:
            self._identity = str(Identity.decode(self._identity).moved(inode))
        self.size = size

    def close_reader(self) -> None:
        """Close its descriptor."""
        if self.reader is not None:
            self._offset, self._identity, self._context = self.offset, self.identity, self.context
            self.reader.close()
            self.reader = None
            del self.family.reading[self]

    def close(self) -> None:
        """Nothing more is read under its number."""
        self.close_reader()
        self.state = "closed"
        self.family.news[self] = None
