"""Parameters that are times, and the range of whole intervals that they mean."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from api.questions.calendar import Calendar, OddDay, calendar
from api.questions.dates import Kept
from api.questions.validation import of_form, validation_error
from api.schemas.series import Interval
from api.utc import EPOCH, to_iso_time

SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}
MAX_POINTS = 1_500
"""The most intervals of one answer."""
# The length of the range if `from` is left out: days, including the last one. Of weeks and months: all that are kept.
_DEFAULT_DAYS: dict[Interval, int] = {"minute": 1, "hour": 7}

IsoTime = Annotated[
    datetime,
    of_form(
        r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?",
        "time_format",
        "Input should be a time of the form YYYY-MM-DDThh:mm:ssZ, or a date of the form YYYY-MM-DD; the + of an "
        "offset is written %2B",
    ),
]
"""A time of a query: `2026-11-24T13:00:00Z`, `2026-11-24T13:00`, or `2026-11-24`, the start of that day."""


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range of whole intervals of a time zone, as Unix times (s)."""

    interval: Interval
    zone: str
    """A name of the IANA database."""
    start: int
    """Inclusive."""
    end: int
    """Exclusive."""

    @property
    def days(self) -> range:
        """The UTC days that the range touches, as days since 1970-01-01."""
        if self.end <= self.start:
            return range(0)
        return range(self.start // SECONDS["day"], -(-self.end // SECONDS["day"]))

    @property
    def edges(self) -> NDArray[np.int64]:
        """The first quarter hour (since 1970-01-01) of each interval of at least an hour, and the one after the last.
        RequestValidationError if an interval begins at no quarter hour."""
        try:
            return calendar(self.zone).edges(self.interval, self.start, self.end)
        except OddDay as error:
            raise validation_error("tz", self.zone, str(error)) from error


def time_range(interval: Interval, start: datetime | None, end: datetime | None, kept: Kept) -> TimeRange:
    """The intervals from the one that contains `start` up to `end`; an interval that contains `end` is included.

    `end` None: the end of today. `start` None: `_DEFAULT_DAYS` before `end`. A time without a zone is in that of the
    days that are kept. Leaves out intervals that are not kept as a whole, and times after today. RequestValidationError
    if `start` is after today or not before `end`, and for more than `MAX_POINTS` intervals.
    """
    of_zone = kept.calendar
    oldest, tomorrow = of_zone.day_start(kept.first), of_zone.day_start(kept.today + timedelta(days=1))
    begin = _unix(start, of_zone) if start is not None else oldest
    until = _unix(end, of_zone) if end is not None else tomorrow
    if begin >= tomorrow:
        raise validation_error("from", start, f"from is in the future: today is {kept.today} in {kept.zone}")
    if start is not None and until <= begin:
        raise validation_error("to", end, f"to is not after from, {start.isoformat()}")
    # No calendar has the years 0 and 10,000.
    last = of_zone.ceil(interval, max(until, 0)) if until < tomorrow else tomorrow
    last = min(last, tomorrow)
    if start is not None:
        first = of_zone.floor(interval, max(begin, oldest))
    elif interval in ("week", "month"):
        first = oldest
    else:
        days = _DEFAULT_DAYS.get(interval, min(kept.default_days + 1, MAX_POINTS))
        first = of_zone.day_start(of_zone.date_at(last - 1) - timedelta(days=days - 1))
    # Of the week or month that has the oldest day a part is missing.
    first = min(max(first, of_zone.ceil(interval, oldest)), last)
    if last - first > MAX_POINTS * SECONDS.get(interval, SECONDS["day"]):
        points = (last - first) // SECONDS.get(interval, SECONDS["day"])
        raise validation_error(
            "from",
            start,
            f"from {to_iso_time(first)} to {to_iso_time(last)} there are {points:,} {interval}s: ask for at most "
            f"{MAX_POINTS:,} at once",
        )
    return TimeRange(interval, kept.zone, first, last)


def _unix(value: datetime, of_zone: Calendar) -> int:
    """The Unix time (s), rounded down."""
    return (value - EPOCH) // timedelta(seconds=1) if value.tzinfo else of_zone.second_at(value)
