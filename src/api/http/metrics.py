"""What the api tells Prometheus. Counters begin with the process; names and units as in
https://prometheus.io/docs/practices/naming/"""

import time
from functools import lru_cache

from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_NO_ROUTE = "other"
_ENDLESS = "/events"

_REQUESTS = Counter("api_requests", "Requests that were answered, by route and HTTP status.", ["route", "status"])
_REQUEST_SECONDS = Histogram("api_request_seconds", "How long an answer took.", ["route"], buckets=_SECONDS)
_ANSWERS = Counter(
    "api_answers",
    "Answers: built from the store; kept, as they were built before, or just then for somebody else; or not_modified, "
    "since the client had them.",
    ["how"],
)
STORE_SECONDS = Histogram(
    "api_store_seconds",
    "How long it took to ask the store how far it is (progress), and to build an answer from it (answer).",
    ["what"],
    buckets=_SECONDS,
)
STORE_ERRORS = Counter("api_store_errors", "Requests that were not answered because of the store, by why.", ["why"])
BUILT, KEPT, NOT_MODIFIED = map(_ANSWERS.labels, ("built", "kept", "not_modified"))
for _what in ("progress", "answer"):
    STORE_SECONDS.labels(_what)
for _why in ("unavailable", "refused"):
    STORE_ERRORS.labels(_why)


class MeasureRequests:
    """Middleware that counts requests and measures how long they take."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            # The router has put it there; what has no route could be any text.
            route = getattr(scope.get("route"), "path", _NO_ROUTE)
            requests, seconds = _of_route(route, status)
            requests.inc()
            # How long somebody listens says nothing of how fast the api is.
            if route != _ENDLESS:
                seconds.observe(time.perf_counter() - began)


# To look them up by their labels takes longer than to count.
@lru_cache
def _of_route(route: str, status: int) -> tuple[Counter, Histogram]:
    return _REQUESTS.labels(route, status), _REQUEST_SECONDS.labels(route)


async def metrics() -> Response:
    """The metrics of this process."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)
