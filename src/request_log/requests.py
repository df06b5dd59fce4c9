"""The result of parsing a log: requests in columns, rejected lines, and skipped lines."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, chain, count
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from request_log.line import LAST_SECOND, SECONDS_A_DAY, Mended, Reason
from request_log.path_template import PathTemplates

NONE = -1
"""Stands in a column of numbers for a missing value."""
Integers = NDArray[np.int64]


_templates = PathTemplates()


def _none() -> Integers:
    return np.empty(0, np.int64)


_NUMBERS = ("statuses", "latencies", "seconds", "milliseconds", "offsets", "sizes")
"""Columns of numbers."""
_PLACES = {"customers": "names", "paths": "path_texts", "methods": "method_texts"}
"""Columns of places, and the texts that they are places among."""


@dataclass(slots=True)
class Requests:
    """Valid requests as columns of equal length. The requests of a log are in its order."""

    names: list[str] = field(default_factory=list)
    """The different customers; not a column."""
    customers: Integers = field(default_factory=_none)
    """The place of each customer in `names`."""
    path_texts: list[str] = field(default_factory=list)
    """The different paths, or their templates; not a column."""
    paths: Integers = field(default_factory=_none)
    """The place of each path in `path_texts`."""
    durations: list[str] = field(default_factory=list)
    """Seconds as a plain decimal, as logged; "" if not logged."""
    statuses: Integers = field(default_factory=_none)
    latencies: Integers = field(default_factory=_none)
    """The durations in whole milliseconds, rounded half up; NONE if not logged."""
    seconds: Integers = field(default_factory=_none)
    """Unix time."""
    milliseconds: Integers = field(default_factory=_none)
    """Milliseconds of the second; NONE if the time was logged without a fraction."""
    offsets: Integers = field(default_factory=_none)
    """Where each line begins in its file, bytes."""
    method_texts: list[str] = field(default_factory=list)
    """The different methods, "" if not logged; not a column."""
    methods: Integers = field(default_factory=_none)
    """The place of each method in `method_texts`."""
    sizes: Integers = field(default_factory=_none)
    """Bytes of the responses; NONE if not logged."""

    def __post_init__(self) -> None:
        """Fill in the columns of methods and sizes, which a log may lack."""
        if len(self.methods) != len(self):
            self.method_texts, self.methods = [""], np.zeros(len(self), np.int64)
        if len(self.sizes) != len(self):
            self.sizes = np.full(len(self), NONE)

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def days(self) -> Integers:
        """A column: UTC days since 1970-01-01."""
        return self.seconds // SECONDS_A_DAY

    def customer_ids(self) -> list[str]:
        return [self.names[customer] for customer in self.customers.tolist()]

    def request_paths(self) -> list[str]:
        return [self.path_texts[path] for path in self.paths.tolist()]

    def request_methods(self) -> list[str]:
        return [self.method_texts[method] for method in self.methods.tolist()]

    def to_count(self, template_of: Callable[[str], str] = _templates.__getitem__) -> "Requests":
        """These requests with the templates of their paths and without durations as logged. Texts take most of the
        memory, and there are few templates. `template_of`: a function from a path to its template."""
        return replace(self, path_texts=list(map(template_of, self.path_texts)), durations=[])

    def select(self, selectors: Sequence[bool]) -> "Requests":
        return self.at(np.flatnonzero(selectors))

    def at(self, places: Integers) -> "Requests":
        """The requests at these places, in the order of the places."""
        columns = {name: getattr(self, name)[places] for name in (*_PLACES, *_NUMBERS)}
        durations = [self.durations[place] for place in places.tolist()] if self.durations else []
        return replace(self, durations=durations, **columns)


def joined(parts: Sequence[Requests]) -> Requests:
    if len(parts) <= 1:
        return parts[0] if parts else Requests()
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _NUMBERS}
    for name, of_texts in _PLACES.items():
        columns[of_texts], columns[name] = _joined([(getattr(part, of_texts), getattr(part, name)) for part in parts])
    return Requests(durations=[duration for part in parts for duration in part.durations], **columns)


def _joined(parts: Sequence[tuple[list[str], Integers]]) -> tuple[list[str], Integers]:
    """The different texts of all parts, and the column of places among them."""
    texts, places = numbered([text for of_part, _ in parts for text in of_part])
    ends = accumulate(len(of_part) for of_part, _ in parts)
    columns = [places[end - len(of_part) : end][column] for end, (of_part, column) in zip(ends, parts, strict=True)]
    return texts, np.concatenate(columns)


def transposed(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """The columns of rows of `width` values. `zip(*rows)` holds all rows at once, which the garbage collector then
    visits again and again."""
    values = list(chain.from_iterable(rows))
    return [values[place::width] for place in range(width)]


def numbered(texts: Sequence[str]) -> tuple[list[str], Integers]:
    """The different texts in the order of their first occurrence, and the place of each text among them."""
    places: defaultdict[str, int] = defaultdict(count().__next__)
    numbers = np.fromiter(map(places.__getitem__, texts), np.int64, len(texts))
    return list(places), numbers


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that is not a request: where it begins (bytes), the reason, and its bytes without the newline."""

    offset: int
    reason: Reason
    line: bytes
    length: int | None = None
    """Bytes of the whole line, if `line` is only its beginning. `digest` is then the hash of the whole line."""
    digest: str = ""


class MendedLine(NamedTuple):
    """A mended part of a request: where its line begins (bytes), and which part."""

    offset: int
    what: Mended


class Parsed(NamedTuple):
    """The result of parsing lines: each is a request, rejected or skipped. All are in the order of the log."""

    requests: Requests
    rejected: list[Rejected]
    skipped: Sequence[int] = ()
    """Where the lines begin (bytes) that are comments or headers."""
    mended: Sequence[MendedLine] = ()


class Parser(Protocol):
    """Parses the lines of a format."""

    def __call__(self, data: bytes, offset: int = 0, oldest_day: int = 0, latest_second: int = LAST_SECOND) -> Parsed:
        """Parse whole lines; `data` ends in a newline.

        `offset`: where `data` begins in its file, bytes. Lines of days before `oldest_day` (days since 1970-01-01) and
        lines after `latest_second` (Unix time) are rejected.
        """
