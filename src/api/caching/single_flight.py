"""Single flight: callers that arrive while a call is under way share the next call instead of making one each."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import filterfalse
from typing import Generic, TypeVar

Result = TypeVar("Result")


class SingleFlight(Generic[Result]):
    """Runs one call at a time on behalf of all callers.

    A caller only receives the result of a call that began after the caller arrived. So no result is older than one the
    caller would have got alone.
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
            call = asyncio.ensure_future(self._call())
            await asyncio.wait([call])
            error = call.exception()
            # Cancelled callers are done already.
            for result in filterfalse(asyncio.Future.done, waiting):
                if error is not None:
                    result.set_exception(error)
                else:
                    result.set_result(call.result())
