"""Server-Sent Events: the progress of the store, or that it does not answer.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from api.access.access import Access
from api.access.caller import Caller
from api.caching.change_feed import ChangeFeed
from api.caching.customer_changes import CustomerChanges
from api.caching.progress import HIDDEN, StoreProgress
from api.questions.status import LogsProgress, StatusReader, clock_faults
from api.routes.documentation import NOT_ALLOWED
from storage.errors import StorageError

MAX_LISTENERS = 300
# Between two polls of the change feed, in seconds.
POLL_SECONDS = 0.5
# The longest time between two events, in seconds: without any, neither side notices a dead connection.
HEARTBEAT_SECONDS = 5.0

# Members that differ with the time alone.
_AGES = ("age_seconds", "seen_age_seconds", "clock_fault")
# Members that customers see as well. The time through which all is complete moves as others have requests, but each
# answer has it, too.
_FOR_CUSTOMERS = ("complete_through", "age_seconds", "seen_age_seconds")

router = APIRouter()


@dataclass(slots=True, eq=False)
class _Listener:
    of: str
    """The caller's name or, where nobody is asked for one, the address."""
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
        self._latest: _Event | None = None
        self._logs: LogsProgress | None = None
        """The logs when they were last read."""
        self._changes = CustomerChanges(feed.invalidations, feed.rolled_up)
        self._is_over = False

    @contextmanager
    def listener(self, of: str) -> Iterator[_Listener]:
        """A listener of a caller, while it listens. Where there are too many, it replaces another one."""
        if len(self._listeners) >= MAX_LISTENERS:
            self._end_one()
        listener = _Listener(of)
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
                self._watcher, self._latest, self._logs = None, None, None

    def _end_one(self) -> None:
        """End the stream of the oldest listener of the caller that has most. A browser connects again by itself.

        To refuse the new one instead would let silent listeners shut out the page.
        """
        ((of, _),) = Counter(listener.of for listener in self._listeners).most_common(1)
        oldest = next(listener for listener in self._listeners if listener.of == of)
        self._listeners.remove(oldest)
        oldest.is_replaced = True
        oldest.news.set()

    async def stream(self, listener: _Listener, caller: Callable[[], Caller | None]) -> AsyncIterator[str]:
        """The latest event and all later ones, as the caller may see them, until `end`, or until another listener takes
        the place of this one.

        `caller`: the caller by what holds now; None ends the stream.
        """
        before, sent_at = None, 0.0
        while not (self._is_over or listener.is_replaced) and (now := caller()) is not None:
            if self._watcher is not None and self._watcher.done():
                # Only an error ends it. The listeners connect again, which starts another watcher.
                self._watcher.result()
            listener.news.clear()
            event = self._latest
            if event is not None:
                if not now.scope.sees(None):
                    event = _reduced(event, self._changes.token(now.scope.customers))
                # Everyone has heartbeats of their own: those of others would tell when others have requests.
                if event.without_ages() != before or time.monotonic() - sent_at >= HEARTBEAT_SECONDS:
                    before, sent_at = event.without_ages(), time.monotonic()
                    yield event.encode()
                    continue
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
            while True:
                self._latest = await self._event()
                self._wake()
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self._wake()

    async def _event(self) -> "_Event":
        try:
            progress = await self._feed.poll()
            # There may be hundreds of logs, so they are read only when something happens in them.
            if (
                self._logs is None
                or self._logs.progress.ledger_hash != progress.ledger_hash
                or not (self._logs.progress.is_idle and progress.is_idle)
            ):
                self._logs = await self._status_reader.logs()
            return _Event("progress", _progress_data(progress, self._logs))
        except StorageError as error:
            return _Event("away", {"detail": str(error)})


@dataclass(frozen=True, slots=True)
class _Event:
    name: str
    data: dict[str, Any]

    def without_ages(self) -> tuple[str, dict[str, Any]]:
        """What differs when something has happened."""
        return self.name, {key: value for key, value in self.data.items() if key not in _AGES}

    def encode(self) -> str:
        return f"event: {self.name}\ndata: {json.dumps(self.data)}\n\n"


def _reduced(event: _Event, token: str) -> _Event:
    """An event as customers see it, who may not know of each other, or of logs."""
    if event.name == "away":
        return _Event("away", {"detail": "The store does not answer."})
    of_all = {name: event.data[name] for name in _FOR_CUSTOMERS}
    return _Event("progress", {"ledger": token, **of_all, "missing": [HIDDEN] * len(event.data["missing"])})


def _progress_data(progress: StoreProgress, logs: LogsProgress) -> dict[str, Any]:
    now = time.time()
    through, reported = progress.complete_through, progress.reported
    return {
        "ledger": progress.ledger_hash.hex(),
        "complete_through": through.isoformat().replace("+00:00", "Z") if through is not None else None,
        "missing": progress.missing,
        "age_seconds": round(now - through.timestamp()) if through is not None else None,
        "bytes_behind": logs.bytes_behind,
        "records_behind": logs.records_behind,
        "seen_age_seconds": round(now - reported) if reported is not None else None,
        "clock_fault": next(iter(clock_faults(logs, reported, now)), None),
    }


async def _listen(request: Request) -> AsyncIterator[AsyncIterator[str]]:
    events: Events = request.app.state.events
    access: Access = request.app.state.access
    access.require_customers(request.scope)
    caller = access.caller(request.scope)
    with events.listener(caller.name_or_address(request.client)) as listener:
        yield events.stream(listener, partial(access.current, request.scope))


@router.get(
    "/events",
    tags=["service"],
    summary="The progress of the store, as it happens",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Server-Sent Events, without an end.", "content": {"text/event-stream": {}}},
        **NOT_ALLOWED,
    },
)
async def events(stream: Annotated[AsyncIterator[str], Depends(_listen)]) -> StreamingResponse:
    """`progress`: how far the store is, when that changes and every few seconds. `away`: the store does not answer."""
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
