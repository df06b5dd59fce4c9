"""The parameters of the routes: described for the OpenAPI document, parsed and checked."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request
from fastapi.openapi.models import Example

from api.questions.dates import DateRange, IsoDate, date_range
from api.questions.formats import Format, negotiate_format
from api.questions.paging import MAX_CURSOR, PageKey, Ranking, Sort
from api.questions.percentiles import PATTERN, parse_percentiles
from api.questions.sorting import Order
from api.questions.times import IsoTime, TimeRange, time_range
from api.schemas.series import Interval

MAX_PAGE = 500
MAX_CUSTOMER_ID = 256
"""Characters. No log has a longer id."""


async def _dates(
    request: Request,
    from_date: Annotated[
        IsoDate | None,
        Query(
            description="The first UTC day, inclusive. Left out, or before the first day that is kept: that day. "
            "Not in the future.",
            openapi_examples={"all": {"summary": "All days that are kept", "value": "1970-01-01"}},
        ),
    ] = None,
    to_date: Annotated[
        IsoDate | None,
        Query(description="The last UTC day, inclusive. Left out, or in the future: today. Not before `from_date`."),
    ] = None,
) -> DateRange:
    return date_range(from_date, to_date, request.state.today, request.app.state.retention_days)


async def _times(
    request: Request,
    interval: Annotated[Interval, Query(description="The length of each point: a UTC minute, hour or day.")] = "hour",
    start: Annotated[
        IsoTime | None,
        Query(
            alias="from",
            description="The first interval is the one that contains this time, which is in UTC if it names no zone. "
            "Left out: the last day of minutes, the last seven days of hours, or all days that are kept.",
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
) -> TimeRange:
    return time_range(interval, start, end, request.state.today, request.app.state.retention_days)


async def _format(
    request: Request,
    format: Annotated[
        Format | None,
        Query(description="`csv`: the list alone, as with `Accept: text/csv`. Takes precedence over `Accept`."),
    ] = None,
) -> Format:
    return format or negotiate_format(request.scope)


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
            description="The order: by `total`, `failed` (requests), `client_errors`, `server_errors`, `uptime`, "
            "`availability`, `average`, `median`, `p99` (latency) or the id. Equal customers are in the order of their "
            "ids."
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


Dates = Annotated[DateRange, Depends(_dates)]
Times = Annotated[TimeRange, Depends(_times)]
AnswerFormat = Annotated[Format, Depends(_format)]
Percentiles = Annotated[tuple[int, ...], Depends(_percentiles)]
Page = Annotated[tuple[Ranking, PageKey | None, int], Depends(_page)]
CustomerOrAll = Annotated[str | None, Depends(_customer_or_all)]
_ONE = {"customer": Example(summary="A customer", value="cust_1")}
CustomerInQuery = Annotated[
    str,
    Query(
        min_length=1,
        max_length=MAX_CUSTOMER_ID,
        description="The customer, any id.",
        openapi_examples=_ONE,
    ),
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
