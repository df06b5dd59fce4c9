"""What requests share: a question that is asked once for all who wait for it, and answers that were built before."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sized
from itertools import filterfalse
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

    def __init__(self, ask: Callable[[], Awaitable[Result]]) -> None:
        self._ask = ask
        self._waiting: list[asyncio.Future[Result]] = []
        self._asking: asyncio.Task[None] | None = None

    async def __call__(self) -> Result:
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_for_all())
        return await answer

    async def _ask_for_all(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            began = time.monotonic()
            asked = asyncio.ensure_future(self._ask())
            await asyncio.wait([asked])
            took = time.monotonic() - began
            error = asked.exception()
            # Without those who have left.
            for answer in filterfalse(asyncio.Future.done, waiting):
                if error is not None:
                    answer.set_exception(error)
                else:
                    answer.set_result(asked.result())
            if self._waiting:
                await asyncio.sleep(min(took, _LONGEST_PAUSE_SECONDS))


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
