"""Which stretch of time a question is about, and into what it is divided. All times are UTC."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Annotated, Literal

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from api.questions.dates import to_day
from api.questions.validation import refusal

Interval = Literal["minute", "hour", "day"]

SECONDS: dict[Interval, int] = {"minute": 60, "hour": 3_600, "day": 86_400}
MOST_POINTS = 1_500
# What is answered where `from` is left out: so many days, today included.
_DEFAULT_DAYS: dict[Interval, int] = {"minute": 1, "hour": 7, "day": MOST_POINTS}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ISO_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?", re.ASCII)


def _iso_time(text: object) -> object:
    # Pydantic alone would take a number for seconds since 1970.
    if isinstance(text, str) and not _ISO_TIME.fullmatch(text):
        raise PydanticCustomError(
            "time_format", "Input should be a time of the form YYYY-MM-DDThh:mm:ssZ, or a date of the form YYYY-MM-DD"
        )
    return text


IsoTime = Annotated[datetime, BeforeValidator(_iso_time)]
"""A time of a query: `2026-11-24T13:00:00Z`, `2026-11-24T13:00`, or `2026-11-24`, which is when that day begins."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A stretch of whole intervals, as Unix times (s)."""

    interval: Interval
    start: int
    """Inclusive."""
    end: int
    """Exclusive."""

    @property
    def days(self) -> range:
        """The days it touches, as days since 1970-01-01; none where it is empty."""
        if self.end <= self.start:
            return range(0)
        return range(self.start // SECONDS["day"], -(-self.end // SECONDS["day"]))


def time_range(
    interval: Interval, start: datetime | None, end: datetime | None, today: date, retention_days: int
) -> TimeRange:
    """The intervals from `start` to `end`, those that these times lie in included.

    `end` None: when today ends. `start` None: when the last day begins, or six days before that, or as many days as can
    be asked for, by the interval. What is not kept, or after today, is left out. A `start` in the future or not before
    `end`, and more than `MOST_POINTS` intervals, are refused with RequestValidationError.
    """
    step = SECONDS[interval]
    tomorrow = (to_day(today) + 1) * SECONDS["day"]
    oldest = tomorrow - (retention_days + 1) * SECONDS["day"]
    if start is not None and _unix(start) >= tomorrow:
        raise refusal("from", start, f"from is in the future: today is {today} in UTC")
    if start is not None and end is not None and _unix(end) <= _unix(start):
        raise refusal("to", end, f"to is not after from, {start.isoformat()}")
    last = min(-(-_unix(end) // step) * step, tomorrow) if end is not None else tomorrow
    if start is not None:
        first = _unix(start) // step * step
    else:
        first = ((last - 1) // SECONDS["day"] - _DEFAULT_DAYS[interval] + 1) * SECONDS["day"]
    first = min(max(first, oldest), last)
    if last - first > MOST_POINTS * step:
        points = (last - first) // step
        raise refusal(
            "from",
            start,
            f"from {iso_time(first)} to {iso_time(last)} there are {points:,} {interval}s, "
            f"and {MOST_POINTS:,} can be asked for at once",
        )
    return TimeRange(interval, first, last)


def from_unix(seconds: int, milliseconds: int = 0) -> datetime:
    """Unix time (s), and milliseconds of that second, as a time in UTC."""
    return _EPOCH + timedelta(seconds=seconds, milliseconds=milliseconds)


def iso_time(seconds: int) -> str:
    """Unix time (s) as a question can have it: `2026-11-24T13:00:00Z`."""
    return f"{from_unix(seconds):%Y-%m-%dT%H:%M:%SZ}"


def _unix(value: datetime) -> int:
    """Seconds since 1970-01-01, rounded down. A time without a zone is in UTC."""
    return ((value if value.tzinfo else value.replace(tzinfo=timezone.utc)) - _EPOCH) // timedelta(seconds=1)
