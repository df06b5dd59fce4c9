"""Reads lines of the access log, a chunk at a time.

There is one grammar: six fields with single spaces between them, and each field by itself. A chunk is taken apart by a
few calls for all of its lines, because a call a line would cost several times as much, and a field's text that was seen
before is looked up instead of checked again. Lines that are odd in any way are set aside and looked at one by one, so
they cost only themselves.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal
from itertools import accumulate, compress
from operator import add, attrgetter

from request_log.line import (
    BUCKETS,
    FIRST_YEAR,
    LAST_YEAR,
    MAX_CUSTOMER_BYTES,
    MAX_DURATION_SECONDS,
    MAX_LINE_BYTES,
    SECONDS_A_DAY,
    Reason,
)

FIELDS = 6
INVALID = -1

# White space is U+0020 alone; control characters are Unicode's category Cc. A carriage return may end a line.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_ASCII_CONTROLS = bytes([*range(0x0A), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])")
_STATUS = re.compile(r"[1-5][0-9]{2}")
_DURATION = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_CACHE_LIMIT = 100_000


@dataclass(slots=True)
class Requests:
    """Valid requests of one log, in its order: columns of equal length."""

    customers: list[str] = field(default_factory=list)
    buckets: list[int] = field(default_factory=list)
    """Hashes of the customers, 0 to 255."""
    paths: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    durations: list[str] = field(default_factory=list)
    """Seconds, a plain decimal, as logged."""
    latencies: list[int] = field(default_factory=list)
    """The durations in whole milliseconds, half up."""
    days: list[int] = field(default_factory=list)
    """UTC days since 1970-01-01."""
    seconds: list[int] = field(default_factory=list)
    """Unix time."""
    offsets: list[int] = field(default_factory=list)
    """Where each line begins in its file, in bytes."""

    def __len__(self) -> int:
        return len(self.offsets)

    def line(self, place: int) -> bytes:
        """The line of the request at this place, without its newline."""
        stamp = datetime.fromtimestamp(self.seconds[place], timezone.utc)
        fields = (self.customers[place], self.paths[place], str(self.statuses[place]), self.durations[place])
        return " ".join([f"{stamp:%Y-%m-%d %H:%M:%S}", *fields]).encode()

    def select(self, selectors: Sequence[bool]) -> "Requests":
        """Those requests whose selector is true."""
        return Requests(
            customers=list(compress(self.customers, selectors)),
            buckets=list(compress(self.buckets, selectors)),
            paths=list(compress(self.paths, selectors)),
            statuses=list(compress(self.statuses, selectors)),
            durations=list(compress(self.durations, selectors)),
            latencies=list(compress(self.latencies, selectors)),
            days=list(compress(self.days, selectors)),
            seconds=list(compress(self.seconds, selectors)),
            offsets=list(compress(self.offsets, selectors)),
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


class _Cache(dict[str, int]):
    """What a field's text means, INVALID for what is not valid; computed once. Bounded: it starts anew when full."""

    def __init__(self, compute: Callable[[str], int]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, text: str) -> int:
        if len(self) >= _CACHE_LIMIT:
            self.clear()
        value = self[text] = self._compute(text)
        return value


def _day(text: str) -> int:
    """`2026-11-23` -> days since 1970-01-01."""
    if not _DATE.fullmatch(text):
        return INVALID
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return INVALID
    return day.toordinal() - _EPOCH_DAY if FIRST_YEAR <= day.year <= LAST_YEAR else INVALID


def _time(text: str) -> int:
    """`16:15:35` -> seconds since midnight. A leap second is none."""
    match = _TIME.fullmatch(text)
    return int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]) if match else INVALID


def _bucket(text: str) -> int:
    """The bucket of a customer, the same in every process."""
    name = text.encode()
    return zlib.crc32(name) % BUCKETS if 0 < len(name) <= MAX_CUSTOMER_BYTES else INVALID


def _status(text: str) -> int:
    return int(text) if _STATUS.fullmatch(text) else INVALID


