"""Reads logs in formats that are not ours, a line at a time: each format says only where in a line its fields are."""

import re
from collections.abc import Callable
from decimal import Decimal

import numpy as np

from request_log.fields import INVALID, LATENCIES, STATUSES, Cache, is_customer
from request_log.line import LAST_SECOND, MAX_LINE_BYTES, MIN_LINE_BYTES, SECONDS_A_DAY, Reason
from request_log.moment import MOMENTS
from request_log.requests import NONE, Parsed, Rejected, Requests, numbered

NOT_LOGGED = "-"
"""Stands for a field that is empty, as in the common log format: so requests without a customer have this one."""
# Unicode's category Cc; a newline, too, can be in a field that was written with an escape.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Without any of these in all its bytes, and without others than ASCII, no field of a chunk has a control character.
_MAY_BE_CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f\x7f\\]")
_UNITS = {"s": Decimal(1), "ms": Decimal("1e-3"), "us": Decimal("1e-6"), "ns": Decimal("1e-9")}
_DURATION = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>[mun]?s)?")
_MICRO = str.maketrans("\u00b5\u03bc", "uu")


FIELDS = ("time", "customer", "path", "status", "duration")
Fields = tuple[str, str, str, str, str]
"""These `FIELDS` of a line, each as its text; empty where there is nothing."""
Divide = Callable[[str], Fields | None]
"""Finds the fields of a line; None where it is not made as the format says."""
Row = tuple[int, int, str, str, int, str, int, int]
"""Second, millisecond, customer, path, status, duration (s), latency (ms), offset."""


class LineByLine:
    """A `Parser`."""

    def __init__(self, divide: Divide, duration_unit: str, customer_in_path: re.Pattern[str] | None) -> None:
        """`duration_unit`: of durations that do not name theirs. `customer_in_path`: its first group is the customer,
        instead of the field."""
        self._divide = divide
        self._customer_in_path = customer_in_path
        self._durations = Cache(lambda text: _seconds(text, duration_unit))

    def __call__(self, data: bytes, offset: int = 0, oldest_day: int = 0, latest_second: int = LAST_SECOND) -> Parsed:
        """See `Parser`."""
        oldest = oldest_day * SECONDS_A_DAY
        is_plain = data.isascii() and not _MAY_BE_CONTROL.search(data)
        rows: list[Row] = []
        rejected = []
        for line in data.split(b"\n")[:-1]:
            found = self._row(line, offset, oldest, latest_second, is_plain)
            if isinstance(found, Reason):
                rejected.append(Rejected(offset, found, line))
            else:
                rows.append(found)
            offset += len(line) + 1
        return Parsed(_columns(rows), rejected)

    def _row(self, line: bytes, offset: int, oldest: int, latest: int, is_plain: bool) -> Row | Reason:
        if len(line) > MAX_LINE_BYTES:
            return Reason.TOO_LONG
        try:
            text = line.decode().removesuffix("\r")
        except UnicodeDecodeError:
            return Reason.NOT_UTF8
        if not text:
            return Reason.EMPTY
        if len(line) + 1 < MIN_LINE_BYTES:
            return Reason.TOO_SHORT
        fields = self._divide(text)
        if fields is None:
            return Reason.FIELDS
        time, customer, path, status_text, duration_text = fields
        if self._customer_in_path is not None:
            match = self._customer_in_path.search(path)
            customer = (match[1] or "") if match else ""
        path, customer = path or NOT_LOGGED, customer or NOT_LOGGED
        second, millisecond = MOMENTS[time]
        if second == INVALID:
            return Reason.TIME
        if not is_plain and (_CONTROL.search(customer) or _CONTROL.search(path)):
            return Reason.CONTROL_CHARACTER
        if not is_customer(customer):
            return Reason.CUSTOMER
        status = STATUSES[status_text]
        if status == INVALID:
            return Reason.STATUS
        duration = self._durations[duration_text]
        latency = LATENCIES[duration] if duration else NONE
        if latency == INVALID:
            return Reason.DURATION
        if second < oldest:
            return Reason.TOO_OLD
        if second > latest:
            return Reason.TOO_NEW
        return second, millisecond, customer, path, status, duration, latency, offset


def _seconds(text: str, unit: str) -> str:
    """A duration in seconds, a plain decimal; empty where none was logged, and as it is where it is none."""
    if text in ("", NOT_LOGGED):
        return ""
    match = _DURATION.fullmatch(text.translate(_MICRO))
    if match is None:
        return text
    scale = _UNITS[match["unit"] or unit]
    return match["number"] if scale == 1 else f"{Decimal(match['number']) * scale:f}"


def _columns(rows: list[Row]) -> Requests:
    if not rows:
        return Requests()
    seconds, milliseconds, customers, paths, statuses, durations, latencies, offsets = zip(*rows, strict=True)
    names, places = numbered(customers)
    path_texts, places_of_paths = numbered(paths)
    return Requests(
        names=names,
        customers=places,
        path_texts=path_texts,
        paths=places_of_paths,
        durations=list(durations),
        statuses=np.array(statuses, np.int64),
        latencies=np.array(latencies, np.int64),
        seconds=np.array(seconds, np.int64),
        milliseconds=np.array(milliseconds, np.int64),
        offsets=np.array(offsets, np.int64),
    )
