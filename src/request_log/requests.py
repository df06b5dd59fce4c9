"""What is read from a log: requests, in columns, and the lines that are none."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, count
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from request_log.cache import Cache
from request_log.line import LAST_SECOND, SECONDS_A_DAY, Mended, Reason
from request_log.path_template import path_template

NONE = -1
"""Stands in a column of numbers where a line has none."""
Integers = NDArray[np.int64]


_templates = Cache(path_template)


def _none() -> Integers:
    return np.empty(0, np.int64)


@dataclass(slots=True)
class Requests:
    """Valid requests, those of each log in its order: columns of equal length."""

    names: list[str] = field(default_factory=list)
    """The customers, each once; not a column."""
    customers: Integers = field(default_factory=_none)
    """Their places in `names`."""
    path_texts: list[str] = field(default_factory=list)
    """The paths, or their templates; not a column."""
    paths: Integers = field(default_factory=_none)
    """Their places in `path_texts`."""
    durations: list[str] = field(default_factory=list)
    """Seconds, a plain decimal, as logged; empty where none was."""
    statuses: Integers = field(default_factory=_none)
    latencies: Integers = field(default_factory=_none)
    """The durations in whole milliseconds, half up; NONE where none was logged."""
    seconds: Integers = field(default_factory=_none)
    """Unix time."""
    milliseconds: Integers = field(default_factory=_none)
    """Of that second; NONE where the time was logged without a fraction."""
    offsets: Integers = field(default_factory=_none)
    """Where each line begins in its file, in bytes."""
    method_texts: list[str] = field(default_factory=list)
    """The methods, each once, "" where none was logged; not a column."""
    methods: Integers = field(default_factory=_none)
    """Their places in `method_texts`."""
    sizes: Integers = field(default_factory=_none)
    """Of the answers, in bytes; NONE where none was logged."""

    def __post_init__(self) -> None:
        """A log may have neither methods nor sizes."""
        if len(self.methods) != len(self):
            self.method_texts, self.methods = [""], np.zeros(len(self), np.int64)
        if len(self.sizes) != len(self):
            self.sizes = np.full(len(self), NONE)

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def days(self) -> Integers:
        """UTC days since 1970-01-01."""
        return self.seconds // SECONDS_A_DAY

    def customer_ids(self) -> list[str]:
        """A column: whose each request is."""
        return [self.names[customer] for customer in self.customers.tolist()]

    def request_paths(self) -> list[str]:
        """A column: the path of each."""
        return [self.path_texts[path] for path in self.paths.tolist()]

    def request_methods(self) -> list[str]:
        """A column: the method of each."""
        return [self.method_texts[method] for method in self.methods.tolist()]

    def to_count(self) -> "Requests":
        """The same without durations as logged and with the templates of the paths: texts take most of the memory, and
        of templates there are few."""
        return replace(self, path_texts=list(map(_templates.__getitem__, self.path_texts)), durations=[])

    def select(self, selectors: Sequence[bool]) -> "Requests":
        """Those requests whose selector is true."""
        return self.at(np.flatnonzero(selectors))

    def at(self, places: Integers) -> "Requests":
        """The requests at these places, in this order."""
        return replace(
            self,
            customers=self.customers[places],
            paths=self.paths[places],
            durations=[self.durations[place] for place in places.tolist()] if self.durations else [],
            statuses=self.statuses[places],
            latencies=self.latencies[places],
            seconds=self.seconds[places],
            milliseconds=self.milliseconds[places],
            offsets=self.offsets[places],
            methods=self.methods[places],
            sizes=self.sizes[places],
        )


def joined(parts: Sequence[Requests]) -> Requests:
    """The requests of all these parts."""
    if len(parts) <= 1:
        return parts[0] if parts else Requests()
    names, customers = _joined([(part.names, part.customers) for part in parts])
    path_texts, paths = _joined([(part.path_texts, part.paths) for part in parts])
    method_texts, methods = _joined([(part.method_texts, part.methods) for part in parts])
    return Requests(
        names,
        customers,
        path_texts,
        paths,
        [duration for part in parts for duration in part.durations],
        np.concatenate([part.statuses for part in parts]),
        np.concatenate([part.latencies for part in parts]),
        np.concatenate([part.seconds for part in parts]),
        np.concatenate([part.milliseconds for part in parts]),
        np.concatenate([part.offsets for part in parts]),
        method_texts,
        methods,
        np.concatenate([part.sizes for part in parts]),
    )


def _joined(parts: Sequence[tuple[list[str], Integers]]) -> tuple[list[str], Integers]:
    """The texts of all parts, each once, and the column of their places."""
    texts, places = numbered([text for of_part, _ in parts for text in of_part])
    ends = accumulate(len(of_part) for of_part, _ in parts)
    columns = [places[end - len(of_part) : end][column] for end, (of_part, column) in zip(ends, parts, strict=True)]
    return texts, np.concatenate(columns)


def numbered(texts: Sequence[str]) -> tuple[list[str], Integers]:
    """The different texts, in the order in which they come, and of each text its place among them."""
    places: defaultdict[str, int] = defaultdict(count().__next__)
    numbers = np.fromiter(map(places.__getitem__, texts), np.int64, len(texts))
    return list(places), numbers


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that is no request: where it begins (bytes), why it was rejected, and its bytes without the newline."""

    offset: int
    reason: Reason
    line: bytes
    length: int | None = None
    """Bytes of the whole line, where `line` is only its beginning; `digest` is its hash then."""
    digest: str = ""


class MendedLine(NamedTuple):
    """What was mended of a request: where its line begins (bytes), and what it was."""

    offset: int
    what: Mended


class Parsed(NamedTuple):
    """What becomes of lines: each is a request, rejected or skipped. All are in the log's order."""

    requests: Requests
    rejected: list[Rejected]
    skipped: Sequence[int] = ()
    """Where lines begin (bytes) that are comments or say what the next ones mean."""
    mended: Sequence[MendedLine] = ()


class Parser(Protocol):
    """Reads the lines of a format."""

    def __call__(self, data: bytes, offset: int = 0, oldest_day: int = 0, latest_second: int = LAST_SECOND) -> Parsed:
        """What becomes of whole lines (`data` ends in a newline).

        `offset` is where `data` begins in its file, in bytes. Lines of days before `oldest_day` (days since 1970-01-01)
        are rejected, and lines after `latest_second` (Unix time).
        """
