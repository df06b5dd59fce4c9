"""Parameters that are dates, and the range of UTC days that they mean."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

from api.questions.validation import of_form, validation_error
from api.utc import to_day

IsoDate = Annotated[date, of_form(r"\d{4}-\d{2}-\d{2}", "date_format", "Input should be a date of the form YYYY-MM-DD")]
"""A date of a query: `2026-11-24`."""


@dataclass(frozen=True, slots=True)
class DateRange:
    """The UTC days of a question."""

    from_date: date
    """Inclusive."""
    to_date: date
    """Inclusive."""
    days: range
    """The days that are kept, as days since 1970-01-01. Empty if the whole range is older."""


def date_range(from_date: date | None, to_date: date | None, today: date, retention_days: int) -> DateRange:
    """The days from `from_date` (None: the first day that is kept) through `to_date` (None: today).

    Leaves out days before the first one that is kept, and days after today. RequestValidationError if `from_date` is
    after today or after `to_date`.
    """
    if from_date is not None and from_date > today:
        raise validation_error("from_date", from_date, f"from_date is in the future: today is {today} in UTC")
    if from_date is not None and to_date is not None and to_date < from_date:
        raise validation_error("to_date", to_date, f"to_date is before from_date, {from_date}")
    oldest = today - timedelta(days=retention_days)
    last = min(to_date or today, today)
    first = max(from_date or oldest, oldest)
    return DateRange(from_date=min(first, last), to_date=last, days=range(to_day(first), to_day(last) + 1))
