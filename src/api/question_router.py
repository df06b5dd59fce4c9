"""The routers: what all routes have in common."""

from collections.abc import Callable, Coroutine
from operator import attrgetter
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.routing import APIRoute

MAX_URL = 8_000
"""Characters of path and query: three times as many as the longest that make sense."""


class _Route(APIRoute):
    """Takes no request that is too long."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        read = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if len(request.scope["raw_path"]) + len(request.scope["query_string"]) > MAX_URL:
                raise HTTPException(414, f"The path and the query are longer than {MAX_URL} characters")
            return await read(request)

        return handle


def question_router() -> APIRouter:
    """A router, of which an operation is called as its function is."""
    return APIRouter(route_class=_Route, generate_unique_id_function=attrgetter("name"))
