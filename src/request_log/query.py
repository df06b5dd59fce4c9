"""Query strings, which may hold tokens and names. By default none is stored."""

import re
from dataclasses import replace
from typing import NamedTuple

from request_log.path_template import path_without_query
from request_log.requests import Parsed

# In any line: a `?` or `#` and what follows it, up to a space or the quotation mark that ends the field. They may be
# escaped as in URLs, also more than once, as in JSON, or as in the logs of nginx.
_IN_LINE = re.compile(
    rb'(?:[?#]|%(?:25)*(?:3F|23)|\\(?:u00|x)(?:3F|23))(?:\\.|[^\s"\\])*',
    re.IGNORECASE,
)
# Members that hold the query alone, as nginx and others call them.
_NAME = rb"(?:args|query|query_?string|query_?params|request_args|uri_query|cs-uri-query)"
# In a line of `key=value` pairs, perhaps within a string of JSON.
_PAIR = re.compile(
    rb"((?<![^\s\"{,])" + _NAME + rb"=)"
    rb'(?:"(?:\\.|[^"\\])*"?|\\"(?:\\\\\\"|\\[^"]|[^"\\])*(?:\\")?)?[^\s"\\]*',
    re.IGNORECASE,
)


class _Json(NamedTuple):
    """How a line has JSON."""

    member: re.Pattern[bytes]
    """What stands before the value of a member that holds the query."""
    token: re.Pattern[bytes]
    """A string, or a bracket. The end of a string may be missing, so that no line is searched twice for it."""
    empty: bytes
    """An empty string."""

    def without_queries(self, line: bytes) -> bytes:
        """The line without the values of these members: strings, or objects and arrays as a whole."""
        kept, place = [], 0
        for name in self.member.finditer(line):
            if name.start() >= place and self.token.match(line, name.end()):
                kept += [line[place : name.end()], self.empty]
                place = self._end(line, name.end())
        return b"".join([*kept, line[place:]])

    def _end(self, line: bytes, start: int) -> int:
        """The end of the value that begins at `start`; that of the line where the value has none."""
        depth = 0
        for token in self.token.finditer(line, start):
            depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(token[0], 0)
            if depth <= 0:
                return token.end()
        return len(line)


_JSON = (
    _Json(re.compile(rb'"' + _NAME + rb'"\s*:\s*', re.IGNORECASE), re.compile(rb'"(?:\\.|[^"\\])*"?|[][{}]'), b'""'),
    # In a wrapper that is JSON itself, a backslash stands before each quotation mark.
    _Json(
        re.compile(rb'\\"' + _NAME + rb'\\"\s*:\s*', re.IGNORECASE),
        re.compile(rb'\\"(?:\\\\\\"|\\[^"]|[^"\\])*(?:\\")?|[][{}]'),
        rb"\"\"",
    ),
)
# Two pieces may become a query when what stood between them is left out. Nothing is kept of a line of many such pieces.
_MOST_PASSES = 4
# In a line with columns: a field that has a parameter, such as `token=1`.
_COLUMN = re.compile(rb"(?<=\s)\S*=\S*")


def without_queries(parsed: Parsed) -> Parsed:
    """The requests of a result without the queries of their paths."""
    texts = parsed.requests.path_texts
    # A regular expression would take ten times as long to find none.
    all_texts = "".join(texts)
    if "?" not in all_texts and "#" not in all_texts:
        return parsed
    return parsed._replace(requests=replace(parsed.requests, path_texts=list(map(path_without_query, texts))))


def line_without_query(line: bytes, has_columns: bool = False) -> bytes:
    """The bytes of a line that may be no request, without what looks like a query; once more, it stays as it is.

    `has_columns`: of a W3C log. A line that came in parts has a newline between them. A query may go on in the next
    part, so nothing is kept behind a part that has one.
    """
    kept = []
    for part in line.split(b"\n"):
        kept.append(_part_without_query(part, has_columns))
        if kept[-1] != part:
            break
    return b"\n".join(kept)


def _part_without_query(line: bytes, has_columns: bool) -> bytes:
    for _ in range(_MOST_PASSES):
        left = _without_query(line, has_columns)
        if left == line:
            return line
        line = left
    return b""


def _without_query(line: bytes, has_columns: bool) -> bytes:
    line = _IN_LINE.sub(b"", line)
    if b'"' in line:
        for json in _JSON:
            line = json.without_queries(line)
    if b"=" in line:
        line = _PAIR.sub(rb"\1-", line)
    return _COLUMN.sub(b"-", line) if has_columns else line
