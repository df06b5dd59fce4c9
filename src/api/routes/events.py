"""Server-Sent Events: that the store has moved on, how far it is, or that it is away.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import StreamingResponse

from api.caching.progress import Progress
from api.questions.responding import Answers
from api.questions.status import LogsProgress, clock_faults
from api.schemas.statistics import Problem
from storage.errors import StorageError

MOST_LISTENERS = 100
LOOK_SECONDS = 0.5
# Also when nothing has changed, so that a connection that is gone is noticed, on either side.
HEARTBEAT_SECONDS = 5.0

# They change with the time alone.
_AGES = ("age_seconds", "seen_age_seconds", "clock_fault")

router = APIRouter()


class Events:
    """The same events for all who listen. The store is asked for them once, and only while there are any."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._listeners = 0
        self._watcher: asyncio.Task[None] | None = None
        self._latest = ""
        self._told = 0
        self._logs: LogsProgress | None = None
        """When they were looked at last."""
        self._news = asyncio.Event()
        self._is_over = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """A listener's place, for as long as it listens. HTTPException 503 where too many do."""
        if self._listeners >= MOST_LISTENERS:
            raise HTTPException(503, f"{MOST_LISTENERS} listen already")
        self._listeners += 1
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._watcher.cancel()
                self._watcher, self._latest, self._logs = None, "", None

    async def listen(self) -> AsyncIterator[str]:
        """The latest event, and those from here on, until the end."""
        told = None
        while not self._is_over:
            if self._watcher is not None and self._watcher.done():
                # It never ends by itself. Who listened comes again, and so starts another one.
                self._watcher.result()
            news = self._news
            if self._latest and told != self._told:
                told = self._told
                yield self._latest
            else:
                await news.wait()

    def end(self) -> None:
        """Let go of all who listen: the server waits for them."""
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _watch(self) -> None:
        try:
            await self._tell_what_happens()
        finally:
            self._wake()

    async def _tell_what_happens(self) -> None:
        what, at = None, 0.0
        while True:
            name, data = await self._look()
            # Whoever comes later gets this, with ages that are of now.
            self._latest = f"event: {name}\ndata: {json.dumps(data)}\n\n"
            now = name, {key: value for key, value in data.items() if key not in _AGES}
            if now != what or time.monotonic() - at >= HEARTBEAT_SECONDS:
                what, at = now, time.monotonic()
                self._told += 1
                self._wake()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> tuple[str, dict[str, Any]]:
        try:
            progress = await self._answers.progress()
            # There may be hundreds: while nothing happens in them, they are not looked at again.
            if (
                self._logs is None
                or self._logs.progress.ledger_hash != progress.ledger_hash
                or not (self._logs.progress.is_at_rest and progress.is_at_rest)
            ):
                self._logs = await self._answers.logs()
            return "progress", _tell(progress, self._logs)
        except StorageError as error:
            return "away", {"detail": str(error)}


def _tell(progress: Progress, logs: LogsProgress) -> dict[str, Any]:
    now = time.time()
    through, reported = progress.complete_through, progress.reported
    return {
        "ledger": progress.ledger_hash.hex(),
        "complete_through": through.isoformat().replace("+00:00", "Z") if through is not None else None,
        "age_seconds": round(now - through.timestamp()) if through is not None else None,
        "bytes_behind": logs.bytes_behind,
        "seen_age_seconds": round(now - reported) if reported is not None else None,
        "clock_fault": next(iter(clock_faults(logs, reported, now)), None),
    }


async def _place(request: Request) -> AsyncIterator[Events]:
    events: Events = request.app.state.events
    with events.place():
        yield events


@router.get(
    "/events",
    tags=["service"],
    summary="What happens, as it does",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Server-Sent Events, without an end.", "content": {"text/event-stream": {}}},
        503: {"model": Problem, "description": "Too many listen."},
    },
)
async def events(events: Annotated[Events, Depends(_place)]) -> StreamingResponse:
    """`progress` when the store has moved on, and every few seconds: how far it is. `away` when the store is."""
    return StreamingResponse(events.listen(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
