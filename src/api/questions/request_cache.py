"""Questions that were asked before: to route a request and to read its parameters again would take longer than all the
rest of its answer."""

from collections import OrderedDict
from datetime import date
from typing import NamedTuple

from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.questions.dates import utc_today
from api.questions.responding import Answers
from api.questions.statistics import Question
from storage.errors import StorageError

_REQUESTS_KNOWN = 10_000
_CHARACTERS_KNOWN = 300

_Request = tuple[str, bytes, bytes, date]
"""What a question depends on: path, query, `Accept`, today."""


class _Known(NamedTuple):
    question: Question
    route: object


class KnownQuestions:
    """Those that were asked last."""

    def __init__(self) -> None:
        self._known: OrderedDict[_Request, _Known] = OrderedDict()

    def get(self, scope: Scope) -> _Known | None:
        """The question of a request, and its route, if it was asked before on the same day."""
        return self._known.get(_key(scope))

    def keep(self, request: Request, question: Question) -> None:
        """Know the question of a request from here on, if it is short."""
        scope = request.scope
        if len(scope["path"]) + len(scope["query_string"]) > _CHARACTERS_KNOWN:
            return
        self._known[_key(scope)] = _Known(question, scope["route"])
        if len(self._known) > _REQUESTS_KNOWN:
            self._known.popitem(last=False)


class AnswerKnown:
    """Middleware that says on which day a request is read (`request.state.today`), and answers known questions itself;
    what fails is left to the routes, which say why."""

    def __init__(self, app: ASGIApp, known: KnownQuestions, answers: Answers) -> None:
        self._app = app
        self._known = known
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["today"] = utc_today()
        known = self._known.get(scope) if scope["method"] == "GET" else None
        if known is not None:
            try:
                response = await self._answers.respond(Request(scope), known.question)
            except (StorageError, HTTPException):
                pass
            else:
                # For whoever counts requests by their route.
                scope["route"] = known.route
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _key(scope: Scope) -> _Request:
    accepted = b",".join([value for name, value in scope["headers"] if name == b"accept"])
    return scope["path"], scope["query_string"], accepted, scope["state"]["today"]
