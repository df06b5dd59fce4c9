"""Tells a file from every other file by its bytes, under any name.

An identity belongs to a file that was read from `start` through `offset`. It covers the first bytes of the file, the
last bytes before the offset, and all bytes between `start` and the offset. Before anything but zeros is read, it covers
the first bytes after them. A renamed file keeps its identity, and so does a copy, compressed or not.

Zeros are left out, because a hole in a file tells nothing about the file.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b

from msgspec import Struct, structs

from storage.damage import damaged_row

# Bytes of a file's head, and bytes before the offset, that an identity covers with hashes of their own.
HEAD_BYTES = 1024
TAIL_BYTES = 256
# Bytes of a block. The hash of a block covers the hash of the block before it. So a restart reads at most one block
# again before hashing goes on.
BLOCK_BYTES = 64 << 10
# Numbers of marks. A mark is the end of a line at which the hash of all bytes before it is kept. The first mark is the
# end of the first line, and each next mark is about twice as far, up to a block. The first DENSE_MARKS are always kept.
# When there are more than MOST_MARKS, every second of the others is dropped.
DENSE_MARKS = 12
MOST_MARKS = 24

_ZEROS = re.compile(rb"\0+")
_DIGEST_BYTES = 8
_MARK_CHARACTERS = 8

Read = Callable[[int, int], bytes]
"""Reads `(length, offset)` of a file; fewer bytes only at the file's end."""
Samples = Sequence[tuple[int, bytes]]
"""Pieces of a file: offset and bytes."""


class Mark(Struct, frozen=True):
    """The end of a line, and the hash of all bytes before it."""

    offset: int
    digest: str
    """The first 8 hexadecimal digits of the hash."""


class Block(Struct, frozen=True):
    """The last block that was hashed."""

    offset: int
    """Offset of the block's first byte."""
    length: int
    """Bytes of the block so far, without zeros."""
    before: str
    """Hash of the blocks before this block."""


class Identity(Struct, frozen=True):
    """The identity of a file at an offset."""

    inode: int
    """A file with this inode is tried first. The inode alone proves nothing, because a system reuses inodes."""
    length: int
    """Bytes in the head. Without any the identity matches no file."""
    head: str
    """Hash of up to HEAD_BYTES from `head_at` on."""
    tail: str
    """Hash of up to TAIL_BYTES before the offset."""
    whole: str = ""
    """Hash of all bytes from `start` to the offset; "" if it is not known."""
    block: Block = Block(0, 0, "")
    marks: tuple[Mark, ...] = ()
    head_at: int = 0
    """Where the head begins: after zeros, if nothing else was read."""

    @classmethod
    def decode(cls, text: str) -> "Identity":
        """The reverse of `str()`. An empty text decodes to NOTHING. Raises DamagedRow if the text is no identity."""
        if not text:
            return NOTHING
        try:
            inode, sizes, head, tail, *rest = text.split("-")
            length, *head_at = map(int, sizes.split("@"))
            if not rest:
                return cls(int(inode), length, head, tail)
            whole, offset, hashed, before, *marks = rest
            return cls(
                int(inode),
                length,
                head,
                tail,
                whole,
                Block(int(offset), int(hashed), before),
                tuple(Mark(int(mark[_MARK_CHARACTERS:]), mark[:_MARK_CHARACTERS]) for mark in marks),
                *head_at,
            )
        except (ValueError, TypeError) as error:
            raise damaged_row("of a file, its identity,", text) from error

    def __str__(self) -> str:
        length = f"{self.length}@{self.head_at}" if self.head_at else self.length
        values = [self.inode, length, self.head, self.tail]
        if self.whole:
            values += [self.whole, self.block.offset, self.block.length, self.block.before]
            values += [f"{mark.digest}{mark.offset}" for mark in self.marks]
        return "-".join(map(str, values))

    @classmethod
    def sampled(cls, inode: int, offset: int, read: Read) -> "Identity":
        """The identity of a file by its first bytes and by its last bytes before the offset."""
        start = max(0, offset - TAIL_BYTES)
        return cls.of_bytes(inode, read(min(HEAD_BYTES, offset), 0), read(offset - start, start))

    @classmethod
    def of_bytes(cls, inode: int, head: bytes, tail: bytes, head_at: int = 0) -> "Identity":
        """The identity of a file, from its first bytes and its last bytes before the offset."""
        return cls(inode, len(head), _hash(head), _hash(tail), head_at=head_at)

    def moved(self, inode: int) -> "Identity":
        """The identity of equal bytes in another file."""
        return structs.replace(self, inode=inode)

    def agrees(self, offset: int, read: Read) -> bool:
        """Whether a file has the first bytes of this identity, and its last bytes before the offset."""
        start = max(0, offset - TAIL_BYTES)
        return (
            self.length > 0
            and _hash(read(self.length, self.head_at)) == self.head
            and _hash(read(offset - start, start)) == self.tail
        )

    def may_still_be(self, offset: int, ahead: Samples, read: Read) -> bool:
        """Whether a file may still hold what was read of it: through the offset, and `ahead` of it.

        An identity without a head recognizes no file: it is read from the same offset either way.
        """
        return (not self.length or self.agrees(offset, read)) and has_all(ahead, read)

    def begins(self, start: int, head: bytes) -> bool:
        """Whether a text has the first bytes of this identity, as far as the identity knows them.

        `start`: offset at which the identity's file was read first. `head`: the first bytes of the text.
        """
        if not self.length or _hash(head[self.head_at : self.head_at + self.length]) != self.head:
            return False
        size = len(head)
        return not any(mark.offset <= size for mark in self.marks) or self.begins_with(
            start, size, lambda length, offset: head[offset : offset + length]
        )

    def agrees_whole(self, start: int, offset: int, read: Read) -> bool:
        """Whether a file has all bytes of this identity through the offset, as far as the identity knows them."""
        if not self.agrees(offset, read):
            return False
        if not self.whole:
            return True
        hasher = Hasher(start)
        for block in blocks(read, start, offset):
            hasher.add(block)
        return hasher.digest() == self.whole

    def common(self, start: int, offset: int, size: int, read: Read) -> tuple[int, int]:
        """How far a file of `size` bytes that changed in its place still equals what was read of it.

        Returns two offsets. The file equals what was read through the first one, and may equal it up to the second one.
        Each is the end of a line that was read, or `start`, or the end of the file or of what was read.
        """
        hasher = Hasher(start)
        if self.whole and not self.block.length and not self.block.before:
            # Only zeros were read.
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
        # If the first line differs, nothing can be equal.
        return same, start if same == start and self.marks else min(size, offset)

    def begins_with(self, start: int, size: int, read: Read) -> bool:
        """Whether a file of `size` bytes equals the first part of what was read, and has at least the first line."""
        marks = [mark.offset for mark in self.marks if mark.offset <= size]
        return bool(marks) and self.common(start, marks[-1], size, read)[0] == marks[-1]


