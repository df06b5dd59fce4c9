"""Content negotiation: JSON or CSV (RFC 9110, section 12.5.1)."""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from starlette.types import Scope

Format = Literal["json", "csv"]

_MEDIA_TYPES: dict[Format, tuple[str, str]] = {"json": ("application", "json"), "csv": ("text", "csv")}
_MAX_ACCEPT = 1_000
"""Bytes of `Accept` that are read. A browser sends 150."""
# A comma or a semicolon inside a quoted string separates nothing. One without an end goes to the end of the text: to
# look for its end once more at each further quotation mark would take quadratic time.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)', re.DOTALL)
_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII | re.IGNORECASE)


class _Preference(NamedTuple):
    """How much a client prefers a media type. Of equal weights, the more specific range wins."""

    weight: float
    specificity: int
    """The index of the range: `*/*`, `text/*`, `text/csv`."""


def negotiate_format(scope: Scope) -> Format:
    """The format that `Accept` prefers. JSON if it prefers neither or accepts neither, if there is no `Accept`, and if
    it has more than 1,000 bytes."""
    accept = b",".join([value for name, value in scope["headers"] if name == b"accept"])
    return _preferred(accept) if len(accept) <= _MAX_ACCEPT else "json"


# The request cache asks for each request.
@lru_cache
def _preferred(accept: bytes) -> Format:
    text = _QUOTED.sub("", accept.decode("latin-1"))
    elements = [[part.strip() for part in element.split(";")] for element in text.split(",")]
    return "csv" if _preference(elements, "csv") > _preference(elements, "json") else "json"


def _preference(elements: list[list[str]], of_format: Format) -> _Preference:
    """By the most specific range that contains the media type. Ignores parameters other than the weight."""
    main, sub = _MEDIA_TYPES[of_format]
    ranges = ["*/*", f"{main}/*", f"{main}/{sub}"]
    found = [
        (ranges.index(element[0].lower()), _weight(element[1:])) for element in elements if element[0].lower() in ranges
    ]
    if not found:
        return _Preference(0.0, -1)
    specificity, weight = max(found)
    return _Preference(weight, specificity) if weight else _Preference(0.0, -1)


def _weight(parameters: list[str]) -> float:
    """1 without a weight; an invalid weight counts as 0."""
    for parameter in parameters:
        if parameter[:2].lower() == "q=":
            weight = _WEIGHT.fullmatch(parameter)
            return float(weight[1]) if weight else 0.0
    return 1.0
