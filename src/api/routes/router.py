"""What all routes have in common: their checks of a request, before its parameters are parsed."""

from collections.abc import Callable, Coroutine
from operator import attrgetter
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.questions.validation import validation_error

MAX_URL = 8_000
"""Characters of path and query: three times as many as the longest sensible question has."""


class _Route(APIRoute):
    """Rejects long URLs, and parameters that are unknown or come twice. With one ignored, the answer would be wrong."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        parse_and_answer = super().get_route_handler()
        known = _query_parameters(self.dependant)

        async def handle(request: Request) -> Response:
            if len(request.scope["raw_path"]) + len(request.scope["query_string"]) > MAX_URL:
                raise HTTPException(414, f"The path and the query are longer than {MAX_URL} characters")
            names = [name for name, _ in request.query_params.multi_items()]
            for name in set(names) - known:
                allowed = f"allowed are {', '.join(sorted(known))}" if known else "there are none"
                raise validation_error(name, request.query_params[name], f"There is no such parameter: {allowed}")
            for name in known:
                if names.count(name) > 1:
                    values = ", ".join(request.query_params.getlist(name))
                    raise validation_error(name, values, "The parameter comes more than once: give it one value")
            return await parse_and_answer(request)

        return handle


def _query_parameters(dependant: Dependant) -> set[str]:
    """The names of all parameters that the query may have."""
    names = {parameter.alias for parameter in dependant.query_params}
    return names.union(*map(_query_parameters, dependant.dependencies))


def new_router() -> APIRouter:
    """A router whose operations have the names of their functions."""
    return APIRouter(route_class=_Route, generate_unique_id_function=attrgetter("name"))
