"""Answers requests: with what was built before, as long as the store's ledger has not moved since."""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from hashlib import blake2b

from fastapi import Request, Response
from pydantic_core import to_json

from api.answers import Answer
from api.sharing import BuiltAnswers, SharedQuestion
from api.status import Progress, progress
from storage.contract import Storage

_MAX_BYTES = 32 << 20
_QUOTED = re.compile(r'"[^"]*"')

Question = tuple[object, ...]
"""All that an answer depends on but the store's content."""


class Answers:
    """The answers from one store."""

    def __init__(self, storage: Storage) -> None:
        self.progress: Callable[[], Awaitable[Progress]] = SharedQuestion(partial(progress, storage))
        """How far the store is; asked after the call, together for all who wait."""
        self._built = BuiltAnswers(_MAX_BYTES)

    async def respond(self, request: Request, question: Question, build: Callable[[], Awaitable[Answer]]) -> Response:
        """The response to a question, which `build` answers anew where the ledger has moved.

        The store is asked how far it is each time: what was built since its ledger is where it is now has all that the
        ledger has. 304 where the client has that answer.
        """
        now = await self.progress()
        answer = await self._built.get((question, now.ledger_hash), build)
        # Weak: of two answers with the same one, only `complete_through` can differ.
        tag = f'"{blake2b(repr(question).encode(), key=now.ledger_hash, digest_size=16).hexdigest()}"'
        headers = {"ETag": f"W/{tag}", "Cache-Control": "no-cache"}
        if _is_held(request, tag):
            return Response(status_code=304, headers=headers)
        body = b"".join((answer.before, to_json(now.complete_through), answer.after))
        return Response(body, media_type="application/json", headers=headers)


def _is_held(request: Request, tag: str) -> bool:
    """Whether the client has the answer with this tag (RFC 9110, If-None-Match)."""
    held = ",".join(request.headers.getlist("If-None-Match"))
    return held == "*" or tag in _QUOTED.findall(held)
