"""A file of a log that has a generation: how far it is read, and its state."""

import math
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
    """The family as its files see it. See `family.Family`."""

    clock: Clock
    framing: Framing
    may_be_behind: bool
    """Whether speed counts more than freshness while there is much to read."""
    bytes: int
    """Bytes of all files that were handed on."""
    is_dirty: bool
    """Whether the files need a look."""

    @property
    def reading(self) -> dict["File", Reader]:
        """The files that are open."""

    @property
    def news(self) -> dict["File", None]:
        """Files with a change other than new lines that is to be handed on."""


class File:
    """A file of a log that has a generation."""

    def __init__(self, family: "FamilyOfFile", row: FileRow) -> None:
        self.family = family
        self.key = FileKey(row.log, row.generation)
        self.start = row.start
        self.state: FileState = row.state
        self.path = row.path
        self.copy_of = row.copy_of
        self.gone = row.gone
        self.gaps: list[Gap] = []
        """Gaps that are not handed on yet."""
        self.reader: Reader | None = None
        self.least_size: int | None = None
        """The fewest bytes that were seen in its place since the file changed there."""
        self._size = row.size
        self.size_elsewhere = 0
        """Bytes of the file when another file held them all, and continued its last line."""
        self.begun = -math.inf
        """When this process began the file, monotonic seconds."""
        self.nameless_since: float | None = None
        """When the file was first seen without a name, monotonic seconds."""
        self._offset = row.offset
        self._identity = row.identity
        self._context = row.context

    @property
    def offset(self) -> int:
        """The end of the bytes that were handed on."""
        return self.reader.offset if self.reader is not None else self._offset

    @property
    def size(self) -> int:
        """Bytes of the file on disk, as the last look or the last read found it."""
        reader = self.reader
        return self._size if reader is None or reader.is_of_text else max(self._size, reader.offset)

    @size.setter
    def size(self, size: int) -> None:
        self._size = size

    @property
    def identity(self) -> str:
        """The identity of the file at the offset, encoded."""
        return (self.reader.identity if self.reader is not None else "") or self._identity

    @property
    def context(self) -> str:
        """What the lines before the offset say about the next lines, see `request_log.framing.protocol.Framing`."""
        return self.reader.context if self.reader is not None else self._context

    @property
    def position(self) -> Position:
        """The end of the bytes that were handed on, with the generation."""
        return Position(self.key.generation, self.offset)

    @property
    def may_be_behind(self) -> bool:
        """Whether speed counts more than freshness while there is much to read."""
        return self.family.may_be_behind

    def read_from(self, descriptor: int, at: FileAt, is_final: bool) -> None:
        """Read on in the file with this device and inode.

        `descriptor`: of the file's text; the reader closes it. `is_final`: whether the file grows no more.
        """
        identity = Identity.decode(self.identity)
        family = self.family
        reader = Reader(
            descriptor, at, self.start, self.offset, identity, is_final, family.clock, family.framing, self.context
        )
        self.close_reader()
        self.reader = self.family.reading[self] = reader
        self.family.news[self] = None

    def note_last_line(self, candidate: Candidate, start: int) -> None:
        """Note whether `candidate`, which continues this file and is read from `start`, has this file's last line."""
        if self.reader is not None:
            size = self.reader.size
            if candidate.read(size - start, start) == self.reader.read(size - start, start):
                self.size_elsewhere = size

    def note_inode(self, inode: int, size: int) -> None:
        """Note the inode and the size (bytes) under which the file was found. It need not be read there."""
        if self.reader is None and self._identity:
            self._identity = str(Identity.decode(self._identity).moved(inode))
        self.size = size

    def close_reader(self) -> None:
        if self.reader is not None:
            self._offset, self._size = self.offset, self.size
            self._identity, self._context = self.identity, self.context
            self.reader.close()
            self.reader = None
            del self.family.reading[self]

    def close(self) -> None:
        """Close the file: nothing more is read under its generation."""
        self.close_reader()
        self.state = "closed"
        self.family.news[self] = None
