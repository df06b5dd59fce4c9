"""The id of a request: the client's or a new one. It is in the response's header, in an error's body, and in log lines.

Log lines also have the client's `traceparent`, which identifies the request in a distributed trace.
"""

import logging
import re
import secrets
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.logs import logger

HEADER = "X-Request-ID"
_RAW_HEADER = HEADER.lower().encode()
# Printable ASCII without spaces.
_VALID_ID = re.compile(rb"[!-~]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header: version, trace, span, flags.
_VALID_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

log = logger(__name__)


class RequestIds:
    """Middleware that gives each request its id, and logs each response at level DEBUG."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._logs = logging.getLogger(__name__).isEnabledFor(logging.DEBUG)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        raw_id = traceparent = b""
        for name, value in scope["headers"]:
            if name == _RAW_HEADER and not raw_id:
                raw_id = value
            elif name == b"traceparent":
                traceparent = value
        if not _VALID_ID.fullmatch(raw_id):
            raw_id = secrets.token_hex(8).encode()
        request_id = raw_id.decode("ascii")
        scope.setdefault("state", {})["request_id"] = request_id
        # All further log lines of this request have these.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if _VALID_TRACEPARENT.fullmatch(traceparent):
            structlog.contextvars.bind_contextvars(traceparent=traceparent.decode("ascii"))

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
