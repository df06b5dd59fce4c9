"""Reads lines of the access log, a chunk at a time.

There is one grammar: six fields with single spaces between them, and each field by itself. A chunk is taken apart by a
few calls for all of its lines, because a call a line would cost several times as much, and a field's text that was seen
before is looked up instead of checked again. Lines that are odd in any way are set aside and looked at one by one, so
they cost only themselves.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import compress
from operator import attrgetter
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from request_log.line import (
    FIRST_YEAR,
    LAST_YEAR,
    MAX_CUSTOMER_BYTES,
    MAX_DURATION_SECONDS,
    MAX_LINE_BYTES,
    SECONDS_A_DAY,
    Reason,
)
from request_log.path_template import path_template

FIELDS = 6
INVALID = -1

# White space is U+0020 alone; control characters are Unicode's category Cc. A carriage return may end a line.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_ASCII_CONTROLS = bytes([*range(0x0A), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])
_STAMP = b"0000-00-00 00:00:00 "
_STATUS = re.compile(r"[1-5][0-9]{2}")
_DURATION = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_CACHE_LIMIT = 100_000

Integers = NDArray[np.int64]
Meaning = TypeVar("Meaning")


def _none() -> Integers:
    return np.empty(0, np.int64)


@dataclass(slots=True)
class Requests:
    """Valid requests of one log, in its order: columns of equal length."""

    names: list[str] = field(default_factory=list)
    """The customers, each once; not a column."""
    customers: Integers = field(default_factory=_none)
    """Their places in `names`."""
    paths: list[str] = field(default_factory=list)
    durations: list[str] = field(default_factory=list)
    """Seconds, a plain decimal, as logged."""
    statuses: Integers = field(default_factory=_none)
    latencies: Integers = field(default_factory=_none)
    """The durations in whole milliseconds, half up."""
    seconds: Integers = field(default_factory=_none)
    """Unix time."""
    offsets: Integers = field(default_factory=_none)
    """Where each line begins in its file, in bytes."""

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def days(self) -> Integers:
        """UTC days since 1970-01-01."""
        return self.seconds // SECONDS_A_DAY

    def customer_ids(self) -> list[str]:
        """A column: whose each request is."""
        return [self.names[customer] for customer in self.customers.tolist()]

    def to_count(self) -> "Requests":
        """The same without durations as logged and with the templates of the paths: texts take most of the memory, and
        of templates there are few."""
        return replace(self, paths=list(map(_templates.__getitem__, self.paths)), durations=[])

    def select(self, selectors: Sequence[bool]) -> "Requests":
        """Those requests whose selector is true."""
        selected = np.array(selectors, bool)
        return replace(
            self,
            customers=self.customers[selected],
            paths=list(compress(self.paths, selectors)),
            durations=list(compress(self.durations, selectors)),
            statuses=self.statuses[selected],
            latencies=self.latencies[selected],
            seconds=self.seconds[selected],
            offsets=self.offsets[selected],
        )


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that is no request: where it begins (bytes), why it was rejected, and its bytes without the newline."""

    offset: int
    reason: Reason
    line: bytes
    length: int | None = None
    """Bytes of the whole line, where `line` is only its beginning; `digest` is its hash then."""
    digest: str = ""


class _Cache(dict[str, Meaning], Generic[Meaning]):
    """What a field's text means, INVALID for what is not valid; computed once. Bounded: it starts anew when full."""

    def __init__(self, compute: Callable[[str], Meaning]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, text: str) -> Meaning:
        if len(self) >= _CACHE_LIMIT:
            self.clear()
        value = self[text] = self._compute(text)
        return value


