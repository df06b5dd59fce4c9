"""The protocol of framings, and the plain framing."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from request_log.framing.content import Content
from request_log.framing.scanning import starts_of

Read = Callable[[int, int], bytes]
"""(length, offset) -> bytes of a file. Fewer than `length` only at the end of the file."""


class Whole(NamedTuple):
    """How far the lines of a file are whole."""

    length: int
    """Bytes up to a place at which no line in parts is open."""
    lines: int
    """Newlines in these bytes."""
    context: str
    """The context at that place."""


class Framing(Protocol):
    """Finds the lines of a format in the bytes of a file.

    The context at an offset is a text with all that the bytes before the offset tell about the lines after it. At the
    beginning of a file it is "".
    """

    @property
    def has_parts(self) -> bool:
        """Whether a line may come in parts. If not, each newline ends a line."""

    @property
    def has_context(self) -> bool:
        """Whether lines tell anything about the lines after them."""

    def whole(self, data: bytes, context: str, least: int = 0) -> Whole:
        """The last place in `data` at which no line is open. `least`: the first such place behind that many newlines.
        `data`: whole lines of the file, which begin where no line is open."""

    def after(self, data: bytes, context: str) -> str:
        """The context behind `data`."""

    def after_hole(self, context: str) -> str:
        """The context behind a hole: zeros, or a line of the file longer than MAX_LINE_BYTES, which is not held. A hole
        ends a line that is open."""

    def context_at(self, read: Read, offset: int) -> str:
        """The context at an offset of a file, found by reading what is before it."""

    def contents(self, data: bytes, context: str) -> Iterable[Content]:
        """The lines in `data`, in the order of the file. A line that is open at the end is taken as it is."""


class Plain:
    """The framing of logs without any: a line of the file is a line of the format."""

    has_parts = False
    has_context = False

    def whole(self, data: bytes, context: str, least: int = 0) -> Whole:
        """See Framing."""
        return whole_lines(data, context, least)

    def after(self, data: bytes, context: str) -> str:
        """See Framing."""
        return ""

    def after_hole(self, context: str) -> str:
        """See Framing."""
        return ""

    def context_at(self, read: Read, offset: int) -> str:
        """See Framing."""
        return ""

    def contents(self, data: bytes, context: str) -> Iterable[Content]:
        """See Framing."""
        return (Content(data, starts_of(data)),)


PLAIN = Plain()


def whole_lines(data: bytes, context: str, least: int) -> Whole:
    """`Framing.whole` of framings without lines in parts."""
    starts = starts_of(data)
    if 0 < least < len(starts):
        return Whole(int(starts[least]), least, context)
    return Whole(len(data), len(starts), context)
