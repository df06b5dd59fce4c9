"""JSON or CSV: which of them a client wants (RFC 9110, section 12.5.1)."""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from fastapi import Request

Format = Literal["json", "csv"]

_MEDIA_TYPES: dict[Format, tuple[str, str]] = {"json": ("application", "json"), "csv": ("text", "csv")}
# A comma or a semicolon in a quoted string divides nothing.
_ELEMENT = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_PART = re.compile(r'(?:[^;"]|"(?:[^"\\]|\\.)*")+')
_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII | re.IGNORECASE)


class _Wanted(NamedTuple):
    """How much a media type is wanted. Of equal weights the one that is named more exactly counts more."""

    weight: float
    exactness: int


def negotiate_format(request: Request) -> Format:
    """What the `Accept` of a request asks for. JSON where it takes both alike, or neither, or there is none."""
    return _negotiate_format(",".join(request.headers.getlist("Accept")))


@lru_cache(maxsize=100)
def _negotiate_format(accept: str) -> Format:
    elements = [[part.strip() for part in _PART.findall(element)] for element in _ELEMENT.findall(accept)]
    return "csv" if _wanted(elements, "csv") > _wanted(elements, "json") else "json"


def _wanted(elements: list[list[str]], of_format: Format) -> _Wanted:
    """By the most exact range that it is in. Parameters but the weight are not looked at."""
    main, sub = _MEDIA_TYPES[of_format]
    ranges = ["*/*", f"{main}/*", f"{main}/{sub}"]
    found = [
        (ranges.index(element[0].lower()), _weight(element[1:]))
        for element in elements
        if element and element[0].lower() in ranges
    ]
    if not found:
        return _Wanted(0.0, -1)
    exactness, weight = max(found)
    return _Wanted(weight, exactness) if weight else _Wanted(0.0, -1)


def _weight(parameters: list[str]) -> float:
    """1 where none is given; one that is none counts as 0."""
    for parameter in parameters:
        if parameter[:2].lower() == "q=":
            weight = _WEIGHT.fullmatch(parameter)
            return float(weight[1]) if weight else 0.0
    return 1.0
