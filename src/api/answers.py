"""Answers, built from the counts that the store hands over."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Literal

from api.dates import DateRange, to_date
from api.models import CustomerList, CustomerStatistics, DayStatistics, Statistics
from storage.counts import DayCounts, merge
from storage.statistics import statistics

Order = Literal["requests", "failures", "uptime", "average_latency", "median_latency", "p99_latency", "customer_id"]
Direction = Literal["ascending", "descending"]

_FIGURE = {"requests": "total_requests", "failures": "failed_requests"}
"""The orders that are not named as the figure they sort by."""


def range_statistics(
    customer_id: str | None, dates: DateRange, complete_through: datetime | None, days: Mapping[int, DayCounts]
) -> Statistics:
    """The figures over the range and of each day."""
    return Statistics(
        customer_id=customer_id,
        from_date=dates.from_date,
        to_date=dates.to_date,
        complete_through=complete_through,
        **asdict(statistics(merge(days.values()))),
        daily=[DayStatistics(date=to_date(day), **asdict(statistics(days[day]))) for day in sorted(days)],
    )


def customer_list(
    dates: DateRange,
    complete_through: datetime | None,
    counts: Mapping[str, DayCounts],
    order: Order,
    direction: Direction,
    limit: int,
    offset: int,
) -> CustomerList:
    """A page of the customers in this order; those that are equal in it, by their id."""
    ranked = [(customer, statistics(counts[customer])) for customer in sorted(counts)]
    figure = _FIGURE.get(order, order)
    ranked.sort(
        key=lambda entry: entry[0] if order == "customer_id" else getattr(entry[1], figure),
        reverse=direction == "descending",
    )
    return CustomerList(
        from_date=dates.from_date,
        to_date=dates.to_date,
        complete_through=complete_through,
        total=len(ranked),
        customers=[
            CustomerStatistics(customer_id=customer, **asdict(figures))
            for customer, figures in ranked[offset : offset + limit]
        ],
    )
