"""The parser of all formats but `simple`. A format only finds the fields of a line; their meaning is decided here.

Most formats divide one line at a time. Some can also divide many lines at once, which costs much less; they leave odd
lines to the first way. The meaning of the fields is decided for all lines of a chunk together.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from request_log.fields.duration import Duration, Durations
from request_log.fields.escapes import printable, text_of
from request_log.fields.timestamp import timestamps
from request_log.fields.values import (
    GREATEST_SIZE,
    GREATEST_STATUS,
    LEAST_STATUS,
    METHODS,
    NO_STATUS,
    NOT_LOGGED,
    SIZES,
    STATUSES,
)
from request_log.framing.scanning import is_any_too_long, starts_of
from request_log.line import (
    LAST_SECOND,
    MAX_LINE_BYTES,
    MIN_LINE_BYTES,
    SECONDS_A_DAY,
    Mended,
    Reason,
    are_customers,
    is_customer,
)
from request_log.meanings import INVALID, Cache
from request_log.requests import NONE, Integers, MendedLine, Parsed, Rejected, Requests, joined, numbered, transposed

COMMENT = b"#"
"""The first byte of a line that is skipped."""
Flags = NDArray[np.bool_]
CustomerOf = Callable[[str], str]
"""Path -> customer, "" if there is none."""


class Fields(NamedTuple):
    """The texts of the fields of a line, "" for a missing one. A surrogate stands for a byte that is not UTF-8, see
    `escapes.text_of`."""

    time: str
    customer: str
    path: str
    status: str
    duration: str = ""
    method: str = ""
    size: str = ""
    """Bytes of the response."""
    more_durations: tuple[str, ...] = ()
    """Durations that are added to `duration`."""


class Repeated(NamedTuple):
    """A column in which texts repeat."""

    texts: Sequence[str]
    places: Integers
    """The place of each line's text in `texts`."""


@dataclass(slots=True)
class Columns:
    """The fields of many lines."""

    times: Sequence[str] | Repeated
    customers: Sequence[str]
    paths: Sequence[str]
    statuses: Sequence[str] | Integers
    durations: Sequence[str] | Sequence[float]
    """As logged: texts, or numbers."""
    methods: Sequence[str] | Repeated
    sizes: Sequence[str] | Integers
    more_durations: Sequence[tuple[str, ...]] = ()
    """Empty if no line has any. If not, `durations` are texts."""
    are_printable: bool = False
    """Whether customers and paths are known to be printable or empty."""


NO_COLUMNS = Columns((), (), (), (), (), (), ())
Divide = Callable[[str], Fields | None]
"""Line -> its fields; None if the line does not have the format."""


class DivideChunk(ABC):
    """A `Divide` that can also divide many lines at once. Both ways find the same fields."""

    @abstractmethod
    def __call__(self, line: str) -> Fields | None:
        """See `Divide`."""

    @abstractmethod
    def columns(self, data: bytes, starts: Integers) -> tuple[Columns, Sequence[int] | Integers]:
        """The fields of lines that have the format, and the places of these lines among all, ascending. Other lines are
        left out, and so are lines that need a closer look.

        `data`: whole lines, none of which is too long. `starts`: where each of them begins in `data`.
        """


