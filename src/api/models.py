"""What the api answers with, as the OpenAPI document describes it."""

from datetime import date
from typing import Any

from pydantic import BaseModel, Field


class Figures(BaseModel):
    """How requests fared. Exact at the resolution of a millisecond, never an estimate."""

    total_requests: int = Field(examples=[1042])
    successful_requests: int = Field(description="Requests with a status from 200 to 399.", examples=[1021])
    failed_requests: int = Field(description="All others.", examples=[21])
    uptime: float | None = Field(
        description="Percent of the requests that succeeded; null where there are none.", examples=[97.98464491362764]
    )
    average_latency: float | None = Field(
        description="Seconds, over all requests; null where there are none.", examples=[0.2134011516314779]
    )
    median_latency: float | None = Field(
        description="Seconds; the mean of the middle two when their count is even.", examples=[0.1715]
    )
    p99_latency: float | None = Field(
        description="Seconds; the nearest rank: the smallest latency that 99 % of the requests do not exceed.",
        examples=[0.987],
    )


class Day(BaseModel):
    """A UTC day."""

    date: date


class Customer(BaseModel):
    """Whose figures these are."""

    customer_id: str = Field(examples=["cust_1"])


class CustomerOrAll(BaseModel):
    """Whose figures these are, or all customers'."""

    customer_id: str | None = Field(description="null: all customers together.", examples=["cust_1"])


class Range(BaseModel):
    """The UTC days that an answer is about, both inclusive: those asked for, as far as they are kept."""

    from_date: date
    to_date: date


# The fields of the last base come first.


class DayStatistics(Figures, Day):
    """The figures of one day."""


class CustomerStatistics(Figures, Customer):
    """The figures of one customer over the range."""


class Statistics(Figures, Range, CustomerOrAll):
    """The figures of a customer, or of all together, over the range and for each of its days."""

    daily: list[DayStatistics] = Field(description="Each UTC day that has requests, oldest first.")


class CustomerList(Range):
    """One page of the customers that have requests in the range."""

    total: int = Field(description="How many customers there are on all pages.", examples=[50])
    customers: list[CustomerStatistics]


class Status(BaseModel):
    """That all is well; what is not well has another HTTP status."""

    status: str = Field(default="ok", examples=["ok"])


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


def problem(description: str, example: str) -> dict[str, Any]:
    """The entry of an error in a route's `responses`."""
    return {
        "model": Problem,
        "description": description,
        "content": {"application/json": {"example": {"detail": example}}},
    }
