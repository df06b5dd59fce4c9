"""Tells the file that a position belongs to from every other, whatever it is called by now.

A fingerprint covers the first bytes of the file and the last before the position: a rotated file keeps it, so does a
copy, and a truncated or replaced file has another.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

HEAD_BYTES = 1024
TAIL_BYTES = 256


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of a file at an offset."""

    inode: int
    """It tells between files with the same bytes; alone it tells nothing, for the system gives it to another file."""
    modified: int
    """When the log was last written, as of the reading (Unix time, ns): what was written later comes later."""
    length: int
    """Bytes in the head; 0 where the log had no file with anything in it yet, and so nothing to know it by."""
    head: str
    """Hash of up to 1024 bytes from the file's start: of those before the offset, at its start of those after it."""
    tail: str
    """Hash of up to 256 bytes before the offset."""

    @classmethod
    def of(cls, file: int, offset: int) -> "Fingerprint":
        """Of an open file (its descriptor)."""
        start = max(0, offset - TAIL_BYTES)
        head = os.pread(file, min(HEAD_BYTES, offset or HEAD_BYTES), 0)
        return cls.of_bytes(file, head, os.pread(file, offset - start, start))

    @classmethod
    def of_bytes(cls, file: int, head: bytes, tail: bytes) -> "Fingerprint":
        """Of an open file whose first bytes and last before the offset are at hand."""
        return cls.of_nothing(0).moved(os.fstat(file), head, tail)

    @classmethod
    def of_nothing(cls, modified: int) -> "Fingerprint":
        """Of a log that has no file yet, when its rotated ones were last written at `modified` (Unix time, ns)."""
        return cls(0, modified, 0, _hash(b""), _hash(b""))

    @classmethod
    def decode(cls, text: str) -> "Fingerprint":
        """The reverse of `str()`."""
        inode, modified, length, head, tail = text.split("-")
        return cls(int(inode), int(modified), int(length), head, tail)

    def __str__(self) -> str:
        return f"{self.inode}-{self.modified}-{self.length}-{self.head}-{self.tail}"

    def moved(self, found: os.stat_result, head: bytes, tail: bytes) -> "Fingerprint":
        """Of the same log further on."""
        # The clock may have been set back since.
        modified = max(self.modified, found.st_mtime_ns)
        return Fingerprint(found.st_ino, modified, len(head), _hash(head), _hash(tail))

    def matches(self, file: int, offset: int) -> bool:
        """Whether an open file holds the bytes that this fingerprint was taken of, at `offset`."""
        return self.matches_bytes(lambda length, start: os.pread(file, length, start), offset)

    def matches_bytes(self, read: Callable[[int, int], bytes], offset: int) -> bool:
        """Whether what `read` gives, a length from a start on, is what this fingerprint was taken of, at `offset`."""
        start = max(0, offset - TAIL_BYTES)
        return (
            self.length > 0
            and _hash(read(self.length, 0)) == self.head
            and _hash(read(offset - start, start)) == self.tail
        )

    def matches_head(self, file: int | None) -> bool:
        """Whether an open file begins like the one that this fingerprint was taken of."""
        return file is not None and self.begins(os.pread(file, self.length, 0))

    def begins(self, head: bytes) -> bool:
        """Whether these first bytes of a file are those of the one that this fingerprint was taken of."""
        return self.length > 0 and _hash(head[: self.length]) == self.head


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
