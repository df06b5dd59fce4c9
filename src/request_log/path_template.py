"""The template of a path: the path without identifiers, query and fragment. Requests are counted by templates."""

import re
import sys
from collections.abc import Sequence
from functools import lru_cache

from request_log.meanings import Cache

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
# How routers and shells write what stands for any segment.
_OTHER_PLACEHOLDER = re.compile(r"\*+|:\w+|<[^<>]+>")


def path_without_query(path: str) -> str:
    """A path without its query and fragment. One that is nothing else is the root."""
    return path.partition("?")[0].partition("#")[0] or "/" if "?" in path or "#" in path else path


def path_template(path: str) -> str:
    """`/users/123/orders?page=2` -> `/users/{id}/orders`.

    Query and fragment are left out. A segment that is an identifier becomes `{id}`. Identifiers are: digits alone; a
    UUID; 16 or more hexadecimal digits; 20 or more ASCII letters, digits, `-` and `_` with a letter and a digit. All
    beyond ten segments or 120 characters becomes `…`. The template of a template is the template itself.
    """
    path = path_without_query(path)
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


class PathTemplates(Cache[str, str]):
    """Path -> its template: the first own template that matches it, else `path_template`.

    An own template is a path in which `{name}` stands for any one segment that is not empty.
    """

    def __init__(self, own: Sequence[str] = ()) -> None:
        """`own`: own templates, all of which pass `template_fault`."""
        super().__init__(self._template if own else path_template)
        self._own = own
        self._root = _Node()
        for place, template in enumerate(own):
            node = self._root
            for segment in template.split("/"):
                node = node.following.setdefault(None if _is_any(segment) else segment, _Node())
            node.place = min(node.place, place)

    def _template(self, path: str) -> str:
        place = self._root.first_match(path_without_query(path).split("/"))
        return self._own[place] if place < len(self._own) else path_template(path)


class _Node:
    """Own templates that begin with the same segments."""

    __slots__ = ("following", "place")

    def __init__(self) -> None:
        self.following: dict[str | None, _Node] = {}
        """The next segment -> the templates that have it; None stands for `{name}`."""
        self.place = sys.maxsize
        """The place of the template that ends here."""

    def first_match(self, segments: Sequence[str], depth: int = 0) -> int:
        """The place of the first template that matches, of those below; sys.maxsize if none does. Visits each node once
        at most. `depth`: how many segments these templates share."""
        if depth == len(segments):
            return self.place
        segment = segments[depth]
        matching = [self.following.get(segment), self.following.get(None) if segment else None]
        return min((one.first_match(segments, depth + 1) for one in matching if one is not None), default=sys.maxsize)


def _is_any(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")


def template_fault(template: str) -> str | None:
    """What is wrong with an own template; None if it can be used."""
    if not template.startswith("/"):
        return "does not begin with /"
    if len(template) > MAX_LENGTH:
        return f"has more than {MAX_LENGTH} characters"
    if not template.isprintable() or re.search(r"[\s?#]", template):
        return "has a space, a control character, ? or #"
    if any(re.search(r"[{}]", segment) and not re.fullmatch(r"\{[^{}]+\}", segment) for segment in template.split("/")):
        return "has a brace that is not around a whole segment, as in /orders/{id}"
    if any(_OTHER_PLACEHOLDER.fullmatch(segment) for segment in template.split("/")):
        return "has a placeholder of another form: any one segment is {name}, as in /orders/{id}"
    return None
