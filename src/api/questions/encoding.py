"""Answers as they are sent: JSON, or their list as CSV."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from api.questions.formats import Format
from api.schemas.statistics import Listing

_COMPLETE_THROUGH = b'"complete_through":'
# What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, but for `complete_through`: in JSON it goes between two parts, and CSV has none."""

    parts: tuple[bytes, ...]
    media_type: str
    headers: dict[str, str] = field(default_factory=dict)
    next_cursor: str | None = None
    """What the body does not say: where the next page begins."""

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def encode(listing: Listing, as_format: Format) -> Answer:
    """The answer with this content, whose `complete_through` is None."""
    return _csv(listing) if as_format == "csv" else _json(listing)


def _json(listing: Listing) -> Answer:
    # It is not in any text, for there the quotes are escaped.
    before, name, after = listing.as_json().partition(_COMPLETE_THROUGH)
    return Answer((before + name, after.removeprefix(b"null")), "application/json")


def _csv(listing: Listing) -> Answer:
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, listing.columns(), restval="")
    table.writeheader()
    for row in getattr(listing, listing.ROWS):
        table.writerow({name: _harmless(value) for name, value in _flat(row.model_dump(mode="json"))})
    name = "-".join(filter(None, [listing.ROWS, getattr(listing, "customer_id", None)]))
    name = _UNSAFE_IN_NAME.sub("_", name)[:_NAME_LENGTH]
    return Answer(
        (text.getvalue().encode(),),
        "text/csv; charset=utf-8; header=present",
        {"Content-Disposition": f'attachment; filename="{name}.csv"'},
        getattr(listing, "next_cursor", None),
    )


def _flat(row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The cells of a row by their columns: what is inside an object is `object.name`."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", of_inner) for inner, of_inner in value.items())
        else:
            yield name, value


def _harmless(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: behind an apostrophe it is text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
