"""Answers, built from the counts that the store hands over."""

from collections.abc import Mapping, Sequence
from typing import Any

from api.caching.customer_days import RangeCounts
from api.questions.dates import DateRange, to_date
from api.questions.paging import Place, Ranking
from api.questions.percentiles import write_percentile
from api.schemas.statistics import (
    CustomerList,
    CustomerStatistics,
    DayStatistics,
    Latencies,
    LatencyBin,
    RequestsOfStatus,
    Statistics,
    StatusCodes,
)
from rollups.counts import DailyAggregate, logged_status
from rollups.figures import Statistics as StoredStatistics
from rollups.figures import figures, latency_bins, percentiles
from rollups.histogram import Histogram, histograms_of, merge, statuses_of


def range_statistics(customer_id: str | None, dates: DateRange, counts: RangeCounts) -> Statistics:
    """The figures over the range and of each day."""
    return _statistics(customer_id, dates, figures(counts.together())._asdict(), list(counts.daily.values()))


def with_percentiles(
    customer_id: str | None, dates: DateRange, days: Mapping[int, DailyAggregate], asked: Sequence[int]
) -> Statistics:
    """The same, with these percentiles (thousandths)."""
    in_order = dict(sorted(days.items()))
    tallies = list(histograms_of(in_order.values()).each())
    daily = [
        DayStatistics(date=to_date(day), **_figures(tally, asked)) for day, tally in zip(in_order, tallies, strict=True)
    ]
    return _statistics(customer_id, dates, _figures(merge(tallies), asked), daily)


def _statistics(
    customer_id: str | None, dates: DateRange, together: Mapping[str, Any], daily: list[DayStatistics]
) -> Statistics:
    return Statistics(
        customer_id=customer_id,
        from_date=dates.from_date,
        to_date=dates.to_date,
        complete_through=None,
        **together,
        daily=daily,
    )


def _figures(tally: Histogram, asked: Sequence[int]) -> dict[str, Any]:
    names = map(write_percentile, asked)
    return {**figures(tally)._asdict(), "percentiles": dict(zip(names, percentiles(tally, asked), strict=True))}


def status_codes(customer_id: str | None, dates: DateRange, days: Mapping[int, DailyAggregate]) -> StatusCodes:
    """The requests of each HTTP status over the range."""
    return StatusCodes(
        customer_id=customer_id,
        from_date=dates.from_date,
        to_date=dates.to_date,
        complete_through=None,
        status_codes=[
            RequestsOfStatus(status=logged_status(status), requests=requests)
            for status, requests in sorted(statuses_of(days.values()).items())
        ],
    )


def latencies(customer_id: str | None, dates: DateRange, days: Mapping[int, DailyAggregate]) -> Latencies:
    """The distribution of the latencies over the range."""
    tally = merge(list(histograms_of(days.values()).each()))
    return Latencies(
        customer_id=customer_id,
        from_date=dates.from_date,
        to_date=dates.to_date,
        complete_through=None,
        total=tally.timed,
        bins=[
            LatencyBin(from_latency=first / 1000, to_latency=end / 1000, requests=requests)
            for first, end, requests in latency_bins(tally)
        ],
    )


def customer_list(
    dates: DateRange, figures: Mapping[str, StoredStatistics], ranking: Ranking, after: Place | None, limit: int
) -> CustomerList:
    """The page of the customers after this place."""
    total, page, last = ranking.page(figures, after, limit)
    return CustomerList(
        from_date=dates.from_date,
        to_date=dates.to_date,
        complete_through=None,
        total=total,
        next_cursor=ranking.write_cursor(last) if last is not None else None,
        customers=[CustomerStatistics(customer_id=customer, **figures[customer]._asdict()) for customer in page],
    )
