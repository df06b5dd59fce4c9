"""Query strings, which may hold tokens and names. By default none is stored."""

import re
from dataclasses import replace

from request_log.requests import Parsed

# In any line: a `?` and what follows it, up to a space or the quotation mark that ends the field.
_IN_LINE = re.compile(rb'\?(?:\\.|[^\s"\\])*')
# In a line of JSON: members that hold the query alone, as nginx and others call them. In a wrapper that is JSON itself,
# a backslash stands before each quotation mark. The end may be missing, so that no line is searched twice for it.
_NAME = rb"(?:args|query|query_?string|request_args|uri_query|cs-uri-query)"
_MEMBER = re.compile(rb'("' + _NAME + rb'"\s*:\s*)(?:"(?:\\.|[^"\\])*"?|\{[^}]*\}?)', re.IGNORECASE)
_WRAPPED_MEMBER = re.compile(
    rb'(\\"' + _NAME + rb'\\"\s*:\s*)(?:\\"(?:\\\\\\"|\\[^"]|[^"\\])*(?:\\")?|\{[^}]*\}?)', re.IGNORECASE
)
# In a line with columns: a field that has a parameter, such as `token=1`.
_COLUMN = re.compile(rb"(?<=\s)\S*=\S*")


def path_without_query(path: str) -> str:
    return path.partition("?")[0].partition("#")[0]


def without_queries(parsed: Parsed) -> Parsed:
    """The requests of a result without the queries of their paths."""
    texts = parsed.requests.path_texts
    # A regular expression would take ten times as long to find none.
    all_texts = "".join(texts)
    if "?" not in all_texts and "#" not in all_texts:
        return parsed
    # A path that is nothing but a query is the root.
    texts = [path_without_query(path) or "/" if "?" in path or "#" in path else path for path in texts]
    return parsed._replace(requests=replace(parsed.requests, path_texts=texts))


def line_without_query(line: bytes, has_columns: bool = False) -> bytes:
    """The bytes of a line that may be no request, without what looks like a query. `has_columns`: of a W3C log."""
    if b"?" in line:
        line = _IN_LINE.sub(b"", line)
    if b'"' in line:
        line = _WRAPPED_MEMBER.sub(rb'\1\\"\\"', _MEMBER.sub(rb'\1""', line))
    return _COLUMN.sub(b"-", line) if has_columns else line
