"""Single flight: callers that arrive while a call is under way share the next call instead of making one each."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import filterfalse
from typing import Generic, TypeVar

Result = TypeVar("Result")


class SingleFlight(Generic[Result]):
    """Runs one call at a time on behalf of all callers.

    A caller only receives the result of a call that began after the caller arrived. So no result is older than one the
    caller would have got alone. A call whose callers are all cancelled is cancelled, too.
    """

    def __init__(self, call: Callable[[], Awaitable[Result]]) -> None:
        self._call = call
        self._waiting: list[asyncio.Future[Result]] = []
        self._served: list[asyncio.Future[Result]] = []
        """The callers of the call that is under way."""
        self._under_way: asyncio.Future[Result] | None = None
        self._runner: asyncio.Task[None] | None = None

    async def __call__(self) -> Result:
        """The result of the next call, or the exception that it raises."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(result)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        try:
            return await result
        except asyncio.CancelledError:
            if self._under_way is not None and all(map(asyncio.Future.done, self._served)):
                self._under_way.cancel()
            raise

    async def _run(self) -> None:
        while self._waiting:
            # Cancelled callers are done already.
            self._served, self._waiting = list(filterfalse(asyncio.Future.done, self._waiting)), []
            if not self._served:
                continue
            self._under_way = call = asyncio.ensure_future(self._call())
            await asyncio.wait([call])
            served, self._served, self._under_way = self._served, [], None
            for result in filterfalse(asyncio.Future.done, served):
                if call.cancelled():
                    result.cancel()
                elif (error := call.exception()) is not None:
                    result.set_exception(error)
                else:
                    result.set_result(call.result())
