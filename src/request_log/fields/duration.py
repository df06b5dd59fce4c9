"""Durations in the forms in which logs have them. None of them rejects a request."""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from request_log.fields.values import LIST, NOT_LOGGED, text_of_number
from request_log.line import MAX_DURATION_SECONDS
from request_log.meanings import Cache
from request_log.requests import NONE

_NUMBER = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<exponent>[eE][+-]?[0-9]{1,2})?")
_WITH_COMMA = re.compile(r"[0-9]+,[0-9]+")
# Go writes 1m2.5s; only the last part may have a fraction.
_PARTS = re.compile(r"(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|ms|s|m|h))+")
_PART = re.compile(r"([0-9.]+)([a-z]+)")
_NUMBER_AND_UNIT = re.compile(r"(?P<number>[0-9.,eE+-]+) ?(?P<unit>[mun]?s)")
# Apache's `%T/%D`: whole seconds, and the same in microseconds.
_SECONDS_AND_MICROSECONDS = re.compile(r"([0-9]+)/([0-9]+)")
_MICRO = str.maketrans("\u00b5\u03bc", "uu")
_SCALES = {
    "h": Decimal(3600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("1e-3"),
    "us": Decimal("1e-6"),
    "ns": Decimal("1e-9"),
}
_MILLISECOND = Decimal("0.001")
_LONGEST_DURATION = 100
"""Characters."""


class Duration(NamedTuple):
    """How long a request took."""

    seconds: str
    """A plain decimal; "" if unknown."""
    milliseconds: int
    """Rounded half up; NONE if unknown."""
    is_mended: bool
    """Whether it was logged but not understood, or is one of a list."""


NOT_MEASURED = Duration("", NONE, False)
_NOT_UNDERSTOOD = Duration("", NONE, True)


class Durations(Cache[str | float, Duration]):
    """What was logged, a text or a number -> duration."""

    def __init__(self, unit: str) -> None:
        """`unit`: s, ms, us or ns, for durations that do not name theirs."""
        super().__init__(self._duration)
        self._scale = _SCALES[unit]

    def total(self, texts: tuple[str, ...]) -> Duration:
        """The sum of consecutive durations; unknown if any of them is. An empty text adds nothing."""
        parts = [self[text] for text in texts if text]
        if len(parts) < 2:
            return parts[0] if parts else NOT_MEASURED
        is_mended = any(part.is_mended for part in parts)
        if not all(part.seconds for part in parts):
            return Duration("", NONE, is_mended)
        seconds = sum((Decimal(part.seconds) for part in parts), Decimal(0))
        if seconds > MAX_DURATION_SECONDS:
            return _NOT_UNDERSTOOD
        return Duration(f"{seconds:f}", _milliseconds(seconds), is_mended)

    def _duration(self, logged: str | float) -> Duration:
        text = logged if isinstance(logged, str) else text_of_number(logged)
        if text in ("", NOT_LOGGED):
            return NOT_MEASURED
        if len(text) > _LONGEST_DURATION:
            return _NOT_UNDERSTOOD
        texts = LIST.split(text)
        if len(texts) == 1:
            return self._of_one(text)
        known = (duration for duration in map(self._of_one, texts) if duration.seconds)
        return next(known, _NOT_UNDERSTOOD)._replace(is_mended=True)

    def _of_one(self, text: str) -> Duration:
        seconds = self._seconds(text)
        if seconds is None or seconds > MAX_DURATION_SECONDS:
            return _NOT_UNDERSTOOD
        # A plain decimal is kept as it was logged.
        is_plain = self._scale == 1 and text.replace(".", "", 1).isdecimal() and text[0] != "." != text[-1]
        return Duration(text if is_plain else f"{seconds:f}", _milliseconds(seconds), False)

    def _seconds(self, text: str) -> Decimal | None:
        text = text.translate(_MICRO)
        number = _number(text)
        if number is not None:
            return number * self._scale
        if match := _NUMBER_AND_UNIT.fullmatch(text):
            number = _number(match["number"])
            return None if number is None else number * _SCALES[match["unit"]]
        if (match := _SECONDS_AND_MICROSECONDS.fullmatch(text)) and int(match[1]) == int(match[2]) // 1_000_000:
            return int(match[2]) * _SCALES["us"]
        if _PARTS.fullmatch(text):
            return sum((Decimal(count) * _SCALES[unit] for count, unit in _PART.findall(text)), Decimal(0))
        return None


def _number(text: str) -> Decimal | None:
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    return Decimal(text.replace(",", ".")) if _WITH_COMMA.fullmatch(text) else None


def _milliseconds(seconds: Decimal) -> int:
    return int(seconds.quantize(_MILLISECOND, ROUND_HALF_UP).scaleb(3))
