"""UTC days and times: numbers as the store has them, and dates as answers have them."""

from datetime import date, datetime, timedelta, timezone

SECONDS_A_DAY = 86_400
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def to_day(value: date) -> int:
    """Days since 1970-01-01."""
    return (value - EPOCH.date()).days


def to_date(day: int) -> date:
    """The inverse of `to_day`."""
    return EPOCH.date() + timedelta(days=day)


def to_datetime(seconds: float, milliseconds: int = 0) -> datetime:
    """A Unix time (s), and milliseconds of that second, as a UTC datetime."""
    return EPOCH + timedelta(seconds=seconds, milliseconds=milliseconds)


def to_iso_time(seconds: int) -> str:
    """A Unix time (s) in the form that parameters accept: `2026-11-24T13:00:00Z`."""
    return f"{to_datetime(seconds):%Y-%m-%dT%H:%M:%SZ}"
