"""What requests share: a question that is asked once for all who wait for it, and answers that were built before."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from api.answers import Answer

Result = TypeVar("Result")


class SharedQuestion(Generic[Result]):
    """Asks one question at a time, for all who wait. An answer goes only to those who came before its question began,
    so nobody gets an older one than by asking alone."""

    def __init__(self, ask: Callable[[], Awaitable[Result]]) -> None:
        self._ask = ask
        self._under_way: asyncio.Task[Result] | None = None
        self._next: asyncio.Task[Result] | None = None

    async def __call__(self) -> Result:
        if self._next is None:
            self._next = asyncio.create_task(self._ask_after(self._under_way))
        # One who leaves does not take the answer from the others.
        return await asyncio.shield(self._next)

    async def _ask_after(self, before: "asyncio.Task[Result] | None") -> Result:
        if before is not None:
            await asyncio.wait([before])
        self._under_way, self._next = self._next, None
        return await self._ask()


class BuiltAnswers:
    """Answers by key, those that were asked for last. One that is being built is waited for by all who want it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._built: OrderedDict[Hashable, Answer] = OrderedDict()
        self._building: dict[Hashable, asyncio.Task[Answer]] = {}

    async def get(self, key: Hashable, build: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer to `key`, built where it is not there."""
        if key in self._built:
            self._built.move_to_end(key)
            return self._built[key]
        if key not in self._building:
            self._building[key] = asyncio.create_task(self._build(key, build))
        return await asyncio.shield(self._building[key])

    async def _build(self, key: Hashable, build: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            answer = await build()
        finally:
            del self._building[key]
        self._built[key] = answer
        self._bytes += answer.size
        while self._bytes > self._max_bytes:
            self._bytes -= self._built.popitem(last=False)[1].size
        return answer
