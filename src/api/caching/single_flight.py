"""Single flight: callers that arrive while a call is under way share the next call instead of making one each."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import filterfalse
from typing import Generic, TypeVar

Result = TypeVar("Result")

# The longest pause between two calls, in seconds.
_MAX_PAUSE_SECONDS = 0.01


class SingleFlight(Generic[Result]):
    """Runs one call at a time on behalf of all callers.

    A caller only receives the result of a call that began after the caller arrived. So no result is older than one the
    caller would have got alone. When callers wait for the next call, it begins after a pause as long as the call before
    took, so that more callers can join and the event loop can serve the ones that have their result.
    """

    def __init__(self, call: Callable[[], Awaitable[Result]]) -> None:
        self._call = call
        self._waiting: list[asyncio.Future[Result]] = []
        self._runner: asyncio.Task[None] | None = None

    async def __call__(self) -> Result:
        """The result of the next call, or the exception that it raises."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(result)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await result

    async def _run(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            began = time.monotonic()
            call = asyncio.ensure_future(self._call())
            await asyncio.wait([call])
            took = time.monotonic() - began
            error = call.exception()
            # Cancelled callers are done already.
            for result in filterfalse(asyncio.Future.done, waiting):
                if error is not None:
                    result.set_exception(error)
                else:
                    result.set_result(call.result())
            if self._waiting:
                await asyncio.sleep(min(took, _MAX_PAUSE_SECONDS))
