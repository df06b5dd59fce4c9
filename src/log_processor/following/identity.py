"""Tells a file from every other by its bytes, whatever it is called by now.

An identity is that of a file that was read from `start` through `offset`. It covers the file's first bytes, the last
before the offset, and all between `start` and the offset. Where nothing was read yet, it covers the first bytes that
were there. A renamed file keeps it, and so does a copy, compressed or
not.

Zeros are left out: a hole in a file says nothing about what the file is.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

HEAD_BYTES = 1024
TAIL_BYTES = 256
# Bytes are hashed in blocks, each with the hash of those before it. So hashing goes on after a restart without reading
# more than one block again.
BLOCK_BYTES = 64 << 10
# Marks are the ends of lines at which the hash of all before is kept: the first line's, and each next one at about
# twice the distance, up to a block. So many of them are kept dense, and so many in all.
DENSE_MARKS = 12
MOST_MARKS = 24

_DIGEST_BYTES = 8
_MARK_CHARACTERS = 8

Read = Callable[[int, int], bytes]
"""Reads a length from an offset on; fewer bytes only at the file's end."""
Samples = Sequence[tuple[int, bytes]]
"""Bytes of a file, each with their offset."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The end of a line, and the hash of all before it."""

    offset: int
    digest: str


@dataclass(frozen=True, slots=True)
class Block:
    """The last block that was hashed."""

    offset: int
    """Where it begins."""
    length: int
    """Bytes of it so far, without zeros."""
    before: str
    """Hash of the blocks before it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Of a file at an offset."""

    inode: int
    """It is tried first. Alone it tells nothing, for the system gives it to another file."""
    length: int
    """Bytes in the head. Without any it is no identity."""
    head: str
    """Hash of up to 1024 bytes from the file's beginning."""
    tail: str
    """Hash of up to 256 bytes before the offset."""
    whole: str = ""
    """Hash of all from `start` to the offset; "" where it is not known."""
    block: Block = Block(0, 0, "")
    marks: tuple[Mark, ...] = ()

    @classmethod
    def decode(cls, text: str) -> "Identity":
        """The reverse of `str()`. An empty text is the identity of nothing."""
        if not text:
            return NOTHING
        inode, length, head, tail, *rest = text.split("-")
        if not rest:
            return cls(int(inode), int(length), head, tail)
        whole, offset, hashed, before, *marks = rest
        return cls(
            int(inode),
            int(length),
            head,
            tail,
            whole,
            Block(int(offset), int(hashed), before),
            tuple(Mark(int(mark[_MARK_CHARACTERS:]), mark[:_MARK_CHARACTERS]) for mark in marks),
        )

    def __str__(self) -> str:
        values = [self.inode, self.length, self.head, self.tail]
        if self.whole:
            values += [self.whole, self.block.offset, self.block.length, self.block.before]
            values += [f"{mark.digest}{mark.offset}" for mark in self.marks]
        return "-".join(map(str, values))

    @classmethod
    def sampled(cls, inode: int, offset: int, read: Read) -> "Identity":
        """Of a file at an offset, by its first bytes and its last before the offset."""
        start = max(0, offset - TAIL_BYTES)
        return cls.of_bytes(inode, read(min(HEAD_BYTES, offset), 0), read(offset - start, start))

    @classmethod
    def of_bytes(cls, inode: int, head: bytes, tail: bytes) -> "Identity":
        """Of a file whose first bytes, and last before the offset, are at hand."""
        return cls(inode, len(head), _hash(head), _hash(tail))

    def moved(self, inode: int) -> "Identity":
        """Of the same bytes in another file."""
        return replace(self, inode=inode)

    def agrees(self, offset: int, read: Read) -> bool:
        """Whether the first bytes of a file, and its last before the offset, are those of this identity."""
        start = max(0, offset - TAIL_BYTES)
        return (
            self.length > 0
            and _hash(read(self.length, 0)) == self.head
            and _hash(read(offset - start, start)) == self.tail
        )

    def begins(self, start: int, head: bytes) -> bool:
        """Whether the first bytes of a text are those of this identity, of a file that was read from `start` on, as far
        as it knows them."""
        if not self.length or _hash(head[: self.length]) != self.head:
            return False
        size = len(head)
        return not any(mark.offset <= size for mark in self.marks) or self.begins_with(
            start, size, lambda length, offset: head[offset : offset + length]
        )

    def agrees_whole(self, start: int, offset: int, read: Read) -> bool:
        """Whether all bytes of a file through the offset are those of this identity, as far as it knows them."""
        if not self.agrees(offset, read):
            return False
        if not self.whole:
            return True
        hasher = Hasher(start)
        for block in blocks(read, start, offset):
            hasher.add(block)
        return hasher.digest() == self.whole

    def common(self, start: int, offset: int, size: int, read: Read) -> tuple[int, int]:
        """How far a file of `size` bytes that changed in its place is still what was read of it through the offset.

        It is the same through the first offset of the answer, and may be the same up to the second one. Both are ends
        of lines that were read, or where reading began, or the ends of the file.
        """
        hasher = Hasher(start)
        if self.whole and not self.block.length and not self.block.before:
            # Nothing but zeros was read.
            return start, start
        same = start
        for mark in self.marks:
            if mark.offset > size:
                break
            for block in blocks(read, same, mark.offset):
                hasher.add(block)
            if hasher.digest()[:_MARK_CHARACTERS] != mark.digest:
                return same, start if same == start else mark.offset
            same = mark.offset
        # Without its first line nothing of it can be the same.
        return same, start if same == start and self.marks else min(size, offset)

    def begins_with(self, start: int, size: int, read: Read) -> bool:
        """Whether a file of `size` bytes is the first part of what was read: at least its first line."""
        marks = [mark.offset for mark in self.marks if mark.offset <= size]
        return bool(marks) and self.common(start, marks[-1], size, read)[0] == marks[-1]


