"""Days, weeks, months and hours of a time zone, as edges on the scale of quarter hours that counts have.

All of it is exact. A local day begins at its first moment: where the clock is set forward over midnight, when that
happens. A day that a zone left out is empty. So a day has 23, 24 or 25 hours, or what the zone says. In today's zones
each day begins at a quarter hour of UTC. Where one does not, as before 1972 in some places, it is refused.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from api.schemas.series import Interval
from api.utc import EPOCH, SECONDS_A_DAY, to_date, to_datetime
from api.zones import zone_of
from rollups.columns import QUARTER_HOURS_AN_HOUR, SECONDS_A_QUARTER_HOUR

UTC = "UTC"
PERIOD = r"[0-9]{4}-(?:0[1-9]|1[0-2]|W(?:0[1-9]|[1-4][0-9]|5[0-3])|Q[1-4])"
"""The form of a period: `2026-10`, `2026-W41` or `2026-Q3`."""
_PERIOD = re.compile(PERIOD)


class OddDay(Exception):
    """A day of a zone begins at no quarter hour of UTC, so that nothing is counted by it. Its text is a sentence."""


class Calendar:
    def __init__(self, zone: str) -> None:
        """`zone`: a name of the IANA database."""
        self.zone = zone
        self._zone = zone_of(zone)

    def local(self, second: float) -> datetime:
        """A time (Unix, s) by the clock of the zone."""
        return to_datetime(second) if self.zone == UTC else to_datetime(second).astimezone(self._zone)

    def date_at(self, second: float) -> date:
        """The date at a time (Unix, s)."""
        return self.local(second).date()

    def second_at(self, wall: datetime) -> int:
        """The time (Unix, s, rounded down) at which the clock shows `wall`, for the first time. What a clock that is
        set forward never shows is as if it had not been set."""
        return (wall.replace(tzinfo=self._zone) - EPOCH) // timedelta(seconds=1)

    def day_start(self, day: date) -> int:
        """The first second of a local day, as a Unix time. Of a day that the zone left out, that of the next one."""
        start = self.second_at(datetime.combine(day, datetime.min.time()))
        if self.date_at(start - 1) < day:
            return start
        # The clock was set forward over midnight: the day began when it was set.
        before = start - SECONDS_A_DAY
        while start - before > 1:
            middle = (before + start) // 2
            before, start = (middle, start) if self.date_at(middle) < day else (before, middle)
        return start

    def floor(self, interval: Interval, second: int) -> int:
        """The beginning (Unix time, s) of the interval that has this time."""
        if interval == "minute":
            return second // 60 * 60
        if interval == "hour":
            quarter_hour = second // SECONDS_A_QUARTER_HOUR
            hour = self._hour(quarter_hour)
            while self._hour(quarter_hour - 1) == hour:
                quarter_hour -= 1
            return quarter_hour * SECONDS_A_QUARTER_HOUR
        return self.day_start(_first_day(interval, self.date_at(second)))

    def ceil(self, interval: Interval, second: int) -> int:
        """The time (Unix, s), if an interval begins at it, or the end of the interval that has it."""
        start = self.floor(interval, second)
        return start if start == second else self.end(interval, start)

    def end(self, interval: Interval, start: int) -> int:
        """The end (Unix time, s, exclusive) of the interval that begins at this time."""
        if interval == "minute":
            return start + 60
        if interval == "hour":
            quarter_hour = start // SECONDS_A_QUARTER_HOUR
            hour = self._hour(quarter_hour)
            while self._hour(quarter_hour) == hour:
                quarter_hour += 1
            return quarter_hour * SECONDS_A_QUARTER_HOUR
        return self.day_start(_day_after(interval, self.date_at(start)))

    def edges(self, interval: Interval, start: int, end: int) -> NDArray[np.int64]:
        """The first quarter hour (since 1970-01-01) of each interval of at least an hour, and the one after the last.

        `start`, `end`: where the first one begins, and the last one ends (Unix time, s). OddDay if an interval begins
        at no quarter hour.
        """
        if interval == "hour":
            first, last = self._quarter_hour(start), self._quarter_hour(end)
            if self.zone == UTC:
                return np.arange(first, last + 1, QUARTER_HOURS_AN_HOUR)
            return np.array([*self._hours(first, last), last], np.int64)
        found = []
        while start < end:
            found.append(self._quarter_hour(start))
            start = self.end(interval, start)
        return np.array([*found, self._quarter_hour(end)], np.int64)

    def edges_of_days(self, days: range) -> NDArray[np.int64]:
        """The first quarter hour (since 1970-01-01) of each of these local days, which are days since 1970-01-01, and
        the one after the last. OddDay if a day begins at no quarter hour."""
        return np.array([self._quarter_hour(self.day_start(to_date(day))) for day in (*days, days.stop)], np.int64)

    def _quarter_hour(self, second: int) -> int:
        quarter_hour, rest = divmod(second, SECONDS_A_QUARTER_HOUR)
        if rest:
            raise OddDay(
                f"in {self.zone}, {self.date_at(second)} begins at {to_datetime(second):%H:%M:%S} UTC. Counts are by "
                "quarter hours, so nothing is counted by this day"
            )
        return quarter_hour

    def _hours(self, start: int, end: int) -> Iterator[int]:
        """The quarter hours from `start` until before `end` at which an hour begins: on the hour of the local clock,
        and where the clock is set."""
        before = None
        for quarter_hour in range(start, end):
            hour = self._hour(quarter_hour)
            if hour != before:
                yield quarter_hour
            before = hour

    def _hour(self, quarter_hour: int) -> tuple[datetime, timedelta | None]:
        """The hour that the local clock shows in a quarter hour, and how far the clock is ahead of UTC."""
        local = self.local(quarter_hour * SECONDS_A_QUARTER_HOUR)
        return local.replace(minute=0, second=0, tzinfo=None), local.utcoffset()


@lru_cache(maxsize=1_000)
def calendar(zone: str) -> Calendar:
    return Calendar(zone)


class Period(NamedTuple):
    """The days of a period, both inclusive."""

    first: date
    last: date

    @property
    def times(self) -> tuple[datetime, datetime]:
        """The times, by the clock of the zone, at which it begins and ends."""
        midnight = datetime.min.time()
        return datetime.combine(self.first, midnight), datetime.combine(self.last + timedelta(days=1), midnight)


def parse_period(text: str) -> Period | None:
    """The days of `2026-10`, `2026-W41` (ISO 8601) or `2026-Q3`; None if there is no such period."""
    if not _PERIOD.fullmatch(text):
        return None
    year, _, rest = text.partition("-")
    try:
        if rest[0] == "W":
            first = date.fromisocalendar(int(year), int(rest[1:]), 1)
            return Period(first, first + timedelta(days=6))
        month, months = (3 * int(rest[1]) - 2, 3) if rest[0] == "Q" else (int(rest), 1)
        first = last = date(int(year), month, 1)
        for _ in range(months):
            last = _day_after("month", last)
        return Period(first, last - timedelta(days=1))
    except (ValueError, OverflowError):
        # A year without this week, the year 0, or the last one.
        return None


def _first_day(interval: Interval, day: date) -> date:
    """The first day of the day, week or month that has this day. A week begins on Monday."""
    if interval == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if interval == "month" else day


def _day_after(interval: Interval, day: date) -> date:
    """The first day after the day, week or month that has this day."""
    first = _first_day(interval, day)
    if interval == "month":
        return (first + timedelta(days=31)).replace(day=1)
    return first + timedelta(days=7 if interval == "week" else 1)
