"""The format `simple`, that of the log generator: date, time, customer, path, status and duration.

The six fields have single spaces between them, and each field has a grammar of its own. A few calls parse all lines of
a chunk together, for a call for each line would cost several times as much. The meaning of a text that was seen before
is looked up. Only lines that are odd in any way are parsed one by one.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import compress
from operator import attrgetter

import numpy as np

from request_log.fields.timestamp import day_of
from request_log.framing.scanning import is_any_too_long, starts_of
from request_log.line import (
    LAST_SECOND,
    MAX_DURATION_SECONDS,
    MAX_LINE_BYTES,
    SECONDS_A_DAY,
    Reason,
    are_customers,
    is_customer,
)
from request_log.meanings import INVALID, Cache
from request_log.requests import NONE, Integers, Parsed, Rejected, Requests, numbered

FIELDS = 6
_ENDS = np.frombuffer(b"     \n", np.uint8)
"""The byte after each field."""
_TIMESTAMP = b"0000-00-00 00:00:00 "
# White space is U+0020 alone; control characters are Unicode's category Cc. A carriage return may end a line.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_STATUS = re.compile(r"[1-5][0-9]{2}")
_DURATION = re.compile(r"([0-9]+)(?:\.([0-9]+))?")


def parse(data: bytes, offset: int = 0, oldest_day: int = 0, latest_second: int = LAST_SECOND) -> Parsed:
    """See `Parser`."""
    starts = starts_of(data)
    offsets = starts + offset
    fields = _fields(data, len(starts))
    rejected: list[Rejected] = []
    if fields is None or is_any_too_long(data, starts):
        lines = _lines(data)
        reasons = [_reason_of_shape(line) for line in lines]
        rejected = _rejected(lines, offsets, reasons)
        good = [reason is None for reason in reasons]
        data = b"".join(line + b"\n" for line in compress(lines, good))
        starts, offsets = starts_of(data), offsets[good]
        fields = _fields(data, len(starts))
    if fields is None or not len(starts):
        return Parsed(Requests(), rejected)

    customers, paths, statuses, durations = fields
    names, places = numbered(customers)
    path_texts, places_of_paths = numbered(paths)
    requests = Requests(
        names=names,
        customers=places,
        path_texts=path_texts,
        paths=places_of_paths,
        durations=durations,
        statuses=np.fromiter(map(_STATUSES.__getitem__, statuses), np.int64, len(statuses)),
        latencies=np.fromiter(map(_LATENCIES.__getitem__, durations), np.int64, len(durations)),
        seconds=_seconds(data, starts),
        milliseconds=np.full(len(starts), NONE),
        offsets=offsets,
    )
    oldest = oldest_day * SECONDS_A_DAY
    is_odd = INVALID in (requests.statuses.min(), requests.latencies.min(), requests.seconds.min())
    is_in_time = oldest <= requests.seconds.min() and requests.seconds.max() <= latest_second
    if is_odd or not is_in_time or not are_customers(names):
        lines = _lines(data)
        columns = (requests.seconds, customers, requests.statuses, requests.latencies)
        found = [_reason_of_fields(*values, oldest, latest_second) for values in zip(*columns, strict=True)]
        rejected = sorted([*rejected, *_rejected(lines, offsets, found)], key=attrgetter("offset"))
        requests = requests.select([reason is None for reason in found])
    return Parsed(requests, rejected)


def _status(text: str) -> int:
    return int(text) if _STATUS.fullmatch(text) else INVALID


def _latency(text: str) -> int:
    """`0.772` -> 772: milliseconds, half up."""
    match = _DURATION.fullmatch(text)
    if not match or Decimal(text) > MAX_DURATION_SECONDS:
        return INVALID
    fraction = match[2] or ""
    return int(match[1].lstrip("0") or 0) * 1000 + int(fraction[:3].ljust(3, "0")) + (fraction[3:4] >= "5")


_STATUSES = Cache(_status)
_LATENCIES = Cache(_latency)


def _lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


def _seconds(data: bytes, starts: Integers) -> Integers:
    """The Unix time at the beginning of each line; INVALID if there is none. A leap second is not valid."""
    windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(data + _TIMESTAMP, np.uint8), len(_TIMESTAMP))
    timestamps = np.ascontiguousarray(windows[starts].T)
    digits = [place for place, byte in enumerate(_TIMESTAMP) if byte == ord("0")]
    others = [place for place, byte in enumerate(_TIMESTAMP) if byte != ord("0")]
    values = timestamps - np.uint8(ord("0"))
    is_valid = (values[digits] < 10).all(axis=0)
    is_valid &= (timestamps[others] == np.frombuffer(_TIMESTAMP, np.uint8)[others, np.newaxis]).all(axis=0)

    def number(*places: int) -> Integers:
        value: Integers = values[places[0]].astype(np.int64)
        for place in places[1:]:
            value = value * 10 + values[place]
        return value

    dates, positions = np.unique(number(0, 1, 2, 3, 5, 6, 8, 9), return_inverse=True)
    days = np.array(list(map(day_of, dates.tolist())))[positions]
    hours, minutes, seconds = number(11, 12), number(14, 15), number(17, 18)
    is_valid &= (days != INVALID) & (hours < 24) & (minutes < 60) & (seconds < 60)
    return np.where(is_valid, days * SECONDS_A_DAY + hours * 3600 + minutes * 60 + seconds, INVALID)


def _fields(data: bytes, lines: int) -> list[list[str]] | None:
    """The last four fields of lines of six fields: a list for each field. None if any line has another shape."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if b"\x7f" in data if text.isascii() else _CONTROL.search(text):
        return None
    # All other control characters are below the space, so a line with one has another shape.
    characters = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(characters <= ord(" "))
    if len(ends) != lines * FIELDS or np.diff(ends, prepend=-1).min(initial=2) < 2:
        return None
    if (characters[ends].reshape(lines, FIELDS) != _ENDS).any():
        return None
    tokens = text.replace("\n", " ").split(" ")
    return [tokens[field:-1:FIELDS] for field in range(2, FIELDS)]


def _rejected(lines: list[bytes], offsets: Integers, reasons: Sequence[Reason | None]) -> list[Rejected]:
    rows = zip(offsets.tolist(), reasons, lines, strict=True)
    return [Rejected(offset, reason, line) for offset, reason, line in rows if reason is not None]


def _reason_of_shape(line: bytes) -> Reason | None:
    """The reason why a line is not six fields; None if it is."""
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


def _reason_of_fields(second: int, customer: str, status: int, latency: int, oldest: int, latest: int) -> Reason | None:
    """The reason why six fields are no request; None if they are one."""
    if second == INVALID:
        return Reason.TIME
    if not is_customer(customer):
        return Reason.CUSTOMER
    if status == INVALID:
        return Reason.STATUS
    if latency == INVALID:
        return Reason.DURATION
    if second < oldest:
        return Reason.TOO_OLD
    return Reason.TOO_NEW if second > latest else None