class LineByLine:
    """A `Parser`."""

    def __init__(self, divide: Divide, duration_unit: str, customer_of: CustomerOf | None) -> None:
        """`duration_unit`: of durations that do not name theirs. `customer_of`: finds customers in paths."""
        self._divide = divide
        self._customers = None if customer_of is None else Cache(customer_of)
        self._durations = Durations(duration_unit)

    def __call__(self, data: bytes, offset: int = 0, oldest_day: int = 0, latest_second: int = LAST_SECOND) -> Parsed:
        starts = starts_of(data)
        in_time = (oldest_day * SECONDS_A_DAY, latest_second)
        found: list[Parsed] = []
        left: Sequence[int] = range(len(starts))
        if isinstance(self._divide, DivideChunk) and data and not is_any_too_long(data, starts):
            columns, places = self._divide.columns(data, starts)
            if len(places):
                found.append(self._requests(columns, data, starts[places], *in_time))
                is_left = np.ones(len(starts), bool)
                is_left[places] = False
                left = np.flatnonzero(is_left).tolist()
        if left:
            found.append(self._one_by_one(data, starts, left, in_time))
        return _together(found, offset)

    def _one_by_one(self, data: bytes, starts: Integers, left: Sequence[int], in_time: tuple[int, int]) -> Parsed:
        rejected, skipped = [], []
        places: list[int] = []
        rows: list[Fields] = []
        begins = starts.tolist()
        stops = [begin - 1 for begin in (*begins[1:], len(data))]
        for place in left:
            line = data[begins[place] : stops[place]]
            fields = self._fields(line)
            if isinstance(fields, Fields):
                places.append(place)
                rows.append(fields)
            elif fields is None:
                skipped.append(begins[place])
            else:
                rejected.append(Rejected(begins[place], fields, line))
        if not rows:
            return Parsed(Requests(), rejected, skipped)
        times, customers, paths, statuses, durations, methods, sizes, more = zip(*rows, strict=True)
        columns = Columns(times, customers, paths, statuses, durations, methods, sizes, more if any(more) else ())
        parsed = self._requests(columns, data, starts[places], *in_time)
        return parsed._replace(rejected=rejected + parsed.rejected, skipped=skipped)

    def _fields(self, line: bytes) -> Fields | Reason | None:
        """The fields of a line, the reason to reject it, or None if it is a comment."""
        if len(line) > MAX_LINE_BYTES:
            return Reason.TOO_LONG
        text = text_of(line).removesuffix("\r")
        if not text:
            return Reason.EMPTY
        if line.startswith(COMMENT):
            return None
        if len(line) + 1 < MIN_LINE_BYTES:
            return Reason.TOO_SHORT
        return self._divide(text) or Reason.FIELDS

    def _requests(self, columns: Columns, data: bytes, offsets: Integers, oldest: int, latest: int) -> Parsed:
        """Parse the fields of lines. `offsets`: where each line begins in `data`. `oldest` and `latest`: Unix time."""
        if columns.more_durations:
            every = zip(cast("Sequence[str]", columns.durations), columns.more_durations, strict=True)
            found = [self._durations.total((first, *others)) for first, others in every]
        else:
            found = list(map(self._durations.__getitem__, columns.durations))
        durations, latencies, is_odd_duration = transposed(found, len(Duration._fields))
        seconds, milliseconds = _timestamps(columns.times)
        statuses = _statuses(columns.statuses)
        path_texts, paths, mended = _written(columns.paths, columns.are_printable)
        if self._customers is None:
            names, customers, mended_customers = _written(columns.customers, columns.are_printable)
        else:
            of_paths = list(map(self._customers.__getitem__, path_texts))
            names, customers, mended_customers = _written(of_paths, columns.are_printable)
            customers = customers[paths]
            mended_customers = {kind: is_mended[paths] for kind, is_mended in mended_customers.items()}
        for kind, is_mended in mended_customers.items():
            mended[kind] = is_mended | mended[kind] if kind in mended else is_mended
        if True in is_odd_duration:
            mended[Mended.DURATION] = np.array(is_odd_duration)
        if statuses.min() <= 0:
            mended[Mended.STATUS] = statuses <= 0
            statuses = np.abs(statuses)
        method_texts, methods = _methods(columns.methods)
        requests = Requests(
            names,
            customers,
            path_texts,
            paths,
            durations,
            statuses,
            np.array(latencies, np.int64),
            seconds,
            milliseconds,
            offsets,
            method_texts,
            methods,
            _sizes(columns.sizes),
        )
        rejected: list[Rejected] = []
        is_in_time = oldest <= requests.seconds.min() and requests.seconds.max() <= latest
        if not is_in_time or not are_customers(names):
            requests, rejected, is_good = _judged(requests, data, oldest, latest)
            offsets = offsets[is_good]
            mended = {kind: is_mended[is_good] for kind, is_mended in mended.items()}
        lines = [
            MendedLine(offset, kind) for kind, is_mended in mended.items() for offset in offsets[is_mended].tolist()
        ]
        return Parsed(requests, rejected, (), lines)


