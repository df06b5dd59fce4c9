"""What requests share: a question that is asked once for all who wait for it, and answers that were built before."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Sized
from typing import Generic, TypeVar

Result = TypeVar("Result")
Value = TypeVar("Value", bound=Sized)

_LONGEST_PAUSE_SECONDS = 0.01


class SharedQuestion(Generic[Result]):
    """Asks one question at a time, for all who wait. An answer goes only to those who came before its question began,
    so nobody gets an older one than by asking alone.

    Where requests wait for a question while another one is under way, it begins as long after that one ended as that
    one took: meanwhile those are answered, and more come to share it.
    """

    def __init__(self, ask: Callable[[], Coroutine[None, None, Result]]) -> None:
        self._ask = ask
        self._under_way: asyncio.Task[Result] | None = None
        self._next: asyncio.Task[Result] | None = None
        self._took = 0.0

    async def __call__(self) -> Result:
        if self._next is None:
            self._next = asyncio.create_task(self._ask_after(self._under_way))
        # One who leaves does not take the answer from the others.
        return await asyncio.shield(self._next)

    async def _ask_after(self, before: "asyncio.Task[Result] | None") -> Result:
        if before is not None and not before.done():
            await asyncio.wait([before])
            await asyncio.sleep(self._took)
        self._under_way, self._next = self._next, None
        began = time.monotonic()
        try:
            return await self._ask()
        finally:
            self._took = min(time.monotonic() - began, _LONGEST_PAUSE_SECONDS)


class Built(Generic[Value]):
    """What was built, by key, as much as was asked for last. What is being built is waited for by all who want it."""

    def __init__(self, max_bytes: int, max_seconds: float) -> None:
        """`max_bytes`: how much of it is kept, by the values' lengths. `max_seconds`: how long to wait for a value."""
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._bytes = 0
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._building: dict[Hashable, asyncio.Task[Value]] = {}

    async def get(self, key: Hashable, build: Callable[[], Coroutine[None, None, Value]]) -> Value:
        """The value of `key`, built where it is not there. asyncio.TimeoutError where that takes too long; it is built
        all the same, for whoever asks later."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
            return value
        if key not in self._building:
            self._building[key] = asyncio.create_task(self._build(key, build))
        building = self._building[key]
        await asyncio.wait([building], timeout=self._max_seconds)
        if not building.done():
            raise asyncio.TimeoutError
        return building.result()

    async def _build(self, key: Hashable, build: Callable[[], Coroutine[None, None, Value]]) -> Value:
        try:
            value = await build()
        finally:
            del self._building[key]
        self._values[key] = value
        self._bytes += len(value)
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._values.popitem(last=False)[1])
        return value
