"""What a request can say: parameters of its query and path, read and checked; and what answers it."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response
from fastapi.openapi.models import Example

from api.questions.dates import DateRange, IsoDate, date_range
from api.questions.formats import Format, wanted_format
from api.questions.paging import MAX_CURSOR, Order, Place, Ranking, Sort
from api.questions.percentiles import PATTERN, read_percentiles
from api.questions.responding import Answers
from api.questions.statistics import Question
from storage.contract import Storage

MAX_PAGE = 500
MAX_CUSTOMER_ID = 256
"""Characters. A longer one is in no log."""


async def _storage(request: Request) -> Storage:
    storage: Storage = request.app.state.storage
    return storage


async def _answers(request: Request) -> Answers:
    answers: Answers = request.app.state.answers
    return answers


async def _respond(request: Request) -> Callable[[Question], Awaitable[Response]]:
    answers, known = request.app.state.answers, request.app.state.known

    async def respond(question: Question) -> Response:
        response: Response = await answers.respond(request, question)
        known.keep(request, question)
        return response

    return respond


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
    return date_range(from_date, to_date, request.state.today, request.app.state.retention_days)


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


async def _page(
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
            min_length=1,
            max_length=MAX_CUSTOMER_ID,
            description="Only customers whose id has this in it, in whatever case.",
        ),
    ] = None,
) -> tuple[Ranking, Place | None, int]:
    ranking = Ranking(sort, order, search.casefold() if search is not None else None)
    return ranking, ranking.read_cursor(cursor) if cursor is not None else None, limit


async def _one_or_all(
    customer_id: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=MAX_CUSTOMER_ID,
            description="Of this customer alone; any id can be asked for in this way.",
        ),
    ] = None,
) -> str | None:
    return customer_id


Store = Annotated[Storage, Depends(_storage)]
Answering = Annotated[Answers, Depends(_answers)]
Respond = Annotated[Callable[[Question], Awaitable[Response]], Depends(_respond)]
"""Gives the response to a question; the same request is known from then on."""
Dates = Annotated[DateRange, Depends(_dates)]
AnswerFormat = Annotated[Format, Depends(_format)]
AskedPercentiles = Annotated[tuple[int, ...], Depends(_percentiles)]
AskedPage = Annotated[tuple[Ranking, Place | None, int], Depends(_page)]
OneOrAll = Annotated[str | None, Depends(_one_or_all)]
_ONE = {"customer": Example(summary="A customer", value="cust_1")}
OneInQuery = Annotated[
    str,
    Query(
        min_length=1,
        max_length=MAX_CUSTOMER_ID,
        description="The customer; any id can be asked for in this way.",
        openapi_examples=_ONE,
    ),
]
OneInPath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=MAX_CUSTOMER_ID,
        description="The customer, percent-encoded; slashes may stay as they are. An id that paths cannot carry, such "
        "as `..`, can be asked for with `customer_id=` in the query, at the same path without it.",
        openapi_examples=_ONE,
    ),
]
