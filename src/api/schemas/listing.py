"""What all answers about customers share: a list, whose it is, and the days that it is about."""

from datetime import date, datetime
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, Field

CompleteThrough = Annotated[
    datetime | None,
    Field(
        description="All requests that were logged before this time (UTC) are counted; later ones may be. It is the "
        "time at which the processor last looked at the log, if it has counted all that the log had then. Otherwise it "
        "is the median time of the last five counted requests, which assumes that the log is in the order of its "
        "times. Of several logs, and of several writers, the earliest time. null: unknown, because a processor has not "
        "reported yet, or is behind in a log. Of that log it has counted nothing, or that time is in the future.",
        examples=["2026-11-24T06:30:01.482000Z"],
    ),
]
Missing = Annotated[
    list[str],
    Field(
        description="The silent writers: their processors have not reported for 15 s, so their logs may have lines "
        "that nobody counts. Customers see `(hidden)` in the place of each name.",
        examples=[[]],
    ),
]


TimeZone = Annotated[
    str, Field(description="The time zone whose days the answer has. Absent: UTC.", examples=["Europe/Berlin"])
]


NO_PROGRESS: dict[str, Any] = {"complete_through": None, "missing": []}
"""Fields of an answer until it is sent: the change feed knows them, and not the question."""


class Listing(BaseModel):
    """An answer that has a list. As CSV, it is the list alone."""

    ROWS: ClassVar[str]
    """The field with the list."""

    def columns(self) -> list[str]:
        """The CSV columns: the fields of the list's elements."""
        (row,) = get_args(type(self).model_fields[self.ROWS].annotation)
        return list(row.model_fields)


class Range(Listing):
    """The days of the answer, both inclusive: the days of the question that are kept."""

    from_date: date
    to_date: date
    time_zone: TimeZone = "UTC"
    complete_through: CompleteThrough
    missing: Missing


class Customer(BaseModel):
    """The customer that the answer is about."""

    customer_id: str = Field(examples=["cust_1"])


class CustomerOrAll(BaseModel):
    """The customer that the answer is about, or all customers together."""

    customer_id: str | None = Field(description="null: all customers together.", examples=["cust_1"])
