"""Tells the file that a position belongs to from every other, whatever it is called by now.

A fingerprint covers the first bytes of the file and the last before the position: a rotated file keeps it, so does a
copy, and a truncated or replaced file has another. A file of which nothing was read has no bytes to go by; it is known
by its inode, which the system may give to another file later.
"""

import os
from dataclasses import dataclass
from hashlib import blake2b

HEAD_BYTES = 1024
TAIL_BYTES = 256


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of a file at an offset."""

    inode: int
    modified: int
    """When the file was last written, as of the reading (Unix time, ns)."""
    head: str
    """Hash of up to 1024 bytes from the file's start, all before the offset."""
    tail: str
    """Hash of up to 256 bytes before the offset."""

    @classmethod
    def of(cls, file: int, offset: int) -> "Fingerprint":
        """Of an open file (its descriptor)."""
        head = os.pread(file, min(HEAD_BYTES, offset), 0)
        start = max(0, offset - TAIL_BYTES)
        return cls.of_bytes(file, head, os.pread(file, offset - start, start))

    @classmethod
    def of_bytes(cls, file: int, head: bytes, tail: bytes) -> "Fingerprint":
        """Of an open file whose first bytes and last before the offset are at hand."""
        found = os.fstat(file)
        return cls(found.st_ino, found.st_mtime_ns, _hash(head), _hash(tail))

    @classmethod
    def decode(cls, text: str) -> "Fingerprint":
        """The reverse of `str()`."""
        inode, modified, head, tail = text.split("-")
        return cls(int(inode), int(modified), head, tail)

    def __str__(self) -> str:
        return f"{self.inode}-{self.modified}-{self.head}-{self.tail}"

    def matches(self, file: int, offset: int) -> bool:
        """Whether an open file holds the bytes before `offset` that this fingerprint was taken of."""
        found = os.fstat(file)
        if found.st_size < offset:
            return False
        if offset == 0:
            return found.st_ino == self.inode
        other = Fingerprint.of(file, offset)
        return (other.head, other.tail) == (self.head, self.tail)


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()
