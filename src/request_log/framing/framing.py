"""How the lines of a format lie in a file.

bytes of a file --Framing--> lines as the format has them --Parser--> requests

A line's offset is that of its first byte in the file, whatever stands before it there.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import NamedTuple, Protocol

import numpy as np

from request_log.framing.scanning import starts_of
from request_log.line import LAST_SECOND, MAX_LINE_BYTES
from request_log.requests import Integers, Parsed, Parser, Rejected, joined

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""At a file's beginning it is no part of the first line."""

_BLOCK_BYTES = 1 << 20

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


@dataclass(frozen=True, slots=True)
class Content:
    """Lines as a format has them."""

    data: bytes
    """Each line ends in a newline."""
    places: Integers
    """Where each line begins in the bytes that it was taken from."""
    context: str = ""
    """What the parser has to know of all these lines."""
    rejected: list[Rejected] = field(default_factory=list)
    """Lines that do not lie in the file as they should. Offsets are places."""
    skipped: list[int] = field(default_factory=list)
    """The places of lines that are comments or say what the next ones mean."""
    in_parts: dict[int, bytes] = field(default_factory=dict)
    """Place -> the bytes of a line that came in parts, without the last newline."""


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


class Framed:
    """A `Parser` of lines that a framing finds."""

    def __init__(self, framing: Framing, parser_of: Callable[[str], Parser]) -> None:
        """`parser_of`: the parser for lines of which a context is known."""
        self.framing = framing
        self._parser_of = parser_of

    @classmethod
    def of(cls, parse: Parser) -> "Framed":
        """A parser, which may have a framing already."""
        return parse if isinstance(parse, Framed) else cls(PLAIN, lambda _: parse)

    def __call__(self, data: bytes, offset: int = 0, oldest_day: int = 0, latest_second: int = LAST_SECOND) -> Parsed:
        """See `Parser`. `data` begins where no context is known."""
        return self.parse(data, offset, oldest_day, latest_second)

    def parse(self, data: bytes, offset: int, oldest_day: int, latest_second: int, context: str = "") -> Parsed:
        """See `Parser`. `context`: at the offset."""
        if self.is_plain(data, offset):
            return self._parser_of("")(data, offset, oldest_day, latest_second)
        found = [
            self.parse_content(content, data, oldest_day, latest_second)
            for content in self.contents(data, offset, context)
        ]
        requests = joined([parsed.requests for parsed in found])
        return Parsed(
            replace(requests, offsets=requests.offsets + offset),
            [replace(line, offset=line.offset + offset) for parsed in found for line in parsed.rejected],
            [place + offset for parsed in found for place in parsed.skipped],
            [line._replace(offset=line.offset + offset) for parsed in found for line in parsed.mended],
        )

    def is_plain(self, data: bytes, offset: int) -> bool:
        """Whether lines of a file from an offset on are lines of the format, as they are."""
        return self.framing is PLAIN and (offset > 0 or not data.startswith(BYTE_ORDER_MARK))

    def contents(self, data: bytes, offset: int, context: str) -> Iterator[Content]:
        """The lines in `data`, which begins at an offset of its file."""
        if offset or not data.startswith(BYTE_ORDER_MARK) or data.find(b"\n") > MAX_LINE_BYTES:
            yield from self.framing.contents(data, context)
            return
        for content in self.framing.contents(data.removeprefix(BYTE_ORDER_MARK), context):
            yield _behind_mark(content)

    def parse_content(self, content: Content, data: bytes, oldest_day: int, latest_second: int) -> Parsed:
        """What becomes of lines that were taken from `data`. Offsets are places in it; rejected lines are as they lie
        there."""
        parse = self._parser_of(content.context)
        requests, rejected, skipped, mended = parse(content.data, 0, oldest_day, latest_second)
        begins = starts_of(content.data)

        def places_of(offsets: Iterable[int]) -> list[int]:
            found: list[int] = content.places[np.searchsorted(begins, np.array([*offsets], np.int64))].tolist()
            return found

        lines = [
            replace(line, offset=place, line=line_at(place, data, content.in_parts))
            for line, place in zip(rejected, places_of(line.offset for line in rejected), strict=True)
        ]
        return Parsed(
            replace(requests, offsets=content.places[np.searchsorted(begins, requests.offsets)]),
            sorted([*content.rejected, *lines], key=attrgetter("offset")),
            sorted([*content.skipped, *places_of(skipped)]),
            [
                line._replace(offset=place)
                for line, place in zip(mended, places_of(line.offset for line in mended), strict=True)
            ],
        )


