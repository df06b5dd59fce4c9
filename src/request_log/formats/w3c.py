"""The extended log file format of the W3C, as written by CloudFront and IIS.

https://www.w3.org/TR/WD-logfile.html
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
https://learn.microsoft.com/en-us/windows/win32/http/w3c-logging

Lines like `#Fields: date time cs-method cs-uri-stem sc-status` name the columns of the lines after them. They differ
between files, and a file may have several. The context at an offset is the last such line before it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import numpy as np

from request_log.fields.escapes import text_of
from request_log.fields.values import NOT_LOGGED
from request_log.formats.line_by_line import NO_COLUMNS, Columns, CustomerOf, Divide, DivideChunk, Fields, LineByLine
from request_log.framing.content import Content
from request_log.framing.framed import BYTE_ORDER_MARK
from request_log.framing.protocol import Framing, Read
from request_log.framing.scanning import starts_of
from request_log.line import MAX_LINE_BYTES, MIN_LINE_BYTES
from request_log.requests import Integers, Parser

COLUMN = re.compile(r"[A-Za-z0-9()._-]+")
"""The name of a column."""
CUSTOMER = "cs-username"
_FIELDS = b"#Fields:"
_COMMENT = b"#"
# Only CloudFront has columns whose names begin with this.
_OF_CLOUDFRONT = "x-edge-"
_TIMES = (("date", "time"), ("timestamp(ms)",), ("timestamp",))
_PATHS = ("cs-uri-stem", "cs-uri")
_QUOTED = re.compile(r'"(?:[^"]|"")*"(?= |$)|[^ ]+')
_BLOCK_BYTES = 1 << 20
_MOST_PARSERS = 100


class W3C(Framing):
    """A line before the others names their columns."""

    has_context = True

    def after(self, data: bytes, context: str, begins_file: bool) -> str:
        return _last_directive(data.removeprefix(BYTE_ORDER_MARK) if begins_file else data) or context

    def context_at(self, read: Read, offset: int) -> str:
        # Offsets are beginnings of lines.
        end = offset
        while end > 0:
            begin = max(0, end - _BLOCK_BYTES)
            # The last line that begins in the block may end after it.
            block = read(min(end + MAX_LINE_BYTES, offset) - begin, begin)
            block = block.removeprefix(BYTE_ORDER_MARK) if not begin else block[block.find(b"\n") :]
            if found := _last_directive(block):
                return found
            end = begin
        return ""

    def contents(self, data: bytes, context: str) -> Iterable[Content]:
        starts = starts_of(data)
        line = 0
        for begin, end, of_lines in _divided(data, context):
            part = data[begin:end]
            lines = part.count(b"\n")
            yield Content(part, starts[line : line + lines], of_lines)
            line += lines


def w3c(
    duration_unit: str, customer_column: str = CUSTOMER, customer_of: CustomerOf | None = None
) -> Callable[[str], Parser]:
    """Context -> the parser of the lines after that `#Fields` line. `duration_unit`: of the column `time-taken`.
    `customer_of`: finds the customer, if it is in the path and in no column."""

    @lru_cache(_MOST_PARSERS)
    def parser_of(context: str) -> Parser:
        return LineByLine(_divide(context, customer_column), duration_unit, customer_of)

    return parser_of


def _divide(context: str, customer_column: str) -> Divide:
    """Divides the lines after a `#Fields` line."""
    names = context.casefold().removeprefix(_FIELDS.decode().casefold()).split()
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    times = next(([places[name] for name in group] for group in _TIMES if places.keys() >= set(group)), None)
    path = next((places[name] for name in _PATHS if name in places), None)
    status = places.get("sc-status")
    if times is None or path is None or status is None:
        # There is no such line yet, or a needed column is missing.
        return lambda line: None
    return _Divide(
        len(names),
        times,
        places.get(customer_column.casefold()),
        path,
        places.get("cs-uri-query") if names[path] == _PATHS[0] else None,
        status,
        places.get("time-taken"),
        places.get("cs-method"),
        places.get("sc-bytes"),
        any(name.startswith(_OF_CLOUDFRONT) for name in names),
    )


@dataclass(frozen=True, slots=True)
class _Divide(DivideChunk):
    """Divides lines of `count` columns. The other attributes are places of columns, None for a missing one."""

    count: int
    times: list[int]
    customer: int | None
    path: int
    query: int | None
    status: int
    duration: int | None
    method: int | None
    size: int | None
    is_encoded: bool
    """Whether values are percent-encoded once more, as by CloudFront."""

    def __call__(self, line: str) -> Fields | None:
        values = _values(line, self.count)
        if values is None:
            return None

        def value(place: int | None) -> str:
            return values[place] if place is not None and values[place] != NOT_LOGGED else ""

        return Fields(
            " ".join(value(place) for place in self.times),
            self._decoded(value(self.customer)),
            self._target(value(self.path), value(self.query)),
            value(self.status),
            value(self.duration),
            value(self.method),
            value(self.size),
        )

    def columns(self, data: bytes, starts: Integers) -> tuple[Columns, Sequence[int] | Integers]:
        separator = b"\t" if b"\t" in data else b" "
        places = self._good_lines(data, starts, separator)
        if not len(places):
            return NO_COLUMNS, places
        if len(places) < len(starts):
            lines = data.split(b"\n")
            data = b"".join(lines[place] + b"\n" for place in places.tolist())
        text = text_of(data.replace(b"\r\n", b"\n") if b"\r" in data else data)
        values = text.replace("\n", separator.decode()).split(separator.decode())

        def column(place: int | None) -> list[str]:
            if place is None:
                return [""] * len(places)
            return ["" if value == NOT_LOGGED else value for value in values[place : -1 : self.count]]

        paths, queries = column(self.path), column(self.query)
        customers = column(self.customer)
        if any(queries) or (self.is_encoded and "%" in text):
            paths = list(map(self._target, paths, queries))
            customers = list(map(self._decoded, customers))
        return (
            Columns(
                list(map(" ".join, zip(*map(column, self.times), strict=True))),
                customers,
                paths,
                column(self.status),
                column(self.duration),
                column(self.method),
                column(self.size),
            ),
            places,
        )

    def _good_lines(self, data: bytes, starts: Integers, separator: bytes) -> Integers:
        """The places of lines with `count` values, none of them empty or quoted."""
        characters = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero((characters == ord(separator)) | (characters == ord("\n")))
        # The line of each value, and the number of values in each line.
        lines = np.searchsorted(starts, ends, side="right") - 1
        is_good = np.bincount(lines, minlength=len(starts)) == self.count
        lengths = np.diff(ends, prepend=-1) - 1
        is_empty = lengths == 0
        if b"\r" in data:
            # It belongs to the newline.
            is_empty |= (lengths == 1) & (characters[ends] == ord("\n")) & (characters[ends - 1] == ord("\r"))
        is_good[lines[is_empty]] = False
        is_good &= characters[starts] != ord(_COMMENT)
        is_good &= np.diff(starts, append=len(data)) >= MIN_LINE_BYTES
        if b'"' in data:
            is_good[np.searchsorted(starts, np.flatnonzero(characters == ord('"')), side="right") - 1] = False
        return np.flatnonzero(is_good)

    def _target(self, path: str, query: str) -> str:
        return self._decoded(f"{path}?{query}" if query else path)

    def _decoded(self, text: str) -> str:
        if not self.is_encoded or "%" not in text:
            return text
        return text_of(unquote_to_bytes(text.encode(errors="surrogateescape")))


def _values(line: str, columns: int) -> list[str] | None:
    """The values of a line, which has so many columns; None where it has not."""
    values = line.split("\t" if "\t" in line else " ")
    if len(values) != columns and "\t" not in line and '"' in line:
        values = _QUOTED.findall(line)
    if len(values) != columns or not all(values):
        return None
    if '"' in line:
        return [value[1:-1].replace('""', '"') if _is_quoted(value) else value for value in values]
    return values


def _is_quoted(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] == '"'


def _divided(data: bytes, context: str) -> Iterator[tuple[int, int, str]]:
    """Parts of these lines, each with the context of its lines: where it begins and ends. Comments are skipped in any
    context, so those before a `#Fields` line go with what is after it."""
    begin = end = 0
    has_lines = False
    place = 0 if data.startswith(_FIELDS) else _next_directive(data, 0)
    while place < len(data):
        has_lines = has_lines or not _are_comments(data[end:place])
        end = data.index(b"\n", place) + 1
        found = _directive(data[place : end - 1])
        if found and found != context:
            if has_lines:
                yield begin, place, context
                begin, has_lines = place, False
            context = found
        place = _next_directive(data, end - 1)
    if begin < len(data):
        yield begin, len(data), context


def _next_directive(data: bytes, newline: int) -> int:
    """Where the next `#Fields` line begins after a place; the end of the data where there is none."""
    return data.find(b"\n" + _FIELDS, newline) + 1 or len(data)


def _are_comments(lines: bytes) -> bool:
    return all(line.startswith(_COMMENT) for line in lines.split(b"\n")[:-1])


def _last_directive(data: bytes) -> str:
    """The last `#Fields` line of whole lines; "" where there is none."""
    place = len(data)
    while place > 0:
        place = data.rfind(b"\n" + _FIELDS, 0, place) + 1
        if place or data.startswith(_FIELDS):
            end = data.find(b"\n", place)
            if end >= 0 and (found := _directive(data[place:end])):
                return found
    return ""


def _directive(line: bytes) -> str:
    """The text of a `#Fields` line; "" of one that is too long to be read."""
    return text_of(line).rstrip().encode(errors="backslashreplace").decode() if len(line) <= MAX_LINE_BYTES else ""


FRAMING = W3C()
