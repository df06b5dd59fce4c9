"""The id of a request: in its header or made here, in the answer's header, in an error's body, and in the log."""

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import logger

HEADER = "X-Request-ID"
_SANE = re.compile(r"[!-~]{1,128}")

log = logger(__name__)


class RequestIds:
    """Middleware that gives each request its id, and logs what was answered (level DEBUG)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _SANE.fullmatch(given) else str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        # Each log line of this request has it from here on.
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message["headers"])[HEADER] = request_id
                log.debug(
                    "answered",
                    method=scope["method"],
                    path=scope["path"],
                    status=message["status"],
                    milliseconds=round(1000 * (time.perf_counter() - began), 1),
                )
            await send(message)

        await self._app(scope, receive, answer)
