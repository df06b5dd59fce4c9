"""Turns of questions: of those that take long a few are answered at once, and they end when their client leaves."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import HTTPException, Request

from api.http.errors import RETRY_AFTER_SECONDS

Answer = TypeVar("Answer")


class ClientLeft(Exception):
    """The client has closed its connection before it had its answer."""


class Turns:
    def __init__(self, at_once: int, max_waiting: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._max_waiting = max_waiting
        self._waiting = 0

    @property
    def are_taken(self) -> bool:
        """Whether the next question has to wait."""
        return self._free.locked()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for a turn, and holds it. HTTPException 503 if too many wait already."""
        if self._waiting >= self._max_waiting:
            detail = f"{self._max_waiting} questions that take long are waiting already: ask again later"
            raise HTTPException(503, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()


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
