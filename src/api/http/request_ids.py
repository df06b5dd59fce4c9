"""The id of a request: in its header or made here, in the answer's header, in an error's body, and in the log."""

import logging
import re
import secrets
import time
from itertools import count

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import logger

HEADER = "X-Request-ID"
_RAW_HEADER = HEADER.lower().encode()
_SANE = re.compile(rb"[!-~]{1,128}")

log = logger(__name__)


class RequestIds:
    """Middleware that gives each request its id, and logs what was answered (level DEBUG)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # A random one for each request would take longer.
        self._process = secrets.token_hex(8)
        self._numbers = count()
        self._logs = logging.getLogger(__name__).isEnabledFor(logging.DEBUG)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        given = next((value for name, value in scope["headers"] if name == _RAW_HEADER), b"")
        raw_id = given if _SANE.fullmatch(given) else f"{self._process}-{next(self._numbers)}".encode()
        request_id = raw_id.decode("ascii")
        scope.setdefault("state", {})["request_id"] = request_id
        # Each log line of this request has it from here on.
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((_RAW_HEADER, raw_id))
                if self._logs:
                    log.debug(
                        "answered",
                        method=scope["method"],
                        path=scope["path"],
                        status=message["status"],
                        milliseconds=round(1000 * (time.perf_counter() - began), 1),
                    )
            await send(message)

        await self._app(scope, receive, answer)
