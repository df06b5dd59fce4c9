"""A cache that builds a missing value once for all callers that want it."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable, Sized
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value", bound=Sized)


@dataclass(slots=True, eq=False)
class _Build(Generic[Value]):
    task: asyncio.Task[Value]
    callers: int = 0
    """Callers that were not cancelled. One whose time is over may ask again, and counts as well."""


class LoadingCache(Generic[Value]):
    """Keeps the most recently used values up to a total size."""

    def __init__(self, max_bytes: int, max_seconds: float) -> None:
        """`max_bytes`: bound of the sum of all `len(value)`. `max_seconds`: how long a caller waits for a value."""
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._bytes = 0
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._builds: dict[Hashable, _Build[Value]] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    async def get(self, key: Hashable, build: Callable[[], Coroutine[None, None, Value]]) -> Value:
        """The value of `key`, built if it is missing.

        asyncio.TimeoutError if the build takes too long. The build goes on, and a later caller gets its value. If all
        callers are cancelled before that, so is the build.
        """
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
            return value
        if key not in self._builds:
            task = asyncio.create_task(self._build(key, build))
            # If no caller waits any more, asyncio would log its error with a traceback.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._builds[key] = _Build(task)
        under_way = self._builds[key]
        under_way.callers += 1
        try:
            await asyncio.wait([under_way.task], timeout=self._max_seconds)
        except asyncio.CancelledError:
            under_way.callers -= 1
            if not under_way.callers and self._builds.get(key) is under_way:
                # The next caller begins anew.
                del self._builds[key]
                under_way.task.cancel()
            raise
        if not under_way.task.done():
            raise asyncio.TimeoutError
        return under_way.task.result()

    async def _build(self, key: Hashable, build: Callable[[], Coroutine[None, None, Value]]) -> Value:
        try:
            value = await build()
        finally:
            under_way = self._builds.get(key)
            if under_way is not None and under_way.task is asyncio.current_task():
                del self._builds[key]
        self._values[key] = value
        self._bytes += len(value)
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._values.popitem(last=False)[1])
        return value