class Hasher:
    """Hashes a file from `start` on, as it is read, and sets marks."""

    def __init__(self, start: int) -> None:
        self._start = start
        self.offset = start
        """Offset of the next byte."""
        self._block = Block(start, 0, "")
        self._hash = blake2b(digest_size=_DIGEST_BYTES)
        self.marks: list[Mark] = []
        self._step = BLOCK_BYTES
        self._next_mark = start

    @classmethod
    def resumed(
        cls, identity: Identity, start: int, offset: int, read: Read, end_of_hole: Callable[[int], int]
    ) -> "Hasher | None":
        """A hasher that goes on at the offset of an identity. `end_of_hole`: of the hole at an offset, or the offset
        itself. A block has no zeros, so any number of them may lie in it.

        None if the identity does not know the bytes before the offset, or if the file no longer has them.
        """
        if not identity.whole:
            return cls(start) if start == offset else None
        hasher = cls(start)
        hasher.offset = identity.block.offset
        hasher._begin_block(identity.block.before)
        hasher._next_mark = offset
        while hasher.offset < offset and (block := read(min(BLOCK_BYTES, offset - hasher.offset), hasher.offset)):
            hasher.add(block)
            if block.count(0) == len(block):
                hasher.skip(max(0, min(end_of_hole(hasher.offset), offset) - hasher.offset))
        hasher.marks = list(identity.marks)
        hasher._plan_mark()
        return hasher if hasher.digest() == identity.whole else None

    def add(self, data: bytes) -> None:
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
        """Whether any byte was not zero."""
        return bool(self._block.length or self._block.before)

    def skip(self, zeros: int) -> None:
        """Move past that many zeros, which are not hashed."""
        self.offset += zeros

    def digest(self) -> str:
        """The hash of all bytes so far, in hexadecimal digits."""
        return self._hash.hexdigest()

    def identity(self, sampled: Identity) -> Identity:
        """The identity from this hash and from samples at the same offset."""
        return structs.replace(sampled, whole=self.digest(), block=self._block, marks=tuple(self.marks))

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
        begin = 0
        while begin < len(data):
            if zeros := _ZEROS.match(data, begin):
                # A block begins with another byte.
                self.offset += zeros.end() - begin
                begin = zeros.end()
                continue
            if self._block.length == BLOCK_BYTES:
                self._begin_block(self.digest())
            part = data[begin : begin + BLOCK_BYTES - self._block.length]
            hashed = part.replace(b"\0", b"")
            self._hash.update(hashed)
            self._block = Block(self._block.offset, self._block.length + len(hashed), self._block.before)
            self.offset += len(part)
            begin += len(part)


NOTHING = Identity(0, 0, "", "")


def first_mark(line: bytes) -> str:
    """The digest of a file's first mark, by its first line."""
    hasher = Hasher(0)
    hasher._add(line)
    return hasher.digest()[:_MARK_CHARACTERS]


def has_all(samples: Samples, read: Read) -> bool:
    """Whether a file has these bytes at their offsets."""
    return all(read(len(data), offset) == data for offset, data in samples)


def blocks(read: Read, start: int, end: int) -> Iterator[bytes]:
    """The bytes between two offsets, in blocks of at most BLOCK_BYTES."""
    while start < end and (block := read(min(BLOCK_BYTES, end - start), start)):
        start += len(block)
        yield block


def common_length(one: bytes, other: bytes) -> int:
    """How many of the first bytes are the same."""
    if one == other:
        return len(one)
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