def _timestamps(column: Sequence[str] | Repeated) -> tuple[Integers, Integers]:
    """Two columns: seconds and milliseconds."""
    if not isinstance(column, Repeated):
        return timestamps(column)
    seconds, milliseconds = timestamps(column.texts)
    return seconds[column.places], milliseconds[column.places]


def _statuses(column: Sequence[str] | Integers) -> Integers:
    """See `values.STATUSES`."""
    if isinstance(column, np.ndarray):
        return np.where((column >= LEAST_STATUS) & (column <= GREATEST_STATUS), column, NO_STATUS)
    return np.fromiter(map(STATUSES.__getitem__, column), np.int64, len(column))


def _sizes(column: Sequence[str] | Integers) -> Integers:
    if isinstance(column, np.ndarray):
        return np.where((column >= 0) & (column <= GREATEST_SIZE), column, NONE)
    return np.fromiter(map(SIZES.__getitem__, column), np.int64, len(column))


def _methods(column: Sequence[str] | Repeated) -> tuple[list[str], Integers]:
    """The different methods, and the column of places among them."""
    texts, places = column if isinstance(column, Repeated) else numbered(column)
    methods, merged = numbered(list(map(METHODS.__getitem__, texts)))
    return methods, merged[places]


def _written(texts: Sequence[str], are_printable: bool) -> tuple[list[str], Integers, dict[Mended, Flags]]:
    """The different texts as they are stored, the column of places among them, and the mended lines by kind."""
    found, places = numbered(texts)
    if "" not in found and (are_printable or "".join(found).isprintable()):
        return found, places, {}
    written = [printable(text or NOT_LOGGED) for text in found]
    names, merged = numbered([text for text, _ in written])
    kinds = {kind for _, kinds in written for kind in kinds}
    return names, merged[places], {kind: np.array([kind in its for _, its in written])[places] for kind in kinds}


def _judged(requests: Requests, data: bytes, oldest: int, latest: int) -> tuple[Requests, list[Rejected], Flags]:
    """Reject requests with an invalid time, a customer that is too long, or a time out of bounds. The last element says
    which requests are good."""
    seconds = requests.seconds
    is_too_long = ~np.fromiter(map(is_customer, requests.names), bool, len(requests.names))[requests.customers]
    reasons = {
        Reason.TIME: seconds == INVALID,
        Reason.CUSTOMER: is_too_long,
        Reason.TOO_OLD: seconds < oldest,
        Reason.TOO_NEW: seconds > latest,
    }
    is_good = np.ones(len(requests), bool)
    rejected = []
    for reason, is_so in reasons.items():
        for offset in requests.offsets[is_so & is_good].tolist():
            rejected.append(Rejected(offset, reason, data[offset : data.index(b"\n", offset)]))
        is_good &= ~is_so
    return requests.select(is_good.tolist()), rejected, is_good


def _together(parts: Sequence[Parsed], offset: int) -> Parsed:
    """The result for a chunk that begins at `offset` in its file, in the order of the log."""
    requests = joined([part.requests for part in parts if part.requests])
    offsets = requests.offsets
    if (offsets[1:] < offsets[:-1]).any():
        requests = requests.at(np.argsort(offsets))
    requests = replace(requests, offsets=requests.offsets + offset)
    rejected = [replace(line, offset=line.offset + offset) for part in parts for line in part.rejected]
    skipped = [place + offset for part in parts for place in part.skipped]
    mended = [MendedLine(place + offset, kind) for part in parts for place, kind in part.mended]
    return Parsed(requests, sorted(rejected, key=attrgetter("offset")), sorted(skipped), sorted(mended))