@lru_cache(_CACHE_LIMIT)
def _day(year_month_day: int) -> int:
    """20261123 -> days since 1970-01-01."""
    try:
        day = date(year_month_day // 10_000, year_month_day // 100 % 100, year_month_day % 100)
    except ValueError:
        return INVALID
    return day.toordinal() - _EPOCH_DAY if FIRST_YEAR <= day.year <= LAST_YEAR else INVALID


def _status(text: str) -> int:
    return int(text) if _STATUS.fullmatch(text) else INVALID


def _latency(text: str) -> int:
    """`0.772` -> 772: milliseconds, half up."""
    match = _DURATION.fullmatch(text)
    if not match or Decimal(text) > MAX_DURATION_SECONDS:
        return INVALID
    fraction = match[2] or ""
    return int(match[1].lstrip("0") or 0) * 1000 + int(fraction[:3].ljust(3, "0")) + (fraction[3:4] >= "5")


_statuses = _Cache(_status)
_latencies = _Cache(_latency)
_templates = _Cache(path_template)


def parse(data: bytes, offset: int = 0, oldest_day: int = 0) -> tuple[Requests, list[Rejected]]:
    """The requests in whole lines (`data` ends in a newline), and the lines that are none, both in the log's order.

    `offset` is where `data` begins in its file, in bytes. Lines of days before `oldest_day` (days since 1970-01-01)
    are rejected: they are beyond what is kept.
    """
    starts = _starts(data)
    offsets = starts + offset
    fields = _fields(data, len(starts))
    rejected: list[Rejected] = []
    if fields is None or np.diff(starts, append=len(data)).max(initial=0) > MAX_LINE_BYTES + 1:
        lines = _lines(data)
        reasons = [_reason_of_shape(line) for line in lines]
        rejected = _rejected(lines, offsets, reasons)
        good = [reason is None for reason in reasons]
        data = b"".join(line + b"\n" for line in compress(lines, good))
        starts, offsets = _starts(data), offsets[good]
        fields = _fields(data, len(starts))
    if fields is None or not len(starts):
        return Requests(), rejected

    customers, paths, statuses, durations = fields
    places = {customer: place for place, customer in enumerate(set(customers))}
    requests = Requests(
        names=list(places),
        customers=np.fromiter(map(places.__getitem__, customers), np.int64, len(customers)),
        paths=paths,
        durations=durations,
        statuses=np.fromiter(map(_statuses.__getitem__, statuses), np.int64, len(statuses)),
        latencies=np.fromiter(map(_latencies.__getitem__, durations), np.int64, len(durations)),
        seconds=_seconds(data, starts),
        offsets=offsets,
    )
    oldest = oldest_day * SECONDS_A_DAY
    is_odd = INVALID in (requests.statuses.min(), requests.latencies.min(), requests.seconds.min())
    if is_odd or requests.seconds.min() < oldest or not all(map(_is_customer, places)):
        lines = _lines(data)
        columns = (requests.seconds, customers, requests.statuses, requests.latencies)
        found = [_reason_of_fields(*values, oldest) for values in zip(*columns, strict=True)]
        rejected = sorted([*rejected, *_rejected(lines, offsets, found)], key=attrgetter("offset"))
        requests = requests.select([reason is None for reason in found])
    return requests, rejected


def _lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


def _starts(data: bytes) -> Integers:
    """Where in `data` each line begins."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1] + 1
    return starts


def _seconds(data: bytes, starts: Integers) -> Integers:
    """The Unix time that each line begins with, INVALID where there is none. A leap second is none."""
    windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(data + _STAMP, np.uint8), len(_STAMP))
    stamps = np.ascontiguousarray(windows[starts].T)
    digits = [place for place, byte in enumerate(_STAMP) if byte == ord("0")]
    others = [place for place, byte in enumerate(_STAMP) if byte != ord("0")]
    values = stamps - np.uint8(ord("0"))
    is_valid = (values[digits] < 10).all(axis=0)
    is_valid &= (stamps[others] == np.frombuffer(_STAMP, np.uint8)[others, np.newaxis]).all(axis=0)

    def number(*places: int) -> Integers:
        value: Integers = values[places[0]].astype(np.int64)
        for place in places[1:]:
            value = value * 10 + values[place]
        return value

    dates, positions = np.unique(number(0, 1, 2, 3, 5, 6, 8, 9), return_inverse=True)
    days = np.array(list(map(_day, dates.tolist())))[positions]
    hours, minutes, seconds = number(11, 12), number(14, 15), number(17, 18)
    is_valid &= (days != INVALID) & (hours < 24) & (minutes < 60) & (seconds < 60)
    return np.where(is_valid, days * SECONDS_A_DAY + hours * 3600 + minutes * 60 + seconds, INVALID)


def _is_customer(text: str) -> bool:
    return len(text) <= MAX_CUSTOMER_BYTES // 4 or len(text.encode()) <= MAX_CUSTOMER_BYTES


def _fields(data: bytes, count: int) -> list[list[str]] | None:
    """The last four fields of `count` lines of six, a list for each field. None if any line has another shape."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if text.isascii():
        if len(data.translate(None, _ASCII_CONTROLS)) < len(data) or "\r" in text:
            return None
    elif _CONTROL.search(text):
        return None
    # The newline becomes a seventh token: so each line has six others if every seventh is a newline.
    tokens = text.replace("\n", " \n ").split(" ")
    del tokens[-1]
    if len(tokens) != count * (FIELDS + 1) or tokens[FIELDS :: FIELDS + 1] != ["\n"] * count:
        return None
    if not all(tokens):
        return None
    return [tokens[field :: FIELDS + 1] for field in range(2, FIELDS)]


def _rejected(lines: list[bytes], offsets: Integers, reasons: Sequence[Reason | None]) -> list[Rejected]:
    rows = zip(offsets.tolist(), reasons, lines, strict=True)
    return [Rejected(offset, reason, line) for offset, reason, line in rows if reason is not None]


def _reason_of_shape(line: bytes) -> Reason | None:
    """Why a line is not six fields, None if it is."""
    if len(line) > MAX_LINE_BYTES:
        return Reason.TOO_LONG
    try:
        text = line.decode().removesuffix("\r")
    except UnicodeDecodeError:
        return Reason.NOT_UTF8
    if not text:
        return Reason.EMPTY
    if _CONTROL.search(text):
        return Reason.CONTROL_CHARACTER
    fields = text.split(" ")
    return None if len(fields) == FIELDS and all(fields) else Reason.FIELDS


def _reason_of_fields(second: int, customer: str, status: int, latency: int, oldest: int) -> Reason | None:
    """Why six fields are no request, None if they are one."""
    if second == INVALID:
        return Reason.TIME
    if not _is_customer(customer):
        return Reason.CUSTOMER
    if status == INVALID:
        return Reason.STATUS
    if latency == INVALID:
        return Reason.DURATION
    return Reason.TOO_OLD if second < oldest else None
