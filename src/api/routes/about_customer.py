"""Questions about one customer have two routes each, because a path cannot carry every id."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Response

from api.routes.documentation import UNKNOWN_CUSTOMER, listing
from api.routes.parameters import CustomerInPath, CustomerOrAll
from api.schemas.listing import Listing

_Endpoint = Callable[..., Awaitable[Response]]


def about_customer(
    router: APIRouter, what: str, model: type[Listing], summary: str
) -> Callable[[_Endpoint], _Endpoint]:
    """Decorator: routes `/customers/{what}`, with `customer_id` in the query, and `/customers/{customer_id}/{what}` to
    the function.

    `summary`: `{}` stands for the customers that the answer can be about.
    """

    def add(endpoint: _Endpoint) -> _Endpoint:
        name = endpoint.__name__
        is_of_all = inspect.signature(endpoint).parameters["customer_id"].annotation == CustomerOrAll
        subject = "all customers together, or of any one" if is_of_all else "any one customer"
        for path, function, operation, of in (
            (f"/customers/{what}", endpoint, name, subject),
            (f"/customers/{{customer_id:path}}/{what}", _in_path(endpoint), f"customer_{name}", "one customer"),
        ):
            router.add_api_route(
                path,
                function,
                name=operation,
                tags=["statistics"],
                summary=summary.format(of),
                description=endpoint.__doc__,
                response_model=model,
                responses={**UNKNOWN_CUSTOMER, **listing(operation)},
            )
        return endpoint

    return add


def _in_path(endpoint: _Endpoint) -> _Endpoint:
    """The function with its `customer_id` in the path."""

    async def of_one(**parameters: Any) -> Response:
        return await endpoint(**parameters)

    signature = inspect.signature(endpoint)
    parameters = {**signature.parameters}
    parameters["customer_id"] = parameters["customer_id"].replace(annotation=CustomerInPath)
    # FastAPI reads the parameters from the signature.
    of_one.__signature__ = signature.replace(parameters=list(parameters.values()))  # type: ignore[attr-defined]
    return of_one
