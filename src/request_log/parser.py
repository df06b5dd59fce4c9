"""Reads lines of the access log, a chunk at a time.

There is one grammar, `LINE`. It is applied to a whole chunk in one call, because a call per line costs several times
as much; a line that does not fit it is caught by the last alternative, so that lines and matches stay in step.
"""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from decimal import Decimal
from functools import partial
from itertools import accumulate, compress
from operator import attrgetter

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

# Everything but U+0020, the one white space, and the control characters (Unicode category Cc).
_TEXT = r"[^\x00-\x20\x7f-\x9f]+"
LINE = re.compile(
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})"
    rf" ({_TEXT}) ({_TEXT}) ([1-5][0-9]{{2}}) ([0-9]+(?:\.[0-9]+)?)\r?$"
    r"|^(.*)$",
    re.MULTILINE,
)
FIELDS = 6
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_CACHE_LIMIT = 100_000


@dataclass(slots=True)
class Requests:
    """Valid requests of one log, in its order: columns of equal length."""

    customers: list[str] = field(default_factory=list)
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
    """A dict that computes what it misses, -1 for what is not valid. Bounded: it starts anew when it is full."""

    def __init__(self, compute: Callable[[str], int]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, text: str) -> int:
        if len(self) >= _CACHE_LIMIT:
            self.clear()
        value = self[text] = self._compute(text)
        return value


def _day(text: str) -> int:
    """`2026-11-23` -> days since 1970-01-01, -1 for what is no date."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return -1
    return day.toordinal() - _EPOCH_DAY if FIRST_YEAR <= day.year <= LAST_YEAR else -1


def _time(text: str) -> int:
    """`16:15:35` -> seconds since midnight, -1 for what is no time of day (a leap second is none)."""
    if not text:
        return -1
    hour, minute, second = map(int, text.split(":"))
    return hour * 3600 + minute * 60 + second if hour < 24 and minute < 60 and second < 60 else -1


def _latency(text: str) -> int:
    """`0.772` -> 772: milliseconds, half up; -1 where the duration is too long."""
    if not text or Decimal(text) > MAX_DURATION_SECONDS:
        return -1
    whole, _, fraction = text.partition(".")
    return int(whole.lstrip("0") or 0) * 1000 + int(fraction[:3].ljust(3, "0")) + (fraction[3:4] >= "5")


_days = _Cache(_day)
_times = _Cache(_time)
_latencies = _Cache(_latency)
_statuses = {"": -1, **{str(status): status for status in range(100, 600)}}


def bucket_of(customer: str) -> int:
    """Which of 256 buckets a customer is in: the same in every process."""
    return zlib.crc32(customer.encode()) % BUCKETS


def parse(data: bytes, offset: int = 0, oldest_day: int = 0) -> tuple[Requests, list[Rejected]]:
    """The requests in whole lines (`data` ends in a newline), and the lines that are none, both in the log's order.

    `offset` is where `data` begins in its file, in bytes. Lines of days before `oldest_day` (days since 1970-01-01)
    are rejected: they are beyond what is kept.
    """
    lines = data.split(b"\n")
    del lines[-1]
    offsets = list(accumulate(map(len, lines), lambda start, length: start + length + 1, initial=offset))
    del offsets[-1]
    rejected: list[Rejected] = []
    try:
        text = data[:-1].decode()
    except UnicodeDecodeError:
        lines, offsets, rejected = _set_undecodable_aside(lines, offsets)
        text = b"\n".join(lines).decode()
    if not lines:
        return Requests(), rejected

    dates, clocks, customers, paths, statuses, durations, _ = map(list, zip(*LINE.findall(text), strict=True))
    days = list(map(_days.__getitem__, dates))
    times = list(map(_times.__getitem__, clocks))
    requests = Requests(
        customers=customers,
        paths=paths,
        statuses=list(map(_statuses.__getitem__, statuses)),
        durations=durations,
        latencies=list(map(_latencies.__getitem__, durations)),
        days=days,
        seconds=[day * SECONDS_A_DAY + time for day, time in zip(days, times, strict=True)],
        offsets=offsets,
    )
    if (
        min(days) < oldest_day
        or min(times) < 0
        or min(requests.latencies) < 0
        # A character has at most four bytes.
        or max(map(len, customers)) > MAX_CUSTOMER_BYTES // 4
        or max(map(len, lines)) > MAX_LINE_BYTES
    ):
        reasons = list(map(partial(_reason, oldest_day=oldest_day), lines, days, times, requests.latencies, customers))
        rejected += [
            Rejected(start, reason, line)
            for start, reason, line in zip(offsets, reasons, lines, strict=True)
            if reason is not None
        ]
        rejected.sort(key=attrgetter("offset"))
        requests = requests.select([reason is None for reason in reasons])
    return requests, rejected


def _set_undecodable_aside(lines: list[bytes], offsets: list[int]) -> tuple[list[bytes], list[int], list[Rejected]]:
    """The lines that are UTF-8, where they begin, and the others as rejected ones."""
    good: list[tuple[bytes, int]] = []
    rejected = []
    for line, start in zip(lines, offsets, strict=True):
        try:
            line.decode()
        except UnicodeDecodeError:
            # Whether a long line comes here at all depends on how it was read: the reason must not.
            reason = Reason.TOO_LONG if len(line) > MAX_LINE_BYTES else Reason.NOT_UTF8
            rejected.append(Rejected(start, reason, line))
        else:
            good.append((line, start))
    return [line for line, _ in good], [start for _, start in good], rejected


def _reason(line: bytes, day: int, time: int, latency: int, customer: str, oldest_day: int) -> Reason | None:
    """Why a line is no request, None for one that is. `day`, `time` and `latency` are -1 where they are not valid."""
    if len(line) > MAX_LINE_BYTES:
        return Reason.TOO_LONG
    if not customer:
        return _reason_for_no_match(line.decode().removesuffix("\r"))
    if day < 0 or time < 0:
        return Reason.TIME
    if latency < 0:
        return Reason.DURATION
    if len(customer.encode()) > MAX_CUSTOMER_BYTES:
        return Reason.CUSTOMER
    if day < oldest_day:
        return Reason.TOO_OLD
    return None


def _reason_for_no_match(line: str) -> Reason:
    """Which part of the grammar a line fails first."""
    if not line:
        return Reason.EMPTY
    if _CONTROL.search(line):
        return Reason.CONTROL_CHARACTER
    fields = line.split(" ")
    if len(fields) != FIELDS or not all(fields):
        return Reason.FIELDS
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", " ".join(fields[:2])):
        return Reason.TIME
    return Reason.DURATION if re.fullmatch(r"[1-5][0-9]{2}", fields[4]) else Reason.STATUS
