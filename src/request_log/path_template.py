"""The template of a path: the path without identifiers, query and fragment. Requests are counted by templates."""

import re
from functools import lru_cache

ID = "{id}"
"""Replaces an identifier."""
REST = "…"
"""Replaces what is beyond the limits."""
MAX_SEGMENTS = 10
MAX_LENGTH = 120
"""Characters of a template."""

# Beside digits: a UUID; hexadecimal from 16 digits; letters and digits from 20 (ULID, KSUID, Mongo, Base64 tokens).
_IDENTIFIER = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}|(?=[^/]*[0-9])(?=[^/]*[a-z])[0-9a-z_-]{20,}",
    re.ASCII | re.IGNORECASE,
)
_SHORTEST_ID = 16
"""Characters of the shortest identifier that is not digits alone."""
_ENDS_PATH = re.compile(r"[?#]")


def path_template(path: str) -> str:
    """`/users/123/orders?page=2` -> `/users/{id}/orders`.

    Query and fragment are left out. A segment that is an identifier becomes `{id}`. Identifiers are: digits alone; a
    UUID; 16 or more hexadecimal digits; 20 or more ASCII letters, digits, `-` and `_` with a letter and a digit. All
    beyond ten segments or 120 characters becomes `…`. The template of a template is the template itself.
    """
    if "?" in path or "#" in path:
        path = _ENDS_PATH.split(path, maxsplit=1)[0]
    if len(path) > MAX_LENGTH or path.count("/") > MAX_SEGMENTS:
        segments = path.split("/")
        # The first element stands before the first slash, and is mostly empty.
        named = list(map(_named, segments[: MAX_SEGMENTS + 1]))
        text = "/".join([*named, REST] if len(segments) > MAX_SEGMENTS + 1 else named)
    else:
        # Most different paths have the same beginning.
        beginning, slash, segment = path.rpartition("/")
        text = _beginning(beginning) + slash + _named(segment)
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + REST


@lru_cache(10_000)
def _beginning(path: str) -> str:
    beginning, slash, segment = path.rpartition("/")
    return (_beginning(beginning) if beginning else "") + slash + _named(segment)


def _named(segment: str) -> str:
    if segment.isdecimal() and segment.isascii():
        return ID
    return ID if len(segment) >= _SHORTEST_ID and _IDENTIFIER.fullmatch(segment) else segment
