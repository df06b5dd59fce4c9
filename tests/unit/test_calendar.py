"""Days, weeks, months and hours of time zones: golden examples of the odd ones, and properties of all."""

from datetime import date, datetime, timedelta, timezone
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, reset_tzpath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.questions.calendar import Calendar, OddDay, calendar
from api.questions.dates import kept_days
from api.questions.times import time_range
from api.utc import to_date, to_day
from api.zones import zone_names

ZONES = st.sampled_from(sorted(zone_names()))
DAYS = st.dates(min_value=date(2016, 1, 1), max_value=date(2037, 12, 31))


def utc(text: str) -> int:
    """The Unix time (s) of a text such as `2026-10-24 22:00`."""
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp())


@pytest.mark.parametrize(
    ("zone", "day", "starts", "quarter_hours"),
    [
        ("UTC", "2026-10-25", "2026-10-25 00:00", 96),
        ("Europe/Berlin", "2026-10-24", "2026-10-23 22:00", 96),
        # The clock is set back at 3:00, and forward at 2:00.
        ("Europe/Berlin", "2026-10-25", "2026-10-24 22:00", 100),
        ("Europe/Berlin", "2026-03-29", "2026-03-28 23:00", 92),
        ("Asia/Kathmandu", "2026-11-24", "2026-11-23 18:15", 96),
        ("Pacific/Chatham", "2026-04-05", "2026-04-04 10:15", 100),
        # Set back by half an hour.
        ("Australia/Lord_Howe", "2026-04-05", "2026-04-04 13:00", 98),
        # Set forward at midnight: the day begins at one o'clock.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00", 92),
        # Set back at midnight, to 23:00 of the day before.
        ("America/Sao_Paulo", "2018-02-17", "2018-02-17 02:00", 100),
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18 03:00", 96),
        ("Pacific/Kiritimati", "2026-11-24", "2026-11-23 10:00", 96),
        # A day that was left out, when the date line was moved.
        ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00", 0),
        ("Pacific/Apia", "2011-12-31", "2011-12-30 10:00", 96),
    ],
)
def test_a_day_begins_and_ends_as_its_zone_says(zone: str, day: str, starts: str, quarter_hours: int) -> None:
    number = to_day(date.fromisoformat(day))
    first, end = calendar(zone).edges_of_days(range(number, number + 1)).tolist()
    assert (first * 900, end - first) == (utc(starts), quarter_hours)


def test_a_clock_that_is_set_forward_over_midnight_begins_the_day() -> None:
    # At 23:30 it became 0:30.
    assert calendar("America/Toronto").day_start(date(1919, 3, 31)) == utc("1919-03-31 04:30")


def test_a_day_that_begins_at_no_quarter_hour_is_refused() -> None:
    day = to_day(date(1971, 12, 31))
    # It was 44 minutes and 30 seconds behind UTC.
    with pytest.raises(OddDay, match="1971-12-31 begins at 00:44:30 UTC"):
        calendar("Africa/Monrovia").edges_of_days(range(day, day + 1))


@given(ZONES, DAYS)
def test_each_quarter_hour_is_in_the_day_that_its_clock_shows(zone: str, day: date) -> None:
    of_zone = calendar(zone)
    days = range(to_day(day) - 1, to_day(day) + 2)
    edges = of_zone.edges_of_days(days).tolist()
    for number, (start, end) in zip(days, pairwise(edges), strict=True):
        shown = {of_zone.date_at(900 * part) for part in range(start, end)}
        assert shown <= {to_date(number)}
    assert of_zone.date_at(900 * edges[0] - 1) < to_date(days[0])


@given(ZONES, DAYS, st.sampled_from(["minute", "hour", "day", "week", "month"]), st.integers(0, 86_399))
def test_each_time_is_in_one_interval(zone: str, day: date, interval: str, second: int) -> None:
    of_zone = calendar(zone)
    at = to_day(day) * 86_400 + second
    start = of_zone.floor(interval, at)  # type: ignore[arg-type]
    end = of_zone.end(interval, start)  # type: ignore[arg-type]
    assert start <= at < end
    assert of_zone.floor(interval, end) == end  # type: ignore[arg-type]
    assert of_zone.floor(interval, end - 1) == start  # type: ignore[arg-type]
    assert of_zone.ceil(interval, start) == start  # type: ignore[arg-type]
    assert of_zone.ceil(interval, start + 1) == end  # type: ignore[arg-type]
    first = of_zone.local(start)
    if interval == "week":
        assert first.weekday() == 0
    if interval == "month":
        assert first.day == 1


