"""The ranges of days and intervals that parameters mean."""

from datetime import date, timedelta

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st

from api.questions.calendar import UTC
from api.questions.dates import DateRange, Kept, begun_period, date_range, previous_range
from api.questions.times import MAX_POINTS, time_range
from api.utc import to_date, to_day

TODAY = date(2026, 11, 24)
OLDEST = date(2026, 10, 10)  # 45 days before
DATES = st.dates(min_value=date(1970, 1, 1), max_value=date(2199, 12, 31))


def kept(today: date = TODAY, days: int = 45, default_days: int = 45) -> Kept:
    """The UTC days from `days` before today on."""
    return Kept(UTC, today, today - timedelta(days=days), default_days)


def asked(from_date: date | None, to_date: date | None, of: Kept | None = None) -> tuple[date, date]:
    answer = date_range(from_date, to_date, of or kept())
    return answer.from_date, answer.to_date


@pytest.mark.parametrize(
    ("from_date", "to_date", "expected"),
    [
        (None, None, (OLDEST, TODAY)),
        (date(1970, 1, 1), None, (OLDEST, TODAY)),
        (OLDEST, None, (OLDEST, TODAY)),
        (TODAY, None, (TODAY, TODAY)),
        (TODAY, TODAY, (TODAY, TODAY)),
        (None, date(2026, 11, 1), (OLDEST, date(2026, 11, 1))),
        (date(2026, 11, 1), date(2026, 11, 2), (date(2026, 11, 1), date(2026, 11, 2))),
        (date(2026, 11, 1), date(9999, 12, 31), (date(2026, 11, 1), TODAY)),
    ],
)
def test_the_range_has_the_days_that_are_kept(
    from_date: date | None, to_date: date | None, expected: tuple[date, date]
) -> None:
    assert asked(from_date, to_date) == expected


@pytest.mark.parametrize("from_date", [None, date(1970, 1, 1)])
def test_an_expired_range_has_no_days(from_date: date | None) -> None:
    answer = date_range(from_date, OLDEST - timedelta(days=1), kept())
    assert not answer.days
    assert answer.to_date == OLDEST - timedelta(days=1)


def test_a_from_date_in_the_future_is_rejected_with_the_utc_date() -> None:
    with pytest.raises(RequestValidationError) as refusal:
        asked(TODAY + timedelta(days=1), None)
    (fault,) = refusal.value.errors()
    assert fault["loc"] == ("query", "from_date")
    assert "2026-11-24 in UTC" in fault["msg"]


def test_a_to_date_before_the_from_date_is_rejected() -> None:
    with pytest.raises(RequestValidationError) as refusal:
        asked(date(2026, 11, 2), date(2026, 11, 1))
    (fault,) = refusal.value.errors()
    assert fault["loc"] == ("query", "to_date")
    assert "2026-11-02" in fault["msg"]


@given(st.none() | DATES, st.none() | DATES, DATES, st.integers(1, 3650))
def test_the_days_are_those_of_the_question_that_are_kept(
    from_date: date | None, until: date | None, today: date, retention_days: int
) -> None:
    refused = from_date is not None and (from_date > today or (until is not None and until < from_date))
    if refused:
        with pytest.raises(RequestValidationError):
            date_range(from_date, until, kept(today, retention_days, retention_days))
        return
    answer = date_range(from_date, until, kept(today, retention_days, retention_days))
    days = [today - timedelta(days=age) for age in range(retention_days, -1, -1)]
    wanted = [day for day in days if (from_date or day) <= day <= (until or day)]
    assert [to_date(day) for day in answer.days] == wanted
    assert answer.from_date <= answer.to_date <= today
    if wanted:
        assert (answer.from_date, answer.to_date) == (wanted[0], wanted[-1])


@given(DATES)
def test_to_date_is_the_inverse_of_to_day(value: date) -> None:
    assert to_date(to_day(value)) == value
    assert to_day(date(1970, 1, 2)) == 1


def test_counts_are_kept_longer_than_a_question_without_dates_asks_for() -> None:
    of_400 = kept(days=400)
    first_counted = TODAY - timedelta(days=400)
    assert asked(None, None, of_400) == (OLDEST, TODAY)
    assert asked(date(1970, 1, 1), None, of_400) == (first_counted, TODAY)
    assert asked(None, OLDEST, of_400) == (OLDEST, OLDEST)
    long_ago = date(2026, 8, 1)
    assert asked(None, long_ago, of_400) == (long_ago - timedelta(days=45), long_ago)
    assert asked(None, first_counted, of_400) == (first_counted, first_counted)


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        ("2026-10", (date(2026, 10, 1), date(2026, 10, 31))),
        ("2026-02", (date(2026, 2, 1), date(2026, 2, 28))),
        ("2026-W41", (date(2026, 10, 5), date(2026, 10, 11))),
        ("2026-W01", (date(2025, 12, 29), date(2026, 1, 4))),
        ("2026-Q3", (date(2026, 7, 1), date(2026, 9, 30))),
        # What has not ended, until today; what begins before the first kept day, from there.
        ("2026-11", (date(2026, 11, 1), TODAY)),
        ("2026-Q4", (date(2026, 10, 1), TODAY)),
        ("2025-Q4", (date(2025, 10, 20), date(2025, 12, 31))),
    ],
)
def test_a_period_has_its_days(period: str, expected: tuple[date, date]) -> None:
    answer = date_range(*begun_period(period, kept(days=400)), kept(days=400))
    assert (answer.from_date, answer.to_date) == expected


@pytest.mark.parametrize(
    "period", ["2026", "2026-13", "2026-00", "2026-W54", "2025-W53", "2026-Q5", "2026-w41", "0000-01", "9999-12", ""]
)
def test_what_is_no_period_is_refused(period: str) -> None:
    with pytest.raises(RequestValidationError) as refusal:
        begun_period(period, kept())
    (fault,) = refusal.value.errors()
    assert fault["loc"] == ("query", "period")


def test_a_period_in_the_future_is_refused() -> None:
    with pytest.raises(RequestValidationError) as refusal:
        begun_period("2026-12", kept())
    assert "in the future: today is 2026-11-24 in UTC" in refusal.value.errors()[0]["msg"]


@pytest.mark.parametrize("period", ["2025-09", "2025-W42", "2025-Q3", "1970-01"])
def test_a_period_of_which_no_day_is_kept_is_refused(period: str) -> None:
    with pytest.raises(RequestValidationError) as refusal:
        begun_period(period, kept(days=400))
    assert "the first day that is kept is 2025-10-20 in UTC" in refusal.value.errors()[0]["msg"]


def test_the_days_before_are_as_many_or_none() -> None:
    of_400 = kept(days=400)
    october = date_range(*begun_period("2026-10", of_400), of_400)
    before = previous_range(october, of_400)
    assert before == DateRange(date(2026, 8, 31), date(2026, 9, 30), range(october.days[0] - 31, october.days[0]))
    # 45 days and today, and as many before.
    assert previous_range(date_range(None, None, of_400), of_400) is not None
    assert previous_range(date_range(None, None, kept()), kept()) is None
    oldest = date_range(OLDEST - timedelta(days=1), OLDEST - timedelta(days=1), kept())
    assert previous_range(oldest, kept()) is None


def test_a_series_of_days_is_bounded_if_more_are_kept() -> None:

    times = time_range("day", None, None, kept(days=3_650, default_days=3_650))
    assert len(times.days) == MAX_POINTS
    assert times.days[-1] == to_day(TODAY)
