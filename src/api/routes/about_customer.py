"""The routes to what can be asked about a customer. Each question has two, because not every id can be in a path."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Response

from api.questions.parameters import OneInPath, OneOrAll
from api.routes.documentation import UNKNOWN, listing
from api.schemas.statistics import Listing

_Answer = Callable[..., Awaitable[Response]]


def about_customer(router: APIRouter, what: str, model: type[Listing], summary: str) -> Callable[[_Answer], _Answer]:
    """Have a function answer `/customers/{what}`, where its `customer_id` is in the query, and
    `/customers/{customer_id}/{what}`. `{}` in the summary: whose figures these are."""

    def add(answer: _Answer) -> _Answer:
        name = answer.__name__
        is_of_all = inspect.signature(answer).parameters["customer_id"].annotation == OneOrAll
        whose = "all customers together, or of any one" if is_of_all else "any one customer"
        for path, function, operation, of in (
            (f"/customers/{what}", answer, name, whose),
            (f"/customers/{{customer_id:path}}/{what}", _in_path(answer), f"customer_{name}", "one customer"),
        ):
            router.add_api_route(
                path,
                function,
                name=operation,
                tags=["statistics"],
                summary=summary.format(of),
                description=answer.__doc__,
                response_model=model,
                responses={**UNKNOWN, **listing(operation)},
            )
        return answer

    return add


def _in_path(answer: _Answer) -> _Answer:
    """The same function, with its `customer_id` in the path."""

    async def of_one(**asked: Any) -> Response:
        return await answer(**asked)

    signature = inspect.signature(answer)
    parameters = {**signature.parameters}
    parameters["customer_id"] = parameters["customer_id"].replace(annotation=OneInPath)
    # FastAPI reads from this what to give to the function.
    of_one.__signature__ = signature.replace(parameters=list(parameters.values()))  # type: ignore[attr-defined]
    return of_one
