"""The routes about all customers together by path: which paths, when, and who is hit."""

from typing import Annotated

from fastapi import Query, Response
from fastapi.openapi.models import Example

from api.questions.all_series import MOST_HOUR_DAYS, AllInterval, AllSeriesQuestion
from api.questions.path_customers import PathCustomerSort, PathCustomersQuestion
from api.questions.paths import By, PathSort, PathsQuestion
from api.questions.sorting import FIGURES_TO_SORT_BY, Order
from api.questions.validation import validation_error
from api.routes.documentation import listing
from api.routes.parameters import UtcDates, UtcDay
from api.routes.request_cache import Respond
from api.routes.router import new_router
from api.schemas.paths import PathCustomers, Paths
from api.schemas.series import AllSeries

MAX_PATHS = 500
MAX_CUSTOMERS = 500
MAX_PATH = 256
"""Characters. No template has more than 120, but for a backslash."""

router = new_router()

Sorts = Annotated[
    PathSort,
    Query(
        description=f"The order: by {FIGURES_TO_SORT_BY}, `bytes_sent` or the `path`. Equal paths are in "
        "alphabetical order."
    ),
]
Orders = Annotated[Order, Query(description="Ascending or descending.")]
PathLimit = Annotated[int, Query(ge=1, le=MAX_PATHS, description="The most paths of the answer.")]
Bys = Annotated[By, Query(description="`method`: requests of different methods are told apart, too.")]
_PATH_EXAMPLE = {"path": Example(summary="A path", value="/api/v1/orders")}
_path_in_query = Query(
    min_length=1, max_length=MAX_PATH, description="A path as `/paths` names it.", openapi_examples=_PATH_EXAMPLE
)


@router.get(
    "/paths",
    tags=["endpoints"],
    summary="The paths of all customers together",
    response_model=Paths,
    responses=listing("all_paths"),
)
async def all_paths(
    respond: Respond,
    dates: UtcDates,
    by: Bys = "path",
    sort: Sorts = "total",
    order: Orders = "desc",
    limit: PathLimit = 100,
) -> Response:
    """The figures of each path over the range. Days are those of UTC."""
    return await respond(PathsQuestion, dates, None, by, sort, order, limit)


@router.get(
    "/paths/customers",
    tags=["endpoints"],
    summary="Who is hit: the customers of a path",
    response_model=PathCustomers,
    responses=listing("path_customers"),
)
async def path_customers(
    respond: Respond,
    of_day: UtcDay,
    path: Annotated[str, _path_in_query],
    sort: Annotated[
        PathCustomerSort,
        Query(
            description=f"The order: by {FIGURES_TO_SORT_BY} or the id. Equal customers are in the order of their ids."
        ),
    ] = "total",
    order: Orders = "desc",
    limit: Annotated[int, Query(ge=1, le=MAX_CUSTOMERS, description="The most customers of the answer.")] = 100,
) -> Response:
    """Every customer that has requests to the path on a day, with its figures of these requests."""
    return await respond(PathCustomersQuestion, path, of_day.to_date, of_day.days, sort, order, limit)


@router.get(
    "/series",
    tags=["endpoints"],
    summary="All customers together over time",
    response_model=AllSeries,
    responses=listing("all_series"),
)
async def all_series(
    respond: Respond,
    dates: UtcDates,
    interval: Annotated[AllInterval, Query(description="The length of each point: a UTC hour or day.")] = "day",
    path: Annotated[str | None, _path_in_query] = None,
) -> Response:
    """The figures of each hour or day of UTC, of all requests or of those to a path."""
    if interval == "hour" and path is not None and len(dates.days) > MOST_HOUR_DAYS:
        message = f"there are {len(dates.days)} days: ask for hours of a path of at most {MOST_HOUR_DAYS} at once"
        raise validation_error("from_date", dates.from_date, message)
    return await respond(AllSeriesQuestion, interval, dates.from_date, dates.to_date, dates.days, path)
