"""Parameters that are times, and the range of whole intervals that they mean. All times are UTC."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Annotated

from api.questions.validation import of_form, validation_error
from api.schemas.series import Interval
from api.utc import EPOCH, to_day, to_iso_time

SECONDS: dict[Interval, int] = {"minute": 60, "hour": 3_600, "day": 86_400}
MAX_POINTS = 1_500
"""The most intervals of one answer."""
# The length of the range if `from` is left out: days, including the last one.
_DEFAULT_DAYS: dict[Interval, int] = {"minute": 1, "hour": 7, "day": MAX_POINTS}

IsoTime = Annotated[
    datetime,
    of_form(
        r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?",
        "time_format",
        "Input should be a time of the form YYYY-MM-DDThh:mm:ssZ, or a date of the form YYYY-MM-DD",
    ),
]
"""A time of a query: `2026-11-24T13:00:00Z`, `2026-11-24T13:00`, or `2026-11-24`, the start of that day."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range of whole intervals, as Unix times (s)."""

    interval: Interval
    start: int
    """Inclusive."""
    end: int
    """Exclusive."""

    @property
    def days(self) -> range:
        """The days that the range touches, as days since 1970-01-01."""
        if self.end <= self.start:
            return range(0)
        return range(self.start // SECONDS["day"], -(-self.end // SECONDS["day"]))


def time_range(
    interval: Interval, start: datetime | None, end: datetime | None, today: date, retention_days: int
) -> TimeRange:
    """The intervals from the one that contains `start` up to `end`; an interval that contains `end` is included.

    `end` None: the end of today. `start` None: `_DEFAULT_DAYS` before `end`. Leaves out times that are not kept, and
    times after today. RequestValidationError if `start` is after today or not before `end`, and for more than
    `MAX_POINTS` intervals.
    """
    step = SECONDS[interval]
    tomorrow = (to_day(today) + 1) * SECONDS["day"]
    oldest = tomorrow - (retention_days + 1) * SECONDS["day"]
    if start is not None and _unix(start) >= tomorrow:
        raise validation_error("from", start, f"from is in the future: today is {today} in UTC")
    if start is not None and end is not None and _unix(end) <= _unix(start):
        raise validation_error("to", end, f"to is not after from, {start.isoformat()}")
    last = min(-(-_unix(end) // step) * step, tomorrow) if end is not None else tomorrow
    if start is not None:
        first = _unix(start) // step * step
    else:
        first = ((last - 1) // SECONDS["day"] - _DEFAULT_DAYS[interval] + 1) * SECONDS["day"]
    first = min(max(first, oldest), last)
    if last - first > MAX_POINTS * step:
        points = (last - first) // step
        raise validation_error(
            "from",
            start,
            f"from {to_iso_time(first)} to {to_iso_time(last)} there are {points:,} {interval}s: ask for at most "
            f"{MAX_POINTS:,} at once",
        )
    return TimeRange(interval, first, last)


def _unix(value: datetime) -> int:
    """The Unix time (s), rounded down. A time without a zone is in UTC."""
    return ((value if value.tzinfo else value.replace(tzinfo=timezone.utc)) - EPOCH) // timedelta(seconds=1)
