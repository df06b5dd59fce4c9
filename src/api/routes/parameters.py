"""The parameters of the routes: described for the OpenAPI document, parsed and checked."""

import datetime
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, NamedTuple

from fastapi import Depends, Path, Query, Request
from fastapi.openapi.models import Example

from api.questions.calendar import PERIOD, UTC
from api.questions.dates import (
    DateRange,
    IsoDate,
    Kept,
    begun_period,
    date_range,
    kept_days,
    parse_zone,
    previous_range,
)
from api.questions.paging import MAX_CURSOR, PageKey, Ranking, Sort
from api.questions.percentiles import PATTERN, parse_percentiles
from api.questions.sorting import FIGURES_TO_SORT_BY, Order
from api.questions.times import IsoTime, TimeRange, time_range
from api.questions.validation import validation_error
from api.schemas.series import Interval

MAX_PAGE = 500
MAX_CUSTOMER_ID = 256
"""Characters. No log has a longer id."""
MAX_ZONE = 64
"""Characters. The longest name has 32."""


class ComparedDates(NamedTuple):
    dates: DateRange
    is_compared: bool
    """Whether the range is compared with the one before."""
    previous: DateRange | None
    """The range before; None if it is not asked for, or not kept."""


FromDate = Annotated[
    IsoDate | None,
    Query(
        description="The first day, inclusive. Left out: the first day whose requests are kept, or as many days before "
        "a `to_date` that is earlier. Before the first day whose counts are kept: that day. Not in the future.",
        openapi_examples={"all": {"summary": "All days that are kept", "value": "1970-01-01"}},
    ),
]
ToDate = Annotated[
    IsoDate | None,
    Query(description="The last day, inclusive. Left out, or in the future: today. Not before `from_date`."),
]
PeriodText = Annotated[
    str | None,
    Query(
        description="In the place of beginning and end: a month (`2026-10`), an ISO week, which begins on Monday "
        "(`2026-W41`), or a quarter (`2026-Q3`). Of one that has not ended, the days until today.",
        json_schema_extra={"pattern": f"^{PERIOD}$"},
    ),
]
TimeZone = Annotated[
    str | None,
    Query(
        max_length=MAX_ZONE,
        description="The time zone of days, weeks and months, of dates, and of times without a zone: a name of the "
        "IANA database, such as `Europe/Berlin`. Left out: that of the setting TIME_ZONE, UTC by default.",
    ),
]


# Each dependency has all its parameters, though some are in several: FastAPI resolves one that depends on another in
# twice the time, and again wherever it is needed again.


def _kept_in_utc(request: Request) -> Kept:
    state = request.app.state
    return kept_days(UTC, request.state.now, state.counts_retention_days, state.retention_days)


def _kept(request: Request, tz: str | None) -> Kept:
    state = request.app.state
    return kept_days(_zone(request, tz), request.state.now, state.counts_retention_days, state.retention_days)


def _kept_requests(request: Request, tz: str | None) -> Kept:
    state = request.app.state
    return kept_days(_zone(request, tz), request.state.now, state.retention_days, state.retention_days)


def _zone(request: Request, tz: str | None) -> str:
    zone: str = parse_zone(tz) if tz is not None else request.app.state.time_zone
    return zone


def _range(from_date: datetime.date | None, to_date: datetime.date | None, period: str | None, kept: Kept) -> DateRange:
    if period is None:
        return date_range(from_date, to_date, kept)
    if from_date is not None or to_date is not None:
        raise validation_error("period", period, "period stands in the place of from_date and to_date")
    return date_range(*begun_period(period, kept), kept)


async def _utc_dates(
    request: Request, from_date: FromDate = None, to_date: ToDate = None, period: PeriodText = None
) -> DateRange:
    return _range(from_date, to_date, period, _kept_in_utc(request))


def _dates_of(kept: Callable[[Request, str | None], Kept]) -> Callable[..., Awaitable[DateRange]]:
    async def dates(
        request: Request,
        tz: TimeZone = None,
        from_date: FromDate = None,
        to_date: ToDate = None,
        period: PeriodText = None,
    ) -> DateRange:
        return _range(from_date, to_date, period, kept(request, tz))

    return dates


async def _compared_dates(
    request: Request,
    tz: TimeZone = None,
    from_date: FromDate = None,
    to_date: ToDate = None,
    period: PeriodText = None,
    compare: Annotated[
        Literal["previous"] | None,
        Query(description="`previous`: also the figures of as many days right before the range, and the differences."),
    ] = None,
) -> ComparedDates:
    kept = _kept(request, tz)
    dates = _range(from_date, to_date, period, kept)
    return ComparedDates(dates, compare is not None, previous_range(dates, kept) if compare is not None else None)


