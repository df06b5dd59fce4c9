"""Parameters that are dates, and the range of days of a time zone that they mean."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from api.questions.calendar import UTC, Calendar, OddDay, Period, calendar, parse_period
from api.questions.validation import of_form, validation_error
from api.utc import SECONDS_A_DAY, to_day
from api.zones import zone_names

IsoDate = Annotated[date, of_form(r"\d{4}-\d{2}-\d{2}", "date_format", "Input should be a date of the form YYYY-MM-DD")]
"""A date of a query: `2026-11-24`."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The days of a zone that may be asked for."""

    zone: str
    """A name of the IANA database."""
    today: date
    first: date
    """The first day that is kept as a whole."""
    default_days: int
    """Days before the last one, where a question names no first day."""

    @property
    def calendar(self) -> Calendar:
        return calendar(self.zone)


@dataclass(frozen=True, slots=True)
class DateRange:
    from_date: date
    """Inclusive."""
    to_date: date
    """Inclusive."""
    days: range
    """The days that are kept, as days since 1970-01-01. Empty if the whole range is older."""
    zone: str = UTC
    """The time zone that the days are of."""

    @property
    def edges(self) -> NDArray[np.int64]:
        """The first quarter hour (since 1970-01-01) of each day, and the one after the last. RequestValidationError if
        a day begins at no quarter hour."""
        if not self.days:
            return np.zeros(1, np.int64)
        try:
            return _edges_of_days(self.zone, self.days)
        except OddDay as error:
            raise validation_error("tz", self.zone, str(error)) from error

    @property
    def seconds(self) -> tuple[int, int]:
        """The beginning of the first day (Unix time, s), and the end of the last one, exclusive."""
        of_zone = calendar(self.zone)
        return of_zone.day_start(self.from_date), of_zone.day_start(self.to_date + timedelta(days=1))


@lru_cache(maxsize=1_000)
def _edges_of_days(zone: str, days: range) -> NDArray[np.int64]:
    """See Calendar.edges_of_days. Many questions are about the same days."""
    return calendar(zone).edges_of_days(days)


def parse_zone(name: str) -> str:
    """The name, if it is one of the IANA database. RequestValidationError otherwise."""
    if name not in zone_names():
        message = f"{name} is not a time zone of the IANA database, such as Europe/Berlin, Asia/Kolkata or UTC"
        raise validation_error("tz", name, message)
    return name


def kept_days(zone: str, now: float, days: int, default_days: int) -> Kept:
    """The days of a zone that are kept where `days` whole UTC days before today are. `now`: Unix time, s."""
    of_zone = calendar(zone)
    oldest = (int(now) // SECONDS_A_DAY - days) * SECONDS_A_DAY
    # The day that has the second before is not kept as a whole.
    first = of_zone.date_at(oldest - 1) + timedelta(days=1)
    return Kept(zone, of_zone.date_at(now), first, default_days)


def date_range(from_date: date | None, to_date: date | None, kept: Kept) -> DateRange:
    """The days from `from_date` through `to_date` (None: today).

    `from_date` None: `default_days` before today, or before `to_date` where that is earlier. Leaves out days before the
    first one that is kept, and days after today. RequestValidationError if `from_date` is after today or after
    `to_date`.
    """
    today = kept.today
    if from_date is not None and from_date > today:
        raise validation_error("from_date", from_date, f"from_date is in the future: today is {today} in {kept.zone}")
    if from_date is not None and to_date is not None and to_date < from_date:
        raise validation_error("to_date", to_date, f"to_date is before from_date, {from_date}")
    last = min(to_date or today, today)
    if from_date is None:
        before = timedelta(days=kept.default_days)
        first_day = today - before
        from_date = first_day if first_day <= last else last - min(before, last - date.min)
    first = max(from_date, kept.first)
    days = range(to_day(first), to_day(last) + 1)
    return DateRange(from_date=min(first, last), to_date=last, days=days, zone=kept.zone)


def begun_period(text: str, kept: Kept) -> Period:
    """RequestValidationError if there is no such period, if it has not begun, or if none of its days is kept any
    more."""
    period = parse_period(text)
    if period is None:
        message = "period is no month (2026-10), ISO week (2026-W41) or quarter (2026-Q3)"
        raise validation_error("period", text, message)
    if period.first > kept.today:
        message = f"period is in the future: today is {kept.today} in {kept.zone}"
        raise validation_error("period", text, message)
    if period.last < kept.first:
        # Zeros would say that there was no request.
        message = f"period is no longer kept: the first day that is kept is {kept.first} in {kept.zone}"
        raise validation_error("period", text, message)
    return period


def previous_range(dates: DateRange, kept: Kept) -> DateRange | None:
    """As many days right before a range; None if not all of them are kept."""
    days = len(dates.days)
    if not days or dates.days[0] - days < to_day(kept.first):
        return None
    last = dates.from_date - timedelta(days=1)
    first = dates.from_date - timedelta(days=days)
    return DateRange(first, last, range(dates.days[0] - days, dates.days[0]), dates.zone)
