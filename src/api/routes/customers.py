"""The routes about customers. Each one makes a question of its parameters, and has it answered."""

from typing import Annotated

from fastapi import Query, Response

from api.questions.customers import CustomersQuestion
from api.questions.distributions import LatenciesQuestion, StatusCodesQuestion
from api.questions.errors import ErrorsQuestion
from api.questions.paths import PathsQuestion
from api.questions.requests import LatestRequestsQuestion
from api.questions.series import SeriesQuestion
from api.questions.statistics import StatisticsQuestion
from api.routes.about_customer import about_customer
from api.routes.documentation import listing
from api.routes.endpoints import MAX_PATH, MAX_PATHS, Bys, Orders, PathLimit, Sorts
from api.routes.parameters import (
    CustomerInQuery,
    CustomerOrAll,
    Dates,
    DatesOfRequests,
    DatesToCompare,
    Page,
    Percentiles,
    Times,
    UtcDates,
)
from api.routes.request_cache import Respond
from api.routes.router import new_router
from api.schemas.customers import CustomerList
from api.schemas.distributions import Latencies, StatusCodes
from api.schemas.paths import Errors, Paths
from api.schemas.requests import LatestRequests
from api.schemas.series import Series
from api.schemas.statistics import Statistics
from storage.requests import Outcome

MAX_REQUESTS = 1_000

router = new_router()


@router.get(
    "/customers",
    tags=["statistics"],
    summary="The customers and their totals",
    response_model=CustomerList,
    responses=listing("customers"),
)
async def customers(respond: Respond, dates: UtcDates, page: Page) -> Response:
    """Every customer that has requests in the range, with its figures over the range, sorted and in pages. Days are
    those of UTC."""
    return await respond(CustomersQuestion, dates, *page)


@about_customer(router, "stats", Statistics, "The statistics of {}")
async def stats(
    respond: Respond,
    compared: DatesToCompare,
    percentiles: Percentiles,
    customer_id: CustomerOrAll,
) -> Response:
    """The figures over the range, and of each of its days. Zeros and nulls if the range has no requests."""
    dates, is_compared, previous = compared
    return await respond(StatisticsQuestion, dates, customer_id, percentiles, is_compared, previous)


@about_customer(router, "status-codes", StatusCodes, "The HTTP statuses of {}")
async def status_codes(respond: Respond, dates: Dates, customer_id: CustomerOrAll) -> Response:
    """How many requests of the range had each HTTP status."""
    return await respond(StatusCodesQuestion, dates, customer_id)


@about_customer(router, "latencies", Latencies, "The distribution of the latencies of {}")
async def latencies(respond: Respond, dates: Dates, customer_id: CustomerOrAll) -> Response:
    """How many requests of the range took how long, in bins for a logarithmic scale."""
    return await respond(LatenciesQuestion, dates, customer_id)


@about_customer(router, "series", Series, "The statistics of {} over time")
async def series(respond: Respond, times: Times, customer_id: CustomerInQuery) -> Response:
    """The figures of each minute, hour, day, week or month: up to 1,500 of them."""
    return await respond(SeriesQuestion, customer_id, times)


@about_customer(router, "paths", Paths, "The paths of {}")
async def paths(
    respond: Respond,
    dates: UtcDates,
    customer_id: CustomerInQuery,
    by: Bys = "path",
    sort: Sorts = "total",
    order: Orders = "desc",
    limit: PathLimit = 100,
) -> Response:
    """The figures of each path over the range. Days are those of UTC."""
    return await respond(PathsQuestion, dates, customer_id, by, sort, order, limit)


@about_customer(router, "errors", Errors, "The errors of {}")
async def errors(
    respond: Respond,
    dates: UtcDates,
    customer_id: CustomerInQuery,
    limit: Annotated[int, Query(ge=1, le=MAX_PATHS, description="The most errors of the answer.")] = 100,
) -> Response:
    """The requests that failed, by path and status, with their number and the latest day. Days are those of UTC."""
    return await respond(ErrorsQuestion, dates, customer_id, limit)


@about_customer(router, "requests", LatestRequests, "The latest requests of {}")
async def requests(
    respond: Respond,
    dates: DatesOfRequests,
    customer_id: CustomerInQuery,
    status: Annotated[
        Outcome,
        Query(
            description="`successful`: a status from 200 to 399; `failed`: any other, or none; `client_errors`: from "
            "400 to 499; `server_errors`: from 500 to 599, or none."
        ),
    ] = "all",
    path: Annotated[
        str,
        Query(max_length=MAX_PATH, description="Only requests whose path has this text, as it was logged."),
    ] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_REQUESTS, description="The most requests of the answer.")] = 100,
) -> Response:
    """The requests themselves, as they were logged."""
    return await respond(LatestRequestsQuestion, dates, customer_id, status, path, limit)
