"""What can be asked. Each route asks the store, and has the answer built."""

import time

from fastapi import Response

from api.questions.parameters import (
    AnswerFormat,
    Answering,
    AskedPage,
    AskedPercentiles,
    Dates,
    OneOrAll,
    Respond,
    Store,
)
from api.questions.statistics import CustomersQuestion, LatenciesQuestion, StatisticsQuestion, StatusCodesQuestion
from api.questions.status import store_status
from api.routes.about_customer import about_customer
from api.routes.documentation import AWAY, listing, service
from api.routes.router import question_router
from api.schemas.statistics import CustomerList, Latencies, Statistics, Status, StatusCodes, StoreStatus

router = question_router()


@router.get(
    "/customers",
    tags=["statistics"],
    summary="The customers and their totals",
    response_model=CustomerList,
    responses=listing("customers"),
)
async def customers(
    respond: Respond,
    dates: Dates,
    format: AnswerFormat,
    page: AskedPage,
) -> Response:
    """Every customer that has requests in the range, with the figures over the range, sorted and in pages."""
    return await respond(CustomersQuestion(format, dates, *page))


@about_customer(router, "stats", Statistics, "The statistics of {}")
async def stats(
    respond: Respond,
    dates: Dates,
    percentiles: AskedPercentiles,
    format: AnswerFormat,
    customer_id: OneOrAll,
) -> Response:
    """The figures over the range and of each of its days. Zeros and nulls where there are no requests in the range."""
    return await respond(StatisticsQuestion(format, dates, customer_id, percentiles))


@about_customer(router, "status-codes", StatusCodes, "The HTTP statuses of {}")
async def status_codes(respond: Respond, dates: Dates, format: AnswerFormat, customer_id: OneOrAll) -> Response:
    """How many requests of the range had which HTTP status."""
    return await respond(StatusCodesQuestion(format, dates, customer_id))


@about_customer(router, "latencies", Latencies, "The distribution of the latencies of {}")
async def latencies(respond: Respond, dates: Dates, format: AnswerFormat, customer_id: OneOrAll) -> Response:
    """How many requests of the range took how long, in bins that suit a logarithmic scale."""
    return await respond(LatenciesQuestion(format, dates, customer_id))


@router.get(
    "/status", tags=["service"], summary="How far the store is in each log", responses={**service("status"), **AWAY}
)
async def status(answers: Answering) -> StoreStatus:
    """What was read, stored and rejected of each log, what is not stored yet, and when the processor was last seen."""
    return store_status(await answers.logs(), await answers.files(), time.time())


@router.get("/health", tags=["service"], summary="Whether the api answers", responses=service("health"))
async def health() -> Status:
    """Answers as long as the process does, whatever the store does."""
    return Status()


@router.get("/ready", tags=["service"], summary="Whether the store answers", responses={**service("ready"), **AWAY})
async def ready(storage: Store) -> Status:
    """Answers once questions can be answered."""
    await storage.ping()
    return Status()
