"""Answers as bytes: JSON, or their list as CSV."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from api.questions.negotiation import Format
from api.schemas.listing import Listing

_COMPLETE_THROUGH = b'"complete_through":'
# What stands there until a response is sent.
_UNKNOWN = b'null,"missing":[]'
# Spreadsheets take a cell that begins with one of these for a formula (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME = 100
"""Characters of a file's name."""


@dataclass(slots=True)
class Body:
    """The body of a response."""

    text: bytes
    """The body as it was sent last. CSV has no progress in it: headers have it."""
    media_type: str
    headers: dict[str, str] = field(default_factory=dict)
    next_cursor: str | None = None
    """The cursor of the next page; None if there is none."""
    progress: slice | None = None
    """Where `text` has the values of `complete_through` and `missing`; None in CSV."""


def encode(listing: Listing, as_format: Format) -> Body:
    """The body of an answer whose `complete_through` is None and `missing` empty."""
    return _csv(listing) if as_format == "csv" else _json(listing)


def with_progress(body: Body, complete_through: bytes, missing: Sequence[str]) -> bytes:
    """The bytes of a response. `complete_through`: as JSON.

    Responses of the same progress are one object: a thousand clients that do not read would otherwise fill the memory.
    """
    place = body.progress
    if place is not None:
        values = complete_through + b',"missing":' + to_json(missing)
        if body.text[place] != values:
            text = memoryview(body.text)
            body.text = b"".join((text[: place.start], values, text[place.stop :]))
            body.progress = slice(place.start, place.start + len(values))
    return body.text


def _json(listing: Listing) -> Body:
    # The first occurrence is the field, because strings have their quotes escaped.
    text = listing.model_dump_json(exclude_unset=True).encode()
    start = text.index(_COMPLETE_THROUGH) + len(_COMPLETE_THROUGH)
    place = slice(start, start + len(_UNKNOWN))
    return Body(text, "application/json", next_cursor=getattr(listing, "next_cursor", None), progress=place)


def _csv(listing: Listing) -> Body:
    text = io.StringIO(newline="")
    # Quoted, because a spreadsheet may also separate cells by semicolons or tabs.
    table = csv.DictWriter(text, listing.columns(), restval="", quoting=csv.QUOTE_ALL)
    table.writeheader()
    for row in getattr(listing, listing.ROWS):
        cells = _flat(row.model_dump(mode="json", exclude_unset=True))
        table.writerow({name: _harmless(value) for name, value in cells})
    name = "-".join(filter(None, [listing.ROWS, getattr(listing, "customer_id", None)]))
    name = _UNSAFE_IN_NAME.sub("_", name)[:_MAX_NAME]
    return Body(
        text.getvalue().encode(),
        "text/csv; charset=utf-8; header=present",
        {"Content-Disposition": f'attachment; filename="{name}.csv"'},
        getattr(listing, "next_cursor", None),
    )


def _flat(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The cells of a row by column. The column of a value inside an object is `object.name`."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", of_inner) for inner, of_inner in value.items())
        else:
            yield name, value


def _harmless(value: object) -> object:
    """The cell, after an apostrophe if a spreadsheet would take it for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
