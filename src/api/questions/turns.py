"""Turns of questions: of those that take long a few are answered at once, and they end when their client leaves."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from fastapi import HTTPException, Request

from api.http.errors import RETRY_AFTER_SECONDS

Answer = TypeVar("Answer")


class ClientLeft(Exception):
    """The client has closed its connection before it had its answer."""


class Turns:
    """Callers have turns one after the other, however many questions each of them has."""

    def __init__(self, at_once: int, max_waiting: int) -> None:
        self._free = at_once
        self._max_waiting = max_waiting
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By caller, the one whose turn is next first: the questions that wait, the first one first."""

    @property
    def are_taken(self) -> bool:
        """Whether the next question has to wait."""
        return not self._free

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """Waits for a turn, and holds it. HTTPException 503 if too many wait, and no other caller has more of them."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(caller)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, caller: str) -> None:
        if sum(map(len, self._waiting.values())) >= self._max_waiting:
            self._make_room(caller)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._remove(caller, turn)
            elif turn.exception() is None:
                self._pass_on()
            raise

    def _make_room(self, caller: str) -> None:
        """Refuse the latest question of the caller that has most."""
        most = max(self._waiting, key=lambda one: len(self._waiting[one]))
        detail = f"{self._max_waiting} questions that take long are waiting already: ask again later"
        too_many = HTTPException(503, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        if len(self._waiting[most]) <= len(self._waiting.get(caller, ())):
            raise too_many
        refused = self._waiting[most][-1]
        self._remove(most, refused)
        if not refused.done():
            refused.set_exception(too_many)

    def _remove(self, caller: str, turn: "asyncio.Future[None]") -> None:
        # One that was refused, or whose turn it was, is gone already.
        with suppress(KeyError, ValueError):
            self._waiting[caller].remove(turn)
            if not self._waiting[caller]:
                del self._waiting[caller]

    def _pass_on(self) -> None:
        """Give a turn that has ended to the next caller, who is the last one then."""
        while self._waiting:
            caller = next(iter(self._waiting))
            questions = self._waiting.pop(caller)
            turn = questions.popleft()
            if questions:
                self._waiting[caller] = questions
            # The client of a cancelled one has left.
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


async def while_connected(request: Request, answer: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer. It is cancelled if the client leaves: then ClientLeft."""
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        raise ClientLeft
    finally:
        answering.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
