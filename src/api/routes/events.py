"""Server-Sent Events: the progress of the store, or that it does not answer.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from api.caching.change_feed import ChangeFeed
from api.caching.progress import StoreProgress
from api.questions.status import LogsProgress, StatusReader, clock_faults
from api.routes.documentation import HOST_NOT_ALLOWED
from storage.errors import StorageError

MAX_LISTENERS = 300
# Between two polls of the change feed, in seconds.
POLL_SECONDS = 0.5
# The longest time between two events, in seconds: without any, neither side notices a dead connection.
HEARTBEAT_SECONDS = 5.0

# Members that differ with the time alone.
_AGES = ("age_seconds", "seen_age_seconds", "clock_fault")

router = APIRouter()


@dataclass(slots=True, eq=False)
class _Listener:
    """One listener."""

    address: str
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when an event is sent, and when the stream ends."""
    is_replaced: bool = False
    """Whether another listener has taken its place."""


class Events:
    """One stream of events for all listeners. The store is polled only while there are any."""

    def __init__(self, feed: ChangeFeed, status_reader: StatusReader) -> None:
        self._feed = feed
        self._status_reader = status_reader
        self._listeners: list[_Listener] = []
        """In the order in which they came."""
        self._watcher: asyncio.Task[None] | None = None
        self._latest = ""
        """The latest event; its ages are up to date even if it was not sent for them."""
        self._sent = 0
        """How many events were sent to all listeners."""
        self._logs: LogsProgress | None = None
        """The logs when they were last read."""
        self._is_over = False

    @contextmanager
    def listener(self, address: str) -> Iterator[_Listener]:
        """A listener from this address, while it listens. Where there are too many, it replaces another one."""
        if len(self._listeners) >= MAX_LISTENERS:
            self._end_one()
        listener = _Listener(address)
        self._listeners.append(listener)
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch())
        try:
            yield listener
        finally:
            if not listener.is_replaced:
                self._listeners.remove(listener)
            if not self._listeners and self._watcher is not None:
                self._watcher.cancel()
                self._watcher, self._latest, self._logs = None, "", None

    def _end_one(self) -> None:
        """End the stream of the oldest listener of the address that has most. A browser connects again by itself.

        To refuse the new one instead would let silent listeners shut out the page.
        """
        ((address, _),) = Counter(listener.address for listener in self._listeners).most_common(1)
        oldest = next(listener for listener in self._listeners if listener.address == address)
        self._listeners.remove(oldest)
        oldest.is_replaced = True
        oldest.news.set()

    async def stream(self, listener: _Listener) -> AsyncIterator[str]:
        """The latest event and all later ones, until `end`, or until another listener takes the place of this one."""
        received = None
        while not (self._is_over or listener.is_replaced):
            if self._watcher is not None and self._watcher.done():
                # Only an error ends it. The listeners connect again, which starts another watcher.
                self._watcher.result()
            listener.news.clear()
            if self._latest and received != self._sent:
                received = self._sent
                yield self._latest
            else:
                await listener.news.wait()

    def end(self) -> None:
        """End all streams, because the server waits for them when it stops."""
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        for listener in self._listeners:
            listener.news.set()

    async def _watch(self) -> None:
        try:
            await self._send_changes()
        finally:
            self._wake()

    async def _send_changes(self) -> None:
        before, sent_at = None, 0.0
        while True:
            name, data = await self._event()
            self._latest = f"event: {name}\ndata: {json.dumps(data)}\n\n"
            now = name, {key: value for key, value in data.items() if key not in _AGES}
            if now != before or time.monotonic() - sent_at >= HEARTBEAT_SECONDS:
                before, sent_at = now, time.monotonic()
                self._sent += 1
                self._wake()
            await asyncio.sleep(POLL_SECONDS)

    async def _event(self) -> tuple[str, dict[str, Any]]:
        try:
            progress = await self._feed.poll()
            # There may be hundreds of logs, so they are read only when something happens in them.
            if (
                self._logs is None
                or self._logs.progress.ledger_hash != progress.ledger_hash
                or not (self._logs.progress.is_idle and progress.is_idle)
            ):
                self._logs = await self._status_reader.logs()
            return "progress", _progress_data(progress, self._logs)
        except StorageError as error:
            return "away", {"detail": str(error)}


def _progress_data(progress: StoreProgress, logs: LogsProgress) -> dict[str, Any]:
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


async def _listen(request: Request) -> AsyncIterator[AsyncIterator[str]]:
    events: Events = request.app.state.events
    with events.listener(request.client.host if request.client is not None else "") as listener:
        yield events.stream(listener)


@router.get(
    "/events",
    tags=["service"],
    summary="The progress of the store, as it happens",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Server-Sent Events, without an end.", "content": {"text/event-stream": {}}},
        **HOST_NOT_ALLOWED,
    },
)
async def events(stream: Annotated[AsyncIterator[str], Depends(_listen)]) -> StreamingResponse:
    """`progress`: how far the store is, when that changes and every few seconds. `away`: the store does not answer."""
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
