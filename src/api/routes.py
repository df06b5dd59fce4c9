"""What can be asked. Each route asks the store, and has the answer built."""

import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.routing import APIRoute

from api.answering import Answers
from api.dates import DateRange, IsoDate, date_range, utc_today
from api.formats import Format, wanted_format
from api.models import CustomerList, Latencies, Statistics, Status, StatusCodes, StoreStatus, problem
from api.paging import MAX_CURSOR, Order, Ranking, Sort
from api.percentiles import PATTERN, read_percentiles
from api.questions import CustomersQuestion, LatenciesQuestion, StatisticsQuestion, StatusCodesQuestion, unknown
from api.status import store_status
from storage.contract import Storage

MAX_PAGE = 500
MAX_SEARCH = 256

_UNKNOWN: dict[int | str, dict[str, Any]] = {404: problem("The customer is unknown.", unknown("cust_1"))}
_AWAY: dict[int | str, dict[str, Any]] = {
    503: problem(
        "The store does not answer, or refuses to.", "InfluxDB cannot be reached: All connection attempts failed"
    )
}
_ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {
        # A header row, and a row for each element of the list; the rest is in headers, or left out.
        "content": {"text/csv": {"schema": {"type": "string"}}},
        "headers": {
            "ETag": {
                "description": "Weak: it changes when the store's ledger does, and not with `complete_through` alone. "
                "In `If-None-Match` it saves the same answer.",
                "schema": {"type": "string"},
            },
            "Cache-Control": {"description": "`no-cache`: ask each time.", "schema": {"type": "string"}},
            "Vary": {"description": "`Accept`: it chooses between JSON and CSV.", "schema": {"type": "string"}},
            "Complete-Through": {
                "description": "With CSV: `complete_through`; left out where it is null.",
                "schema": {"type": "string"},
            },
            "Link": {
                "description": 'With CSV: the next page, `rel="next"`; left out where there is none.',
                "schema": {"type": "string"},
            },
        },
    },
    304: {"description": "Nothing but `complete_through` has changed since the answer that `If-None-Match` names."},
    **_AWAY,
}


class _Route(APIRoute):
    """Answers a request that is known without reading its parameters again."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        read = super().get_route_handler()

        async def handle(request: Request) -> Response:
            answers: Answers = request.app.state.answers
            question = answers.known(request, utc_today())
            return await (answers.respond(request, question) if question is not None else read(request))

        return handle


router = APIRouter(route_class=_Route)


async def _storage(request: Request) -> Storage:
    storage: Storage = request.app.state.storage
    return storage


async def _answers(request: Request) -> Answers:
    answers: Answers = request.app.state.answers
    return answers


async def _dates(
    request: Request,
    from_date: Annotated[
        IsoDate | None,
        Query(
            description="First UTC day, inclusive; the first that is kept where it is left out or before that. "
            "Not in the future.",
            openapi_examples={"all": {"summary": "All that is kept", "value": "1970-01-01"}},
        ),
    ] = None,
    to_date: Annotated[
        IsoDate | None,
        Query(description="Last UTC day, inclusive; today where it is left out or later. Not before `from_date`."),
    ] = None,
) -> DateRange:
    request.state.today = today = utc_today()
    return date_range(from_date, to_date, today, request.app.state.retention_days)


async def _format(
    request: Request,
    format: Annotated[
        Format | None,
        Query(description="`csv`: the list alone, as `Accept: text/csv` asks for too. Outranks `Accept`."),
    ] = None,
) -> Format:
    return format or wanted_format(request)


async def _percentiles(
    percentiles: Annotated[
        str | None,
        Query(
            description="Further percentiles of the latencies: up to 20 numbers above 0 and up to 100, with up to 3 "
            "decimals, separated by commas.",
            json_schema_extra={"pattern": PATTERN},
            openapi_examples={"several": {"summary": "Several", "value": "50,90,95,99,99.9"}},
        ),
    ] = None,
) -> tuple[int, ...]:
    return read_percentiles(percentiles) if percentiles is not None else ()


Store = Annotated[Storage, Depends(_storage)]
Answering = Annotated[Answers, Depends(_answers)]
Dates = Annotated[DateRange, Depends(_dates)]
AnswerFormat = Annotated[Format, Depends(_format)]
AskedPercentiles = Annotated[tuple[int, ...], Depends(_percentiles)]
OneOrAll = Annotated[
    str | None, Query(min_length=1, description="Of this customer alone; any id can be asked for in this way.")
]
OneInPath = Annotated[
    str,
    Path(
        min_length=1,
        description="The customer, percent-encoded; slashes may stay as they are. An id that paths cannot carry, such "
        "as `..`, can be asked for with `customer_id=` in the query, at the same path without it.",
        openapi_examples={"customer": {"summary": "A customer", "value": "cust_1"}},
    ),
]


@router.get(
    "/customers",
    tags=["statistics"],
    summary="The customers and their totals",
    response_model=CustomerList,
    responses=_ANSWERED,
)
async def customers(
    request: Request,
    answers: Answering,
    dates: Dates,
    format: AnswerFormat,
    sort: Annotated[
        Sort,
        Query(
            description="What to sort by: `total`, `failed` (requests), `uptime`, `average`, `median`, `p99` (latency) "
            "or the id. Equal ones are in the order of their id."
        ),
    ] = "total",
    order: Annotated[Order, Query(description="Ascending or descending.")] = "desc",
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many customers at most.")] = 100,
    cursor: Annotated[
        str | None,
        Query(
            max_length=MAX_CURSOR,
            description="The `next_cursor` of the page before, asked for with the same `sort`, `order` and `search`.",
        ),
    ] = None,
    search: Annotated[
        str | None,
        Query(
            min_length=1, max_length=MAX_SEARCH, description="Only customers whose id has this in it, in whatever case."
        ),
    ] = None,
) -> Response:
    """Every customer that has requests in the range, with the figures over the range, sorted and in pages."""
    ranking = Ranking(sort, order, search.casefold() if search is not None else None)
    after = ranking.read_cursor(cursor) if cursor is not None else None
    return await answers.respond_anew(request, CustomersQuestion(format, dates, ranking, after, limit))


@router.get(
    "/customers/stats",
    tags=["statistics"],
    summary="The statistics of all customers together, or of any one",
    response_model=Statistics,
    responses={**_UNKNOWN, **_ANSWERED},
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
    responses={**_UNKNOWN, **_ANSWERED},
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
    responses={**_UNKNOWN, **_ANSWERED},
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
    responses={**_UNKNOWN, **_ANSWERED},
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
    responses={**_UNKNOWN, **_ANSWERED},
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
    responses={**_UNKNOWN, **_ANSWERED},
)
async def customer_latencies(
    request: Request, answers: Answering, dates: Dates, format: AnswerFormat, customer_id: OneInPath
) -> Response:
    """How many requests of the range took how long, in bins that suit a logarithmic scale."""
    return await latencies(request, answers, dates, format, customer_id)


@router.get("/status", tags=["service"], summary="How far the store is in each log", responses=_AWAY)
async def status(answers: Answering) -> StoreStatus:
    """What was read, stored and rejected of each log, what is not stored yet, and when the processor was last seen."""
    return store_status(await answers.progress(), time.time())


@router.get("/health", tags=["service"], summary="Whether the api answers")
async def health() -> Status:
    """Answers as long as the process does, whatever the store does."""
    return Status()


@router.get("/ready", tags=["service"], summary="Whether the store answers", responses=_AWAY)
async def ready(storage: Store) -> Status:
    """Answers once questions can be answered."""
    await storage.ping()
    return Status()
