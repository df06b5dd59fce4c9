"""Lines of a format, and where each of them begins in the bytes of the file that they were taken from."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from request_log.requests import Integers, Rejected


@dataclass(frozen=True, slots=True)
class Content:
    """Lines as the format has them."""

    data: bytes
    """The lines. Each ends in a newline."""
    places: Integers
    """Where each line begins in the bytes that it was taken from: its place."""
    context: str = ""
    """The context of all these lines, see protocol.Framing."""
    rejected: list[Rejected] = field(default_factory=list)
    """Lines that are not wrapped as they should be. Offsets are places."""
    skipped: list[int] = field(default_factory=list)
    """The places of lines that are comments or headers."""
    in_parts: dict[int, bytes] = field(default_factory=dict)
    """Place -> the bytes of a line that came in parts, as they are in the file, without the last newline."""


def line_at(place: int, data: bytes, in_parts: Mapping[int, bytes]) -> bytes:
    """The bytes of the line at a place, without its newline. `in_parts`: see Content."""
    return in_parts.get(place) or data[place : data.index(b"\n", place)]


def grouped(contents: Iterable[Content], size: int) -> Iterator[Content]:
    """The lines in pieces of about `size` bytes. Each piece has one context."""
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
    """The lines with all places moved by a number of bytes."""
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


def _cut(content: Content, size: int) -> Iterator[Content]:
    """The lines in pieces of about `size` bytes."""
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
        after = int(content.places[line + lines]) if not is_last else sys.maxsize
        yield Content(
            data,
            content.places[line : line + lines],
            content.context,
            [rejected for rejected in content.rejected if first <= rejected.offset < after],
            [place for place in content.skipped if first <= place < after],
            {place: text for place, text in content.in_parts.items() if first <= place < after},
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
