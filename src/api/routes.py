"""What can be asked. Each route asks the store, and has the answer built."""

import time

from fastapi import Request, Response

from api.documentation import AWAY, UNKNOWN, listing, service
from api.models import CustomerList, Latencies, Statistics, Status, StatusCodes, StoreStatus
from api.parameters import (
    AnswerFormat,
    Answering,
    AskedPage,
    AskedPercentiles,
    Dates,
    OneInPath,
    OneOrAll,
    Store,
)
from api.question_router import question_router
from api.questions import CustomersQuestion, LatenciesQuestion, StatisticsQuestion, StatusCodesQuestion
from api.status import store_status

router = question_router()


@router.get(
    "/customers",
    tags=["statistics"],
    summary="The customers and their totals",
    response_model=CustomerList,
    responses=listing("customers"),
)
async def customers(
    request: Request,
    answers: Answering,
    dates: Dates,
    format: AnswerFormat,
    page: AskedPage,
) -> Response:
    """Every customer that has requests in the range, with the figures over the range, sorted and in pages."""
    return await answers.respond_anew(request, CustomersQuestion(format, dates, *page))


@router.get(
    "/customers/stats",
    tags=["statistics"],
    summary="The statistics of all customers together, or of any one",
    response_model=Statistics,
    responses={**UNKNOWN, **listing("stats")},
)
async def stats(
    request: Request,
    answers: Answering,
    dates: Dates,
    percentiles: AskedPercentiles,
    format: AnswerFormat,
    customer_id: OneOrAll = None,
) -> Response:
    """The figures over the range and of each of its days."""
    return await answers.respond_anew(request, StatisticsQuestion(format, dates, customer_id, percentiles))


@router.get(
    "/customers/{customer_id:path}/stats",
    tags=["statistics"],
    summary="The statistics of one customer",
    response_model=Statistics,
    responses={**UNKNOWN, **listing("customer_stats")},
)
async def customer_stats(
    request: Request,
    answers: Answering,
    dates: Dates,
    percentiles: AskedPercentiles,
    format: AnswerFormat,
    customer_id: OneInPath,
) -> Response:
    """The figures over the range and of each of its days. Zeros and nulls where there are no requests in the range."""
    return await stats(request, answers, dates, percentiles, format, customer_id)


@router.get(
    "/customers/status-codes",
    tags=["statistics"],
    summary="The HTTP statuses of all customers together, or of any one",
    response_model=StatusCodes,
    responses={**UNKNOWN, **listing("status_codes")},
)
async def status_codes(
    request: Request, answers: Answering, dates: Dates, format: AnswerFormat, customer_id: OneOrAll = None
) -> Response:
    """How many requests of the range had which HTTP status."""
    return await answers.respond_anew(request, StatusCodesQuestion(format, dates, customer_id))


@router.get(
    "/customers/{customer_id:path}/status-codes",
    tags=["statistics"],
    summary="The HTTP statuses of one customer",
    response_model=StatusCodes,
    responses={**UNKNOWN, **listing("customer_status_codes")},
)
async def customer_status_codes(
    request: Request, answers: Answering, dates: Dates, format: AnswerFormat, customer_id: OneInPath
) -> Response:
    """How many requests of the range had which HTTP status."""
    return await status_codes(request, answers, dates, format, customer_id)


@router.get(
    "/customers/latencies",
    tags=["statistics"],
    summary="The distribution of the latencies of all customers together, or of any one",
    response_model=Latencies,
    responses={**UNKNOWN, **listing("latencies")},
)
async def latencies(
    request: Request, answers: Answering, dates: Dates, format: AnswerFormat, customer_id: OneOrAll = None
) -> Response:
    """How many requests of the range took how long, in bins that suit a logarithmic scale."""
    return await answers.respond_anew(request, LatenciesQuestion(format, dates, customer_id))


@router.get(
    "/customers/{customer_id:path}/latencies",
    tags=["statistics"],
    summary="The distribution of the latencies of one customer",
    response_model=Latencies,
    responses={**UNKNOWN, **listing("customer_latencies")},
)
async def customer_latencies(
    request: Request, answers: Answering, dates: Dates, format: AnswerFormat, customer_id: OneInPath
) -> Response:
    """How many requests of the range took how long, in bins that suit a logarithmic scale."""
    return await latencies(request, answers, dates, format, customer_id)


@router.get(
    "/status", tags=["service"], summary="How far the store is in each log", responses={**service("status"), **AWAY}
)
async def status(answers: Answering) -> StoreStatus:
    """What was read, stored and rejected of each log, what is not stored yet, and when the processor was last seen."""
    return store_status(await answers.progress(), time.time())


@router.get("/health", tags=["service"], summary="Whether the api answers", responses=service("health"))
async def health() -> Status:
    """Answers as long as the process does, whatever the store does."""
    return Status()


@router.get("/ready", tags=["service"], summary="Whether the store answers", responses={**service("ready"), **AWAY})
async def ready(storage: Store) -> Status:
    """Answers once questions can be answered."""
    await storage.ping()
    return Status()