def _latency(text: str) -> int:
    """`0.772` -> 772: milliseconds, half up."""
    match = _DURATION.fullmatch(text)
    if not match or Decimal(text) > MAX_DURATION_SECONDS:
        return INVALID
    fraction = match[2] or ""
    return int(match[1].lstrip("0") or 0) * 1000 + int(fraction[:3].ljust(3, "0")) + (fraction[3:4] >= "5")


_days = _Cache(_day)
_times = _Cache(_time)
_buckets = _Cache(_bucket)
_statuses = _Cache(_status)
_latencies = _Cache(_latency)


def parse(data: bytes, offset: int = 0, oldest_day: int = 0) -> tuple[Requests, list[Rejected]]:
    """The requests in whole lines (`data` ends in a newline), and the lines that are none, both in the log's order.

    `offset` is where `data` begins in its file, in bytes. Lines of days before `oldest_day` (days since 1970-01-01)
    are rejected: they are beyond what is kept.
    """
    lines = data.split(b"\n")
    del lines[-1]
    # Each line begins after those before it and their newlines.
    offsets = list(map(add, accumulate(map(len, lines), initial=offset), range(len(lines))))

    fields = _fields(data, len(lines))
    rejected: list[Rejected] = []
    if fields is None or max(map(len, lines), default=0) > MAX_LINE_BYTES:
        reasons = [_reason_of_shape(line) for line in lines]
        rejected = _rejected(lines, offsets, reasons)
        good = [reason is None for reason in reasons]
        lines, offsets = list(compress(lines, good)), list(compress(offsets, good))
        fields = _fields(b"".join(line + b"\n" for line in lines), len(lines))
    if fields is None or not lines:
        return Requests(), rejected

    dates, clocks, customers, paths, statuses, durations = fields
    days = list(map(_days.__getitem__, dates))
    times = list(map(_times.__getitem__, clocks))
    requests = Requests(
        customers=customers,
        buckets=list(map(_buckets.__getitem__, customers)),
        paths=paths,
        statuses=list(map(_statuses.__getitem__, statuses)),
        durations=durations,
        latencies=list(map(_latencies.__getitem__, durations)),
        days=days,
        seconds=[day * SECONDS_A_DAY + time for day, time in zip(days, times, strict=True)],
        offsets=offsets,
    )
    least = (min(times), min(requests.buckets), min(requests.statuses), min(requests.latencies))
    if INVALID in least or min(days) < oldest_day:
        columns = zip(days, times, requests.buckets, requests.statuses, requests.latencies, strict=True)
        found = [_reason_of_fields(*values, oldest_day) for values in columns]
        rejected = sorted([*rejected, *_rejected(lines, offsets, found)], key=attrgetter("offset"))
        requests = requests.select([reason is None for reason in found])
    return requests, rejected


def _fields(data: bytes, count: int) -> list[list[str]] | None:
    """The six fields of `count` lines, a list for each field. None if any line has another shape."""
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
    spaced = text.replace("\n", " \n ")
    tokens = spaced.split(" ")
    del tokens[-1]
    if len(tokens) != count * (FIELDS + 1) or tokens[FIELDS :: FIELDS + 1] != ["\n"] * count:
        return None
    if "  " in spaced or spaced.startswith(" "):
        return None
    return [tokens[field :: FIELDS + 1] for field in range(FIELDS)]


def _rejected(lines: list[bytes], offsets: list[int], reasons: Sequence[Reason | None]) -> list[Rejected]:
    rows = zip(offsets, reasons, lines, strict=True)
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


def _reason_of_fields(day: int, time: int, bucket: int, status: int, latency: int, oldest_day: int) -> Reason | None:
    """Why six fields are no request, None if they are one."""
    if INVALID in (day, time):
        return Reason.TIME
    if bucket == INVALID:
        return Reason.CUSTOMER
    if status == INVALID:
        return Reason.STATUS
    if latency == INVALID:
        return Reason.DURATION
    return Reason.TOO_OLD if day < oldest_day else None
