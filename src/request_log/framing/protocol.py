"""The base of framings, which is the plain framing."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from request_log.framing.content import Content
from request_log.framing.scanning import starts_of

Read = Callable[[int, int], bytes]
"""(length, offset) -> bytes of a file. Fewer than `length` only at the end of the file."""
_BLOCK_BYTES = 1 << 20
"""Bytes that are read at once."""


class Whole(NamedTuple):
    """How far the lines of a file are whole."""

    length: int
    """Bytes up to a place at which no line in parts is open."""
    lines: int
    """Newlines in these bytes."""
    context: str


class Framing:
    """Finds the lines of a format in the bytes of a file. This one is the plain framing, and the base of the others: a
    line of the file is a line of the format.

    The context at an offset is a text with all that the bytes before the offset tell about the lines after it. At the
    beginning of a file it is "".
    """

    has_parts = False
    """Whether a line may come in parts. If not, each newline ends a line."""
    has_context = False
    """Whether lines tell anything about the lines after them."""

    def whole(self, data: bytes, context: str, least: int = 0) -> Whole:
        """The last place in `data` at which no line is open. `least`: the first such place after that many newlines.
        `data`: whole lines of the file, which begin where no line is open."""
        starts = starts_of(data)
        if 0 < least < len(starts):
            return Whole(int(starts[least]), least, context)
        return Whole(len(data), len(starts), context)

    def after(self, data: bytes, context: str, begins_file: bool) -> str:
        """The context after `data`, whole lines with `context`. `begins_file`: whether a file begins with them."""
        return context

    def after_hole(self, context: str) -> str:
        """The context after a hole: zeros, or a line of the file longer than MAX_LINE_BYTES, which is not held. A hole
        ends a line that is open."""
        return context

    def context_at(self, read: Read, offset: int) -> str:
        """The context at an offset of a file, found by reading what is before it."""
        return ""

    def contents(self, data: bytes, context: str) -> Iterable[Content]:
        """The lines in `data`, in the order of the file. A line that is open at the end is taken as it is."""
        return (Content(data, starts_of(data)),)


PLAIN = Framing()


class Contexts:
    """The contexts at offsets at which lines begin. If the offsets ascend, the file is read only once."""

    def __init__(self, framing: Framing, read: Read) -> None:
        self._framing = framing
        self._read = read
        self._offset = 0
        self._context = ""

    def at(self, offset: int) -> str:
        framing = self._framing
        if not framing.has_context:
            return ""
        if framing.has_parts or offset < self._offset:
            return framing.context_at(self._read, offset)
        rest = b""
        begin = place = self._offset
        while place < offset and (block := self._read(min(_BLOCK_BYTES, offset - place), place)):
            place += len(block)
            lines, newline, rest = (rest + block).rpartition(b"\n")
            self._context = framing.after(lines + newline, self._context, begin == 0)
            begin = place - len(rest)
        self._offset = offset
        return self._context

    def note(self, offset: int, context: str) -> None:
        """Remember the context at an offset, which the caller has found."""
        if offset > self._offset:
            self._offset, self._context = offset, context
