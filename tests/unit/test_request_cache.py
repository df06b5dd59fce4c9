"""The request cache: what is hidden from a caller is not answered faster because others have asked for it."""

from datetime import date
from typing import Any

import pytest
from fastapi import Request
from starlette.types import Receive, Scope, Send

from api.questions.dates import DateRange
from api.questions.question import Question
from api.questions.statistics import StatisticsQuestion
from api.routes.request_cache import RequestCache
from api.utc import utc_now

QUESTION = StatisticsQuestion(
    "json", DateRange(date(2026, 1, 1), date(2026, 1, 1), range(0)), "cust_1", (), False, None
)


class OneSees:
    """A responder of whose callers one sees the answers."""

    def may_see(self, scope: Scope, question: Question) -> bool:
        return bool(scope["state"]["caller"] == "one")

    async def respond(self, request: Request, question: Question) -> Any:
        async def response(scope: Scope, receive: Receive, send: Send) -> None:
            scope["answered_by"] = "cache"

        return response


@pytest.mark.parametrize(("caller", "answered_by"), [("one", "cache"), ("other", "router")])
async def test_what_a_caller_may_not_see_goes_the_long_way(caller: str, answered_by: str) -> None:
    async def router(scope: Scope, receive: Receive, send: Send) -> None:
        scope["answered_by"] = "router"

    responder: Any = OneSees()
    cache = RequestCache(router, responder)

    def request() -> Scope:
        return {
            "type": "http",
            "method": "GET",
            "path": "/customers/cust_1/stats",
            "query_string": b"",
            "headers": [],
            "route": None,
            "state": {"caller": caller, "now": utc_now().timestamp()},
        }

    cache.put(Request(request()), QUESTION)
    asked = request()
    nobody: Any = None
    await cache(asked, nobody, nobody)
    assert asked["answered_by"] == answered_by
