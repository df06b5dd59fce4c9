"""Server-Sent Events: that the store has moved on, how far it is, or that it is away.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import StreamingResponse

from api.answering import Answers
from api.models import Problem
from api.status import Progress, store_status
from storage.contract import StorageError

MOST_LISTENERS = 100
LOOK_SECONDS = 0.5
# Also when nothing has changed, so that a connection that is gone is noticed, on either side.
HEARTBEAT_SECONDS = 5.0

router = APIRouter()


class Events:
    """The same events for all who listen. The store is asked for them together, and only while there are any."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._listeners = 0

    def join(self) -> AsyncIterator[str]:
        """The events from here on. HTTPException 503 where too many listen."""
        if self._listeners >= MOST_LISTENERS:
            raise HTTPException(503, f"{MOST_LISTENERS} listen already")
        return self._events()

    async def _events(self) -> AsyncIterator[str]:
        latest, told = "", 0.0
        self._listeners += 1
        try:
            while True:
                event = await self._look()
                if event != latest or time.monotonic() - told >= HEARTBEAT_SECONDS:
                    latest, told = event, time.monotonic()
                    yield event
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._listeners -= 1

    async def _look(self) -> str:
        try:
            # All who listen, and all who ask, share this question.
            return _event("progress", _tell(await self._answers.progress()))
        except StorageError as error:
            return _event("away", {"detail": str(error)})


def _tell(progress: Progress) -> dict[str, Any]:
    now = time.time()
    status = store_status(progress, now)
    seen = [log.seen.age_seconds for log in status.logs if log.seen is not None]
    through = status.complete_through
    return {
        "ledger": progress.ledger_hash.hex(),
        "complete_through": through.isoformat().replace("+00:00", "Z") if through is not None else None,
        "age_seconds": round(now - through.timestamp()) if through is not None else None,
        "bytes_behind": sum(log.bytes_behind or 0 for log in status.logs),
        "seen_age_seconds": round(min(seen)) if seen else None,
    }


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


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
async def events(request: Request) -> StreamingResponse:
    """`progress` when the store's ledger has moved, and every few seconds: how far it is. `away` when the store is."""
    joined: Events = request.app.state.events
    return StreamingResponse(joined.join(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
