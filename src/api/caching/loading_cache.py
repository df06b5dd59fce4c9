"""A cache that builds a missing value once for all callers that want it."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Sized
from typing import Generic, TypeVar

Value = TypeVar("Value", bound=Sized)


class LoadingCache(Generic[Value]):
    """Keeps the most recently used values up to a total size."""

    def __init__(self, max_bytes: int, max_seconds: float) -> None:
        """`max_bytes`: bound of the sum of all `len(value)`. `max_seconds`: how long a caller waits for a value."""
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._bytes = 0
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._builds: dict[Hashable, asyncio.Task[Value]] = {}

    async def get(self, key: Hashable, build: Callable[[], Coroutine[None, None, Value]]) -> Value:
        """The value of `key`, built if it is missing.

        asyncio.TimeoutError if the build takes too long. The build goes on, and a later caller gets its value.
        """
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
            return value
        if key not in self._builds:
            self._builds[key] = asyncio.create_task(self._build(key, build))
        task = self._builds[key]
        await asyncio.wait([task], timeout=self._max_seconds)
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()

    async def _build(self, key: Hashable, build: Callable[[], Coroutine[None, None, Value]]) -> Value:
        try:
            value = await build()
        finally:
            del self._builds[key]
        self._values[key] = value
        self._bytes += len(value)
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._values.popitem(last=False)[1])
        return value