class Hasher:
    """Hashes a file as it is read, from `start` on, and makes its marks."""

    def __init__(self, start: int) -> None:
        self._start = start
        self.offset = start
        """Of the next byte."""
        self._block = Block(start, 0, "")
        self._hash = blake2b(digest_size=_DIGEST_BYTES)
        self.marks: list[Mark] = []
        self._step = BLOCK_BYTES
        self._next_mark = start

    @classmethod
    def resumed(cls, identity: Identity, start: int, offset: int, read: Read) -> "Hasher | None":
        """Go on at the offset of an identity; None where that does not know what is before."""
        if not identity.whole:
            return cls(start) if start == offset else None
        hasher = cls(start)
        hasher.offset = identity.block.offset
        hasher._begin_block(identity.block.before)
        hasher._next_mark = offset
        for block in blocks(read, identity.block.offset, offset):
            hasher.add(block)
        hasher.marks = list(identity.marks)
        hasher._plan_mark()
        return hasher if hasher.digest() == identity.whole else None

    def add(self, data: bytes) -> None:
        """The next bytes."""
        begin = 0
        while self.offset + len(data) - begin > self._next_mark:
            end = data.find(b"\n", max(begin, begin + self._next_mark - self.offset)) + 1
            if not end:
                break
            self._add(data[begin:end])
            self.marks.append(Mark(self.offset, self.digest()[:_MARK_CHARACTERS]))
            self._plan_mark()
            begin = end
        self._add(data[begin:] if begin else data)

    @property
    def has_hashed(self) -> bool:
        """Whether there was anything but zeros."""
        return bool(self._block.length or self._block.before)

    def skip(self, zeros: int) -> None:
        """So many zeros come next."""
        self.offset += zeros

    def digest(self) -> str:
        """The hash of all so far."""
        return self._hash.hexdigest()

    def identity(self, sampled: Identity) -> Identity:
        """With what was sampled at the same offset."""
        return replace(sampled, whole=self.digest(), block=self._block, marks=tuple(self.marks))

    def _plan_mark(self) -> None:
        if len(self.marks) > MOST_MARKS:
            self.marks = self.marks[:DENSE_MARKS] + self.marks[DENSE_MARKS::2]
            self._step *= 2
        last = self.marks[-1].offset if self.marks else self._start
        self._next_mark = last + max(1, min(self._step, last - self._start)) - 1

    def _begin_block(self, before: str) -> None:
        self._hash = blake2b(before.encode(), digest_size=_DIGEST_BYTES)
        self._block = Block(self.offset, 0, before)

    def _add(self, data: bytes) -> None:
        if b"\0" in data:
            for place, part in enumerate(data.split(b"\0")):
                self.offset += place > 0
                self._add(part)
            return
        begin = 0
        while begin < len(data):
            if self._block.length == BLOCK_BYTES:
                self._begin_block(self.digest())
            part = data[begin : begin + BLOCK_BYTES - self._block.length]
            self._hash.update(part)
            self._block = Block(self._block.offset, self._block.length + len(part), self._block.before)
            self.offset += len(part)
            begin += len(part)


NOTHING = Identity(0, 0, "", "")


def first_mark(line: bytes) -> str:
    """The digest of a file's first mark, by its first line."""
    hasher = Hasher(0)
    hasher._add(line)
    return hasher.digest()[:_MARK_CHARACTERS]


def has_all(samples: Samples, read: Read) -> bool:
    """Whether a file has these bytes where they were."""
    return all(read(len(data), offset) == data for offset, data in samples)


def blocks(read: Read, start: int, end: int) -> Iterator[bytes]:
    """The bytes between two offsets, some at a time."""
    while start < end and (block := read(min(BLOCK_BYTES, end - start), start)):
        start += len(block)
        yield block


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