class Contexts:
    """The contexts of a file, at offsets at which lines begin. Where they ascend, the file is read once."""

    def __init__(self, framing: Framing, read: Read) -> None:
        self._framing = framing
        self._read = read
        self._offset = 0
        self._context = ""

    def at(self, offset: int) -> str:
        """The context at an offset."""
        framing = self._framing
        if not framing.has_context:
            return ""
        if framing.has_parts or offset < self._offset:
            return framing.context_at(self._read, offset)
        rest = b""
        place = self._offset
        while place < offset and (block := self._read(min(_BLOCK_BYTES, offset - place), place)):
            place += len(block)
            lines, newline, rest = (rest + block).rpartition(b"\n")
            self._context = framing.after(lines + newline, self._context)
        self._offset = offset
        return self._context

    def note(self, offset: int, context: str) -> None:
        """The context at an offset, which somebody has found."""
        if offset > self._offset:
            self._offset, self._context = offset, context


def line_at(place: int, data: bytes, in_parts: Mapping[int, bytes]) -> bytes:
    """The bytes of the line that begins at a place, without its newline. `in_parts`: see Content."""
    return in_parts.get(place) or data[place : data.index(b"\n", place)]


def whole_lines(data: bytes, context: str, least: int) -> Whole:
    """See Framing.whole, where no line comes in parts."""
    starts = starts_of(data)
    if 0 < least < len(starts):
        return Whole(int(starts[least]), least, context)
    return Whole(len(data), len(starts), context)


def grouped(contents: Iterable[Content], size: int) -> Iterator[Content]:
    """The same lines in pieces of about `size` bytes, each of them of one context."""
    group: list[Content] = []
    length = 0
    for content in contents:
        for piece in _cut(content, size):
            if group and (length >= size or piece.context != group[0].context):
                yield _together(group)
                group, length = [], 0
            group.append(piece)
            length += len(piece.data)
    if group:
        yield _together(group)


def shifted(content: Content, by: int) -> Content:
    """The same lines where what they were taken from begins so many bytes further on."""
    if not by:
        return content
    return Content(
        content.data,
        content.places + by,
        content.context,
        [replace(line, offset=line.offset + by) for line in content.rejected],
        [place + by for place in content.skipped],
        {place + by: line for place, line in content.in_parts.items()},
    )


def _behind_mark(content: Content) -> Content:
    """Lines that begin behind a byte-order mark, which belongs to the file's first one."""
    by = len(BYTE_ORDER_MARK)
    places = content.places + by
    return Content(
        content.data,
        np.where(places == by, 0, places),
        content.context,
        [
            replace(line, offset=0, line=BYTE_ORDER_MARK + line.line)
            if not line.offset
            else replace(line, offset=line.offset + by)
            for line in content.rejected
        ],
        [place + by if place else 0 for place in content.skipped],
        {
            place + by if place else 0: line if place else BYTE_ORDER_MARK + line
            for place, line in content.in_parts.items()
        },
    )


def _cut(content: Content, size: int) -> Iterator[Content]:
    """A content in pieces of about `size` bytes."""
    if len(content.data) < 2 * size:
        yield content
        return
    start = line = 0
    while start < len(content.data):
        end = content.data.find(b"\n", start + size) + 1 or len(content.data)
        data = content.data[start:end]
        lines = data.count(b"\n")
        is_last = end == len(content.data)
        first = int(content.places[line]) if start else 0
        behind = int(content.places[line + lines]) if not is_last else sys.maxsize
        yield Content(
            data,
            content.places[line : line + lines],
            content.context,
            [one for one in content.rejected if first <= one.offset < behind],
            [place for place in content.skipped if first <= place < behind],
            {place: text for place, text in content.in_parts.items() if first <= place < behind},
        )
        start, line = end, line + lines


def _together(contents: list[Content]) -> Content:
    if len(contents) == 1:
        return contents[0]
    return Content(
        b"".join(content.data for content in contents),
        np.concatenate([content.places for content in contents]),
        contents[0].context,
        [line for content in contents for line in content.rejected],
        [place for content in contents for place in content.skipped],
        {place: line for content in contents for place, line in content.in_parts.items()},
    )
