"""Finds known bytes in a text: bytes that were read before, or will be read without this command."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, NamedTuple, Protocol

from log_processor.following.identity import Hasher, Identity, Read, blocks, common_length, first_mark
from request_log.line import MAX_LINE_BYTES
from storage.logs import FileRow

ENOUGH_BYTES = 256
"""Equal bytes that cannot be chance. Fewer count only where a known file is expected: at the beginning of the text, or
after another known file."""
_LONGEST_LINE_BYTES = MAX_LINE_BYTES + 2

FirstLine = tuple[int, str]
"""Length and hash of a first line."""


class ByteRange(NamedTuple):
    """Bytes of a text, from `start` up to `end`."""

    start: int
    end: int


class Known(Protocol):
    """The known bytes of a file, from `start` on."""

    @property
    def start(self) -> int:
        """The offset of the known bytes in their file."""

    @property
    def begin(self) -> int:
        """The offset from which on the file is known, if the text has the whole file. Before `start` it is known by
        earlier numbers of the file."""

    @property
    def first_line(self) -> FirstLine | None:
        """The first line of these bytes; None if it is unknown."""

    @property
    def may_be_cut(self) -> bool:
        """Whether the end of the text may have only the first of these bytes."""

    def length_at(self, read: Read, place: int, size: int) -> int:
        """How many of these bytes a text of `size` bytes has at a place."""

    def begins_at(self, read: Read, place: int) -> bool:
        """Whether the text has the first bytes of the file at a place."""


@dataclass(frozen=True)
class ReadFile:
    """The bytes of a file that were read."""

    row: FileRow
    begin: int

    may_be_cut = False

    @property
    def start(self) -> int:
        return self.row.start

    @cached_property
    def _identity(self) -> Identity:
        return Identity.decode(self.row.identity)

    @property
    def first_line(self) -> FirstLine | None:
        marks = self._identity.marks
        return (marks[0].offset - self.start, marks[0].digest) if marks else None

    def length_at(self, read: Read, place: int, size: int) -> int:
        identity, start, end = self._identity, self.row.start, self.row.offset
        of_file = _shifted(read, place - start)
        is_there = place + end - start <= size
        if not identity.marks:
            return end - start if is_there and identity.agrees_whole(start, end, of_file) else 0
        same, _ = identity.common(start, end, start + size - place, of_file)
        if is_there and same == identity.marks[-1].offset and self._is_whole(of_file):
            return end - start
        return same - start if same - start >= ENOUGH_BYTES else 0

    def begins_at(self, read: Read, place: int) -> bool:
        return self.start == 0 or self._identity.agrees(self.row.offset, _shifted(read, place))

    def _is_whole(self, of_file: Read) -> bool:
        hasher = Hasher(self.start)
        for block in blocks(of_file, self.start, self.row.offset):
            hasher.add(block)
        return hasher.digest() == self._identity.whole


@dataclass(frozen=True)
class UnreadFile:
    """The bytes of a present file that were not read yet."""

    read: Read
    start: int
    size: int
    """Bytes of the file."""
    begin: int
    identity: Identity | None = None
    """The identity of the file at `start`; None if nothing was read."""

    may_be_cut = True

    @cached_property
    def first_line(self) -> FirstLine | None:
        line, newline, _ = self.read(_LONGEST_LINE_BYTES, self.start).partition(b"\n")
        return (len(line) + 1, first_mark(line + newline)) if newline else None

    def length_at(self, read: Read, place: int, size: int) -> int:
        left = min(size - place, self.size - self.start)
        same = line_end = 0
        for block in blocks(_shifted(read, place), 0, left):
            equal = common_length(block, self.read(len(block), self.start + same))
            newline = block.rfind(b"\n", 0, equal)
            line_end = same + newline + 1 if newline >= 0 else line_end
            same += equal
            if equal < len(block):
                break
        # A line with only the same beginning is another line, unless it is still being written.
        return same if place + same == size else line_end

    def begins_at(self, read: Read, place: int) -> bool:
        return self.identity is None or self.identity.agrees(self.start, _shifted(read, place))


def known_ranges(known: Iterable[Known], text: BinaryIO, size: int) -> list[ByteRange]:
    """Where known bytes are in a text of `size` bytes, in its order. It is gone through line by line: each line may be
    the first one of what is known."""
    return _Search(known, text, size).found


class _Search:
    def __init__(self, known: Iterable[Known], text: BinaryIO, size: int) -> None:
        self._text = text
        self._size = size
        self._by_first_line: dict[FirstLine, list[Known]] = {}
        self._of_no_line: list[Known] = []
        self._may_be_cut: list[Known] = []
        for one in known:
            if one.first_line is None:
                self._of_no_line.append(one)
            else:
                self._by_first_line.setdefault(one.first_line, []).append(one)
            if one.may_be_cut:
                self._may_be_cut.append(one)
        self._lengths = {length for length, _ in self._by_first_line}
        self._expected = {0}
        """Where a file may begin: at the text's beginning, and where another one ends."""
        self.found: list[ByteRange] = []
        place = 0
        while place < size:
            place = self._next(place)

    def _next(self, place: int) -> int:
        """Go on until something is found; where it ends."""
        self._text.seek(place)
        is_beginning = True
        while place < self._size and (line := self._text.readline(min(_LONGEST_LINE_BYTES, self._size - place))):
            if is_beginning and (candidates := self._candidates(place, line)):
                spans = [span for one in candidates if (span := self._range(place, one)) is not None]
                if spans:
                    span = max(spans, key=lambda span: (span.end, -span.start))
                    self.found.append(span)
                    self._expected.add(span.end)
                    return span.end
                self._text.seek(place + len(line))
            is_beginning = line.endswith(b"\n")
            place += len(line)
        return self._size

    def _candidates(self, place: int, line: bytes) -> Sequence[Known]:
        found: list[Known] = []
        if len(line) in self._lengths:
            found += self._by_first_line.get((len(line), first_mark(line)), ())
        if place in self._expected:
            found += self._of_no_line
        if not line.endswith(b"\n"):
            found += self._may_be_cut
        return found

    def _range(self, place: int, one: Known) -> ByteRange | None:
        """The range of known bytes at a place, and before it."""
        length = one.length_at(self._read, place, self._size)
        if not length:
            return None
        end = place + length
        last = self._read(2, end - 1)
        if last.endswith(b"\n") and len(last) == 2 and last != b"\n\n":
            # The last line was read without its newline.
            end += 1
        file = place - one.start
        if file in self._expected and one.begins_at(self._read, file):
            return ByteRange(file + one.begin, end)
        return ByteRange(place, end) if length >= ENOUGH_BYTES else None

    def _read(self, length: int, offset: int) -> bytes:
        self._text.seek(offset)
        return self._text.read(length)


def _shifted(read: Read, by: int) -> Read:
    """Reads `by` bytes further on."""
    return lambda length, offset: read(length, by + offset) if by + offset >= 0 else b""
