"""How a route has its question answered."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request, Response

from api.questions.question import Question


async def _respond(request: Request) -> Callable[[Question], Awaitable[Response]]:
    state = request.app.state

    async def respond(question: Question) -> Response:
        response: Response = await state.responder.respond(request, question)
        state.request_cache.put(request, question)
        return response

    return respond


Respond = Annotated[Callable[[Question], Awaitable[Response]], Depends(_respond)]
"""Responds to the question of a request, and puts the question into the request cache."""
