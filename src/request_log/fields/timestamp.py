"""Timestamps in the forms in which logs have them."""

import re
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from request_log.line import FIRST_YEAR, LAST_YEAR, SECONDS_A_DAY
from request_log.meanings import CACHE_LIMIT, INVALID, Cache
from request_log.requests import NONE, Integers

_MONTHS = {
    name: number
    for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)  # noqa: SIM905
}
_CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
# ISO 8601 and RFC 3339; also with a space or a tab (W3C), and with slashes (Go's log package).
_ISO = re.compile(
    rf"(?P<year>[0-9]{{4}})(?P<dash>[-/])(?P<month>[0-9]{{2}})(?P=dash)(?P<day>[0-9]{{2}})(?:[Tt \t]| - ){_CLOCK}"
)
# The form of the common log format; also with a space (Python's http.server and its derivatives).
_COMMON = re.compile(rf"(?P<day>[0-9]{{2}})/(?P<month>{'|'.join(_MONTHS)})/(?P<year>[0-9]{{4}})[: ]{_CLOCK}")
_ZONE = re.compile(r"Z|z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?(?: [A-Z]{1,5}| [+-][0-9]{2,4})?")
# A date and time of either form, a fraction and a zone. Python's logging writes the fraction after a comma. After the
# offset, Go writes the abbreviation of the zone, or the offset again, and Java the name of the zone.
_CALENDAR = re.compile(
    r"(?P<timestamp>[^.,+Zz]{6,18}:[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?"
    rf" ?(?P<zone>{_ZONE.pattern})?"
    r"(?P<name>\[[A-Za-z0-9_+/-]+\])?"
)
# C's ctime, as uWSGI writes it.
_CTIME = re.compile(
    rf"[A-Z][a-z]{{2}} (?P<month>{'|'.join(_MONTHS)}) +(?P<day>[0-9]{{1,2}}) {_CLOCK} (?P<year>[0-9]{{4}})"
)
_LONGEST_UNIX = 20
"""Digits of Unix time, before the fraction."""
_UNIX = re.compile(rf"(?P<whole>[0-9]{{1,{_LONGEST_UNIX}}})(?:\.(?P<fraction>[0-9]+))?")
_UNIX_UNITS = [(10**11, 1), (10**14, 1_000), (10**17, 1_000_000), (10**20, 1_000_000_000)]
"""Upper bounds of Unix time in s, ms, us and ns, and the units of a second. Beyond a bound a time in that unit would be
past the last year."""
_LONGEST_OFFSET_SECONDS = 18 * 3600
_EPOCH_DAY = date(1970, 1, 1).toordinal()


class Timestamp(NamedTuple):
    second: int
    """Unix time; INVALID if the text is no timestamp."""
    millisecond: int
    """Milliseconds of the second, cut off; NONE if there is no fraction."""


_NO_TIMESTAMP = Timestamp(INVALID, NONE)


@lru_cache(CACHE_LIMIT)
def day_of(year_month_day: int) -> int:
    """20261123 -> days since 1970-01-01; INVALID if there is no such day, or it lies outside the years of a log."""
    try:
        day = date(year_month_day // 10_000, year_month_day // 100 % 100, year_month_day % 100)
    except ValueError:
        return INVALID
    return day.toordinal() - _EPOCH_DAY if FIRST_YEAR <= day.year <= LAST_YEAR else INVALID


def _timestamp(text: str) -> Timestamp:
    if text[:1] == "[" and text[-1:] == "]":
        # As of JSON lines of Tomcat.
        text = text[1:-1]
    whole, point, rest = text.partition(".")
    # Times with a fraction hardly repeat, so the usual ones are parsed without a regular expression.
    if point and text.isascii():
        if whole.isdecimal() and rest.isdecimal() and len(whole) <= _LONGEST_UNIX:
            return _of_unix(int(whole), rest)
        length = 1 if rest.endswith("Z") else len("+00:00")
        second, offset, fraction = _LOCAL_TIMES[whole], _OFFSETS[rest[-length:]], rest[:-length]
        if second != INVALID != offset and fraction.isdecimal():
            return _checked(second - offset, _millisecond(fraction))
    if match := _CALENDAR.fullmatch(text):
        second, offset = _LOCAL_TIMES[match["timestamp"]], _OFFSETS[match["zone"] or "Z"]
        # The name of a zone does not tell its offset.
        if INVALID in (second, offset) or (match["name"] and not match["zone"]):
            return _NO_TIMESTAMP
        return _checked(second - offset, _millisecond(match["fraction"]))
    if match := _UNIX.fullmatch(text):
        return _of_unix(int(match["whole"]), match["fraction"])
    second = _LOCAL_TIMES[text]
    return _NO_TIMESTAMP if second == INVALID else _checked(second, NONE)


def _local_time(text: str) -> int:
    """Unix time of a date and time, taken for UTC; INVALID if it is none."""
    match = _ISO.fullmatch(text) or _COMMON.fullmatch(text) or _CTIME.fullmatch(text)
    if match is None:
        return INVALID
    month = _MONTHS.get(match["month"]) or int(match["month"])
    day = day_of(int(match["year"]) * 10_000 + month * 100 + int(match["day"]))
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    # A leap second is not valid.
    if day == INVALID or hour > 23 or minute > 59 or second > 59:
        return INVALID
    return day * SECONDS_A_DAY + hour * 3600 + minute * 60 + second


def _offset(zone: str) -> int:
    """The offset of a zone from UTC, seconds; INVALID if the text is no zone."""
    if not _ZONE.fullmatch(zone):
        return INVALID
    if zone[0] not in "+-":
        return 0
    digits = zone[1:].partition(" ")[0].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    if int(digits[2:]) > 59 or seconds > _LONGEST_OFFSET_SECONDS:
        return INVALID
    return -seconds if zone[0] == "-" else seconds


def _of_unix(whole: int, fraction: str | None) -> Timestamp:
    for limit, per_second in _UNIX_UNITS:
        if whole < limit:
            if per_second == 1:
                return _checked(whole, _millisecond(fraction))
            return _checked(whole // per_second, whole % per_second * 1_000 // per_second)
    return _NO_TIMESTAMP


def _millisecond(fraction: str | None) -> int:
    return NONE if fraction is None else int(fraction[:3].ljust(3, "0"))


def _checked(second: int, millisecond: int) -> Timestamp:
    """The timestamp, if it lies in the years of a log. Its zone may move it out of them."""
    return Timestamp(second, millisecond) if _FIRST_SECOND <= second < _END_SECOND else _NO_TIMESTAMP


_FIRST_SECOND = day_of(FIRST_YEAR * 10_000 + 101) * SECONDS_A_DAY
_END_SECOND = (day_of(LAST_YEAR * 10_000 + 1231) + 1) * SECONDS_A_DAY

_LOCAL_TIMES = Cache(_local_time)
_OFFSETS = Cache(_offset)
TIMESTAMPS = Cache(_timestamp)


def _packed(text: str) -> int:
    second, millisecond = TIMESTAMPS[text]
    return second << _MILLISECOND_BITS | millisecond - NONE


_MILLISECOND_BITS = 10
_PACKED = Cache(_packed)


def timestamps(texts: Sequence[str]) -> tuple[Integers, Integers]:
    """Of many texts: seconds and milliseconds, as `TIMESTAMPS` has them."""
    packed = np.fromiter(map(_PACKED.__getitem__, texts), np.int64, len(texts))
    return packed >> _MILLISECOND_BITS, (packed & (1 << _MILLISECOND_BITS) - 1) + NONE
