"""Reads lines of our own format, `simple`, a chunk at a time.

There is one grammar: six fields with single spaces between them, and each field by itself. A chunk is taken apart by a
few calls for all of its lines, because a call a line would cost several times as much, and a field's text that was seen
before is looked up instead of checked again. Lines that are odd in any way are set aside and looked at one by one, so
they cost only themselves.
"""

from collections.abc import Sequence
from itertools import compress
from operator import attrgetter

import numpy as np

from request_log.fields import ASCII_CONTROLS, CONTROL, INVALID, LATENCIES, STATUSES, day_of, is_customer
from request_log.line import MAX_LINE_BYTES, SECONDS_A_DAY, Reason
from request_log.requests import NONE, Integers, Rejected, Requests

FIELDS = 6
_STAMP = b"0000-00-00 00:00:00 "


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
        statuses=np.fromiter(map(STATUSES.__getitem__, statuses), np.int64, len(statuses)),
        latencies=np.fromiter(map(LATENCIES.__getitem__, durations), np.int64, len(durations)),
        seconds=_seconds(data, starts),
        milliseconds=np.full(len(starts), NONE),
        offsets=offsets,
    )
    oldest = oldest_day * SECONDS_A_DAY
    is_odd = INVALID in (requests.statuses.min(), requests.latencies.min(), requests.seconds.min())
    if is_odd or requests.seconds.min() < oldest or not all(map(is_customer, places)):
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
    days = np.array(list(map(day_of, dates.tolist())))[positions]
    hours, minutes, seconds = number(11, 12), number(14, 15), number(17, 18)
    is_valid &= (days != INVALID) & (hours < 24) & (minutes < 60) & (seconds < 60)
    return np.where(is_valid, days * SECONDS_A_DAY + hours * 3600 + minutes * 60 + seconds, INVALID)


def _fields(data: bytes, count: int) -> list[list[str]] | None:
    """The last four fields of `count` lines of six, a list for each field. None if any line has another shape."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    if text.isascii():
        if len(data.translate(None, ASCII_CONTROLS)) < len(data) or "\r" in text:
            return None
    elif CONTROL.search(text):
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
    if CONTROL.search(text):
        return Reason.CONTROL_CHARACTER
    fields = text.split(" ")
    return None if len(fields) == FIELDS and all(fields) else Reason.FIELDS


def _reason_of_fields(second: int, customer: str, status: int, latency: int, oldest: int) -> Reason | None:
    """Why six fields are no request, None if they are one."""
    if second == INVALID:
        return Reason.TIME
    if not is_customer(customer):
        return Reason.CUSTOMER
    if status == INVALID:
        return Reason.STATUS
    if latency == INVALID:
        return Reason.DURATION
    return Reason.TOO_OLD if second < oldest else None
