"""The routes to what can be asked about parts of a customer's days."""

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from api.questions.parameters import AnswerFormat, Dates, OneInQuery, Respond
from api.questions.series import LatestRequestsQuestion, PathsQuestion, SeriesQuestion
from api.questions.times import Interval, IsoTime, TimeRange, time_range
from api.routes.about_customer import about_customer
from api.routes.router import question_router
from api.schemas.series import LatestRequests, Paths, Series
from storage.requests import Outcome

MAX_PATHS = 500
MAX_REQUESTS = 1_000

router = question_router()


async def _times(
    request: Request,
    interval: Annotated[Interval, Query(description="How long each point is: a UTC minute, hour or day.")] = "hour",
    start: Annotated[
        IsoTime | None,
        Query(
            alias="from",
            description="From the interval that this time is in; it is in UTC where it names no zone. Left out: the "
            "last day of minutes, the last seven days of hours, all days that are kept.",
            examples=["2026-11-24T13:00:00Z"],
        ),
    ] = None,
    end: Annotated[
        IsoTime | None,
        Query(
            alias="to",
            description="Up to this time, exclusive; the interval that it is in is included. Left out: the end of "
            "today.",
            examples=["2026-11-24T14:00:00Z"],
        ),
    ] = None,
) -> TimeRange:
    return time_range(interval, start, end, request.state.today, request.app.state.retention_days)


@about_customer(router, "series", Series, "The statistics of {} over time")
async def series(
    respond: Respond,
    times: Annotated[TimeRange, Depends(_times)],
    format: AnswerFormat,
    customer_id: OneInQuery,
) -> Response:
    """The figures of each minute, hour or day: up to 1,500 of them."""
    return await respond(SeriesQuestion(format, customer_id, times))


@about_customer(router, "paths", Paths, "The paths of {}")
async def paths(
    respond: Respond,
    dates: Dates,
    format: AnswerFormat,
    customer_id: OneInQuery,
    limit: Annotated[int, Query(ge=1, le=MAX_PATHS, description="How many paths at most.")] = 100,
) -> Response:
    """The figures of each path over the range."""
    return await respond(PathsQuestion(format, dates, customer_id, limit))


@about_customer(router, "requests", LatestRequests, "The latest requests of {}")
async def requests(
    respond: Respond,
    dates: Dates,
    format: AnswerFormat,
    customer_id: OneInQuery,
    status: Annotated[
        Outcome, Query(description="`successful`: a status from 200 to 399; `failed`: any other, or none.")
    ] = "all",
    limit: Annotated[int, Query(ge=1, le=MAX_REQUESTS, description="How many requests at most.")] = 100,
) -> Response:
    """The requests themselves, as they were logged."""
    return await respond(LatestRequestsQuestion(format, dates, customer_id, status, limit))