async def _utc_day(
    request: Request,
    date: Annotated[IsoDate | None, Query(description="A UTC day. Left out: today. Not in the future.")] = None,
) -> DateRange:
    kept = _kept_in_utc(request)
    if date is not None and date > kept.today:
        raise validation_error("date", date, f"date is in the future: today is {kept.today} in {kept.zone}")
    return date_range(date or kept.today, date, kept)


async def _times(
    request: Request,
    tz: TimeZone = None,
    interval: Annotated[
        Interval,
        Query(description="The length of each point: a minute, hour, day, week (from Monday) or month of `tz`."),
    ] = "hour",
    start: Annotated[
        IsoTime | None,
        Query(
            alias="from",
            description="The first interval is the one that contains this time, which is in `tz` if it names no zone. "
            "Left out: the last day of minutes, the last seven days of hours, the days whose requests are kept, or all "
            "weeks or months whose counts are kept.",
            examples=["2026-11-24T13:00:00Z"],
        ),
    ] = None,
    end: Annotated[
        IsoTime | None,
        Query(
            alias="to",
            description="Up to this time, exclusive; an interval that contains it is included. Left out: the end of "
            "today.",
            examples=["2026-11-24T14:00:00Z"],
        ),
    ] = None,
    period: PeriodText = None,
) -> TimeRange:
    # Minutes are computed from the requests.
    kept = _kept_requests(request, tz) if interval == "minute" else _kept(request, tz)
    if period is None:
        return time_range(interval, start, end, kept)
    if start is not None or end is not None:
        raise validation_error("period", period, "period stands in the place of from and to")
    return time_range(interval, *begun_period(period, kept).times, kept)


async def _percentiles(
    percentiles: Annotated[
        str | None,
        Query(
            description="Further percentiles of the latencies, separated by commas: up to 20 numbers above 0 and up to "
            "100, with up to 3 decimals.",
            json_schema_extra={"pattern": PATTERN},
            openapi_examples={"several": {"summary": "Several", "value": "50,90,95,99,99.9"}},
        ),
    ] = None,
) -> tuple[int, ...]:
    return parse_percentiles(percentiles) if percentiles is not None else ()


async def _page(
    sort: Annotated[
        Sort,
        Query(
            description=f"The order: by {FIGURES_TO_SORT_BY} or the id. Equal customers are in the order of their ids."
        ),
    ] = "total",
    order: Annotated[Order, Query(description="Ascending or descending.")] = "desc",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="The most customers on the page.")] = 100,
    cursor: Annotated[
        str | None,
        Query(
            max_length=MAX_CURSOR,
            description="The `next_cursor` of the page before, which had the same `sort`, `order` and `search`.",
        ),
    ] = None,
    search: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=MAX_CUSTOMER_ID,
            description="Only customers whose id contains this text, in upper or lower case.",
        ),
    ] = None,
) -> tuple[Ranking, PageKey | None, int]:
    ranking = Ranking(sort, order, search.casefold() if search is not None else None)
    return ranking, ranking.read_cursor(cursor) if cursor is not None else None, limit


async def _customer_or_all(
    customer_id: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=MAX_CUSTOMER_ID,
            description="The customer, any id; left out: all customers together.",
        ),
    ] = None,
) -> str | None:
    return customer_id


UtcDay = Annotated[DateRange, Depends(_utc_day)]
UtcDates = Annotated[DateRange, Depends(_utc_dates)]
Dates = Annotated[DateRange, Depends(_dates_of(_kept))]
DatesOfRequests = Annotated[DateRange, Depends(_dates_of(_kept_requests))]
DatesToCompare = Annotated[ComparedDates, Depends(_compared_dates)]
Times = Annotated[TimeRange, Depends(_times)]
Percentiles = Annotated[tuple[int, ...], Depends(_percentiles)]
Page = Annotated[tuple[Ranking, PageKey | None, int], Depends(_page)]
CustomerOrAll = Annotated[str | None, Depends(_customer_or_all)]
_ONE = {"customer": Example(summary="A customer", value="cust_1")}
CustomerInQuery = Annotated[
    str, Query(min_length=1, max_length=MAX_CUSTOMER_ID, description="The customer, any id.", openapi_examples=_ONE)
]
CustomerInPath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=MAX_CUSTOMER_ID,
        description="The customer, percent-encoded; slashes may stay as they are. An id that a path cannot carry, such "
        "as `..`, goes into `customer_id=` of the query, at the same path without the id.",
        openapi_examples=_ONE,
    ),
]
