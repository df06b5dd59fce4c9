"""Which days a question is about: what may be asked, and what is made of it. All days are UTC."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from api.questions.validation import refusal

_EPOCH = date(1970, 1, 1)
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _iso_date(text: object) -> object:
    # Pydantic alone would take `20261124` for seconds since 1970.
    if isinstance(text, str) and not _ISO_DATE.fullmatch(text):
        raise PydanticCustomError("date_format", "Input should be a date of the form YYYY-MM-DD")
    return text


IsoDate = Annotated[date, BeforeValidator(_iso_date)]
"""A date of a query, `2026-11-24`."""


@dataclass(frozen=True, slots=True)
class DateRange:
    """The days that an answer is about, both inclusive."""

    from_date: date
    to_date: date
    days: range
    """Those of them that are kept, as days since 1970-01-01. Empty where the whole range is older than that."""


def date_range(from_date: date | None, to_date: date | None, today: date, retention_days: int) -> DateRange:
    """The days from `from_date` (None: the first that is kept) to `to_date` (None: today).

    What lies before the first day that is kept, or after today, is left out. A `from_date` after today, or after
    `to_date`, is refused with RequestValidationError.
    """
    if from_date is not None and from_date > today:
        raise refusal("from_date", from_date, f"from_date is in the future: today is {today} in UTC")
    if from_date is not None and to_date is not None and to_date < from_date:
        raise refusal("to_date", to_date, f"to_date is before from_date, {from_date}")
    oldest = today - timedelta(days=retention_days)
    last = min(to_date or today, today)
    first = max(from_date or oldest, oldest)
    return DateRange(from_date=min(first, last), to_date=last, days=range(to_day(first), to_day(last) + 1))


def utc_today() -> date:
    """The date in UTC."""
    return datetime.now(timezone.utc).date()


def to_day(value: date) -> int:
    """Days since 1970-01-01, as the store counts them."""
    return (value - _EPOCH).days


def to_date(day: int) -> date:
    """The reverse of `to_day`."""
    return _EPOCH + timedelta(days=day)
