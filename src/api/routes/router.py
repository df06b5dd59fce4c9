"""The routers: what all routes have in common."""

from collections.abc import Callable, Coroutine
from operator import attrgetter
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.questions.validation import refusal

MAX_URL = 8_000
"""Characters of path and query: three times as many as the longest that make sense."""


class _Route(APIRoute):
    """Takes no request that is too long, or asks for what there is not: a name with a mistake in it would be left out,
    and the answer be one to another question."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        read = super().get_route_handler()
        known = _parameters(self.dependant)

        async def handle(request: Request) -> Response:
            if len(request.scope["raw_path"]) + len(request.scope["query_string"]) > MAX_URL:
                raise HTTPException(414, f"The path and the query are longer than {MAX_URL} characters")
            for name in request.query_params.keys() - known:
                allowed = f"allowed are {', '.join(sorted(known))}" if known else "there are none"
                raise refusal(name, request.query_params[name], f"There is no such parameter: {allowed}")
            return await read(request)

        return handle


def _parameters(dependant: Dependant) -> set[str]:
    """The names of all that can be in the query."""
    names = {parameter.alias for parameter in dependant.query_params}
    return names.union(*map(_parameters, dependant.dependencies))


def question_router() -> APIRouter:
    """A router, of which an operation is called as its function is."""
    return APIRouter(route_class=_Route, generate_unique_id_function=attrgetter("name"))
