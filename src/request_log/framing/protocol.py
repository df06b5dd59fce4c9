"""What a framing is, and the plain one."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from request_log.framing.content import Content
from request_log.framing.scanning import starts_of

Read = Callable[[int, int], bytes]
"""Reads a length from an offset on; fewer bytes only at the file's end."""


class Whole(NamedTuple):
    """How far the lines of a file can be taken from it."""

    length: int
    """Bytes up to a place at which no line is open that comes in parts."""
    lines: int
    """Newlines in them."""
    context: str
    """See Framing, at that place."""


class Framing(Protocol):
    """Finds lines in the bytes of a file.

    A context is what the bytes before an offset say of those after it, as text: "" at a file's beginning.
    """

    @property
    def has_parts(self) -> bool:
        """Whether a line may come in parts: else each newline ends one."""

    @property
    def has_context(self) -> bool:
        """Whether lines say anything of those behind them."""

    def whole(self, data: bytes, context: str, least: int = 0) -> Whole:
        """The last place in `data` at which no line is open, or the first one behind at least so many newlines.
        `data`: whole lines of the file, which begin where no line is open."""

    def after(self, data: bytes, context: str) -> str:
        """The context behind `data`."""

    def after_hole(self, context: str) -> str:
        """The context behind zeros, or a line of the file that is longer than MAX_LINE_BYTES, which is not held. They
        end a line that is open."""

    def context_at(self, read: Read, offset: int) -> str:
        """The context at an offset of a file, by what is before it."""

    def contents(self, data: bytes, context: str) -> Iterable[Content]:
        """The lines in `data`, in the file's order. A line that is open at its end is taken as it is."""


class Plain:
    """A line of the file is a line of the format."""

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
    """See Framing.whole, where no line comes in parts."""
    starts = starts_of(data)
    if 0 < least < len(starts):
        return Whole(int(starts[least]), least, context)
    return Whole(len(data), len(starts), context)
