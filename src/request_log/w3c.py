"""The extended log file format of the W3C, as CloudFront and IIS write it.

https://www.w3.org/TR/WD-logfile.html
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
https://learn.microsoft.com/en-us/windows/win32/http/w3c-logging

Lines like `#Fields: date time cs-method cs-uri-stem sc-status` say what the columns of the next lines are. Files differ
in them, and a file may have several. The context of a file is its last such line.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from request_log.escapes import text_of
from request_log.framing import BYTE_ORDER_MARK, Content, Read, Whole, starts_of, whole_lines
from request_log.line import MAX_LINE_BYTES
from request_log.line_by_line import CustomerOf, Divide, Fields, LineByLine
from request_log.requests import Parser
from request_log.values import NOT_LOGGED

COLUMN = re.compile(r"[A-Za-z0-9()._-]+")
"""What a column may be called."""
CUSTOMER = "cs-username"
_FIELDS = b"#Fields:"
_COMMENT = b"#"
# Each of its columns that begins so is CloudFront's alone.
_OF_CLOUDFRONT = "x-edge-"
_TIMES = (("date", "time"), ("timestamp(ms)",), ("timestamp",))
_PATHS = ("cs-uri-stem", "cs-uri")
_QUOTED = re.compile(r'"(?:[^"]|"")*"(?= |$)|[^ ]+')
_BLOCK_BYTES = 1 << 20
_MOST_PARSERS = 100


class W3C:
    """A `Framing`: the columns of lines follow from a line before them."""

    has_parts = False
    has_context = True

    def whole(self, data: bytes, context: str, least: int = 0) -> Whole:
        """See Framing."""
        return whole_lines(data, context, least)

    def after(self, data: bytes, context: str) -> str:
        """See Framing."""
        return _last_directive(data.removeprefix(BYTE_ORDER_MARK)) or context

    def after_hole(self, context: str) -> str:
        """See Framing."""
        return context

    def context_at(self, read: Read, offset: int) -> str:
        """See Framing. Offsets are beginnings of lines."""
        end = offset
        while end > 0:
            begin = max(0, end - _BLOCK_BYTES)
            # The last line that begins in the block may end behind it.
            block = read(min(end + MAX_LINE_BYTES, offset) - begin, begin)
            block = block.removeprefix(BYTE_ORDER_MARK) if not begin else block[block.find(b"\n") :]
            if found := _last_directive(block):
                return found
            end = begin
        return ""

    def contents(self, data: bytes, context: str) -> Iterable[Content]:
        """See Framing."""
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
    """A parser for the lines behind a `#Fields` line. `duration_unit`: of the column `time-taken`. `customer_of`: the
    customer is in the path, and in no column."""

    @lru_cache(_MOST_PARSERS)
    def parser_of(context: str) -> Parser:
        return LineByLine(_divide(context, customer_column), duration_unit, customer_of)

    return parser_of


def _divide(context: str, customer_column: str) -> Divide:
    """Divides the lines behind a `#Fields` line."""
    columns = context.casefold().removeprefix(_FIELDS.decode().casefold()).split()
    places = {name: place for place, name in reversed(list(enumerate(columns)))}
    times = next(([places[name] for name in names] for names in _TIMES if places.keys() >= set(names)), None)
    path = next((places[name] for name in _PATHS if name in places), None)
    status = places.get("sc-status")
    if times is None or path is None or status is None:
        # Before the first such line, or without what a request has.
        return lambda line: None
    query = places.get("cs-uri-query") if columns[path] == _PATHS[0] else None
    customer, duration, method, size = map(
        places.get, (customer_column.casefold(), "time-taken", "cs-method", "sc-bytes")
    )
    is_encoded = any(name.startswith(_OF_CLOUDFRONT) for name in columns)

    def divide(line: str) -> Fields | None:
        values = _values(line, len(columns))
        if values is None:
            return None

        def value(place: int | None) -> str:
            return values[place] if place is not None and values[place] != NOT_LOGGED else ""

        target = value(path)
        if value(query):
            target += "?" + value(query)
        who = value(customer)
        if is_encoded and ("%" in target or "%" in who):
            # CloudFront encodes each value once more than it came.
            target, who = _decoded(target), _decoded(who)
        time = " ".join(value(place) for place in times)
        return Fields(time, who, target, value(status), value(duration), value(method), value(size))

    return divide


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


def _decoded(text: str) -> str:
    return text_of(unquote_to_bytes(text.encode(errors="surrogateescape")))


def _divided(data: bytes, context: str) -> Iterator[tuple[int, int, str]]:
    """Parts of these lines, each with the context of its lines: where it begins and ends. Comments are skipped in any
    context, so those before a `#Fields` line go with what is behind it."""
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
    """Where the next `#Fields` line begins behind a place; the end of the data where there is none."""
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
