"""The request cache: the question of a request that was made before, so that its parameters need no parsing."""

from collections import OrderedDict
from datetime import date

from fastapi import Request
from starlette.types import Scope

from api.questions.question import Question

_MAX_REQUESTS = 10_000
# Longer requests are not cached: characters of path and query.
_MAX_CHARACTERS = 300

_Key = tuple[str, bytes, bytes, date]
"""All that a question depends on: path, query, `Accept`, today."""


class RequestCache:
    """The questions of the most recent distinct requests."""

    def __init__(self) -> None:
        self._questions: OrderedDict[_Key, Question] = OrderedDict()

    def get(self, request: Request) -> Question | None:
        """The question of this request, if it was put today."""
        return self._questions.get(_key(request.scope))

    def put(self, request: Request, question: Question) -> None:
        """Cache the question of a request, unless the request is long."""
        if len(request.scope["path"]) + len(request.scope["query_string"]) > _MAX_CHARACTERS:
            return
        self._questions[_key(request.scope)] = question
        if len(self._questions) > _MAX_REQUESTS:
            self._questions.popitem(last=False)


def _key(scope: Scope) -> _Key:
    accepted = b",".join([value for name, value in scope["headers"] if name == b"accept"])
    return scope["path"], scope["query_string"], accepted, scope["state"]["today"]
