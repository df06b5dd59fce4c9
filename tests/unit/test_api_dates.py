"""The ranges of days and intervals that parameters mean."""

from datetime import date, timedelta

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st

from api.questions.dates import date_range
from api.questions.times import MAX_POINTS, time_range
from api.utc import to_date, to_day

TODAY = date(2026, 11, 24)
OLDEST = date(2026, 10, 10)  # 45 days before
DATES = st.dates(min_value=date(1970, 1, 1), max_value=date(2199, 12, 31))


def asked(from_date: date | None, to_date: date | None) -> tuple[date, date]:
    answer = date_range(from_date, to_date, TODAY, 45)
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
    answer = date_range(from_date, OLDEST - timedelta(days=1), TODAY, 45)
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
            date_range(from_date, until, today, retention_days)
        return
    answer = date_range(from_date, until, today, retention_days)
    kept = [today - timedelta(days=age) for age in range(retention_days, -1, -1)]
    wanted = [day for day in kept if (from_date or day) <= day <= (until or day)]
    assert [to_date(day) for day in answer.days] == wanted
    assert answer.from_date <= answer.to_date <= today
    if wanted:
        assert (answer.from_date, answer.to_date) == (wanted[0], wanted[-1])


@given(DATES)
def test_to_date_is_the_inverse_of_to_day(value: date) -> None:
    assert to_date(to_day(value)) == value
    assert to_day(date(1970, 1, 2)) == 1


def test_a_series_of_days_is_bounded_if_more_are_kept() -> None:

    times = time_range("day", None, None, TODAY, 3_650)
    assert len(times.days) == MAX_POINTS
    assert times.days[-1] == to_day(TODAY)
