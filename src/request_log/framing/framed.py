"""A parser together with the framing that finds its lines in the bytes of a file.

The offset of a line is that of its first byte in the file, before anything that wraps the line.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from operator import attrgetter

import numpy as np

from request_log.framing.content import Content, line_at
from request_log.framing.protocol import PLAIN, Framing
from request_log.framing.scanning import starts_of
from request_log.line import LAST_SECOND, MAX_LINE_BYTES
from request_log.query import without_queries
from request_log.requests import Parsed, Parser, joined

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""At the beginning of a file it is not part of the first line."""


class Framed:
    """A `Parser` of the lines that a framing finds."""

    def __init__(self, framing: Framing, parser_of: Callable[[str], Parser], drops_query: bool = False) -> None:
        """`parser_of`: context -> the parser of lines with that context. `drops_query`: whether the paths of requests
        come without their queries."""
        self.framing = framing
        self._parser_of = parser_of
        self._drops_query = drops_query

    @classmethod
    def of(cls, parse: Parser) -> "Framed":
        """A parser with its framing: the plain one if it has none yet."""
        return parse if isinstance(parse, Framed) else cls(PLAIN, lambda _: parse)

    def __call__(self, data: bytes, offset: int = 0, oldest_day: int = 0, latest_second: int = LAST_SECOND) -> Parsed:
        """See `Parser`. `data` begins with an empty context."""
        return self.parse(data, offset, oldest_day, latest_second)

    def parse(self, data: bytes, offset: int, oldest_day: int, latest_second: int, context: str = "") -> Parsed:
        """See `Parser`. `context`: the context at `offset`."""
        if self.is_plain(data, offset):
            return self.parse_plain(data, offset, oldest_day, latest_second)
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

    def parse_plain(self, data: bytes, offset: int, oldest_day: int, latest_second: int) -> Parsed:
        """Parse plain lines, see `is_plain`. Offsets count from `offset`, wherever in its file `data` begins."""
        return self._parsed("", data, offset, oldest_day, latest_second)

    def is_plain(self, data: bytes, offset: int) -> bool:
        """Whether `data`, at an offset of a file, is made of lines of the format as they are."""
        return self.framing is PLAIN and (offset > 0 or not data.startswith(BYTE_ORDER_MARK))

    def contents(self, data: bytes, offset: int, context: str) -> Iterator[Content]:
        """The lines in `data`, which begins at `offset` in its file, with `context`."""
        if offset or not data.startswith(BYTE_ORDER_MARK) or data.find(b"\n") > MAX_LINE_BYTES:
            yield from self.framing.contents(data, context)
            return
        for content in self.framing.contents(data.removeprefix(BYTE_ORDER_MARK), context):
            yield _after_mark(content)

    def parse_content(self, content: Content, data: bytes, oldest_day: int, latest_second: int) -> Parsed:
        """Parse lines that were taken from `data`. Offsets are places in it; rejected lines are those of `data`."""
        parsed = self._parsed(content.context, content.data, 0, oldest_day, latest_second)
        requests, rejected, skipped, mended = parsed
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

    def _parsed(self, context: str, data: bytes, offset: int, oldest_day: int, latest_second: int) -> Parsed:
        parsed = self._parser_of(context)(data, offset, oldest_day, latest_second)
        return without_queries(parsed) if self._drops_query else parsed


def _after_mark(content: Content) -> Content:
    """Lines after a byte-order mark. The place of the first line is that of the mark."""
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