def test_hours_are_those_of_the_local_clock() -> None:
    def hours(zone: str, start: str, end: str) -> list[str]:
        of_zone = calendar(zone)
        edges = of_zone.edges("hour", utc(start), utc(end)).tolist()
        return [of_zone.local(900 * edge).isoformat(timespec="minutes") for edge in edges]

    assert hours("Europe/Berlin", "2026-10-24 23:00", "2026-10-25 02:00") == [
        "2026-10-25T01:00+02:00",
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
    ]
    assert hours("Asia/Kolkata", "2026-11-23 18:30", "2026-11-23 20:30") == [
        "2026-11-24T00:00+05:30",
        "2026-11-24T01:00+05:30",
        "2026-11-24T02:00+05:30",
    ]
    # It is set back from 2:00 to 1:30, within the hour.
    assert hours("Australia/Lord_Howe", "2026-04-04 14:00", "2026-04-04 16:30") == [
        "2026-04-05T01:00+11:00",
        "2026-04-05T01:30+10:30",
        "2026-04-05T02:00+10:30",
        "2026-04-05T03:00+10:30",
    ]
    assert hours("UTC", "2026-11-24 00:00", "2026-11-24 01:00") == ["2026-11-24T00:00+00:00", "2026-11-24T01:00+00:00"]


@pytest.mark.parametrize(
    ("zone", "today", "first"),
    [
        ("UTC", "2026-11-24", "2026-10-10"),
        # The day that began before 2026-10-10 in UTC has requests that are not kept.
        ("Europe/Berlin", "2026-11-24", "2026-10-11"),
        ("America/New_York", "2026-11-23", "2026-10-10"),
        ("Pacific/Kiritimati", "2026-11-24", "2026-10-11"),
    ],
)
def test_days_are_kept_as_a_whole_or_not_at_all(zone: str, today: str, first: str) -> None:
    kept = kept_days(zone, utc("2026-11-24 03:00"), 45, 45)
    assert (str(kept.today), str(kept.first)) == (today, first)


def test_weeks_and_months_are_kept_as_a_whole_or_not_at_all() -> None:
    kept = kept_days("Europe/Berlin", utc("2026-11-24 12:00"), 45, 45)
    local = calendar("Europe/Berlin").local

    def starts(interval: str, start: datetime | None = None) -> list[str]:
        times = time_range(interval, start, None, kept)  # type: ignore[arg-type]
        return [f"{local(900 * edge):%Y-%m-%d}" for edge in times.edges.tolist()]

    # Today's week and month have begun, and end with today.
    assert starts("week") == [
        *(f"2026-10-{day}" for day in (12, 19, 26)),
        *(f"2026-11-{d:02}" for d in (2, 9, 16, 23, 25)),
    ]
    assert starts("month") == ["2026-11-01", "2026-11-25"]
    assert starts("month", datetime(1, 1, 1)) == ["2026-11-01", "2026-11-25"]
    assert starts("week", datetime(2026, 11, 18, 3, tzinfo=timezone.utc)) == ["2026-11-16", "2026-11-23", "2026-11-25"]


def test_times_before_and_after_all_calendars_are_no_fault() -> None:
    kept = kept_days("Pacific/Kiritimati", utc("2026-11-24 12:00"), 45, 45)
    for first, last in [(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)), (datetime(1, 1, 1), datetime(1, 1, 2))]:
        for interval in ("hour", "day", "week", "month"):
            times = time_range(interval, first, last, kept)
            assert times.start <= times.end
            assert not times.days or (np.diff(times.edges) >= 0).all()


def test_a_local_time_that_comes_twice_is_the_first_one() -> None:
    twice = datetime(2026, 10, 25, 2, 30)
    assert calendar("Europe/Berlin").second_at(twice) == utc("2026-10-25 00:30")
    assert calendar("Europe/Berlin").second_at(twice + timedelta(hours=1)) == utc("2026-10-25 02:30")


def test_days_do_not_depend_on_the_machines_own_time_zones(tmp_path: Path) -> None:
    of_utc = (files("tzdata") / "zoneinfo" / "UTC").read_bytes()
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe/Berlin").write_bytes(of_utc)
    before = TZPATH
    reset_tzpath([tmp_path])
    ZoneInfo.clear_cache()
    try:
        assert ZoneInfo("Europe/Berlin").utcoffset(datetime(2026, 7, 1)) == timedelta(0)
        assert Calendar("Europe/Berlin").day_start(date(2026, 10, 25)) == utc("2026-10-24 22:00")
    finally:
        reset_tzpath(before)
        ZoneInfo.clear_cache()
