"""Connections: how much a client may send, how long it may take, and how many connections there may be.

Uvicorn bounds none of these with httptools. With h11 it bounds the head of a request, but an answer takes 1.9 times the
CPU. Its `limit_concurrency` counts idle connections: as many of them would have all requests refused.
"""

import secrets
from asyncio import BaseTransport, Transport
from collections.abc import Collection, Iterable
from functools import cache
from heapq import nsmallest
from http import HTTPStatus
from typing import Any, cast

import httptools
from pydantic_core import to_json
from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.http.errors import PROBLEM_JSON, problem
from api.http.request_ids import HEADER
from service.logs import logger
from service.open_files import allow_open_files

MAX_CONNECTIONS = 1_000
MAX_HEAD_BYTES = 32 << 10
"""Bytes of a request's line and headers. Browsers send a kilobyte, and cookies of other programs on this host."""
MAX_HEADERS = 100
MAX_BODY_BYTES = 8 << 10
MAX_PIPELINED = 16
"""Requests that a client may send before it has the answer to the first one."""
RECEIVE_SECONDS = 10.0
"""How long a whole request may take, from the opening of its connection or from the answer before it."""
SEND_SECONDS = 30.0
"""How long a client may read nothing of an answer."""
MAX_UNSENT_BYTES = 64 << 20
"""Bytes of answers that all clients together have not read yet."""
OTHER_FILES = 64
"""Open files that are no connections of clients: those of the store and of the process itself."""

log = logger(__name__)


@cache
def most_connections() -> int:
    """How many connections the process may have. Raises its limit of open files as far as is useful."""
    return max(1, min(MAX_CONNECTIONS, allow_open_files(MAX_CONNECTIONS + OTHER_FILES) - OTHER_FILES))


class _Refused(Exception):
    """A request is refused before the application sees it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Connection(HttpToolsProtocol):
    """A bounded connection. `check_all` has to be called about once a second.

    A new connection always gets in: where there are too many, the oldest one that sends or idles is closed, and if
    there is none, the oldest one that is being answered. So no number of idle connections locks anybody out.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._since = self.loop.time()
        """When the connection was opened, or the latest request was whole, or its answer was complete."""
        self._is_whole = True
        """Whether no part of a request is missing."""
        self._is_refused = False
        self._answering: RequestResponseCycle | None = None
        """The request that is being answered, or was answered last. `cycle` is the latest one that came, which may wait
        after it."""
        self._received = 0
        """Bytes since the last head or body was whole."""
        self._unsent = 0
        """Bytes that the client had not read at the last check."""
        self._sent_at = self._since
        """When `_unsent` last became less."""

    @property
    def _is_answered(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_busy(self) -> bool:
        """Whether the client waits for an answer to a whole request."""
        return self._is_answered and self._is_whole

    def connection_made(self, transport: BaseTransport) -> None:
        if len(self.connections) >= most_connections():
            self._make_room()
        super().connection_made(cast("Transport", transport))

    def _make_room(self) -> None:
        connections = cast("set[Connection]", self.connections)
        # Some at once, because a flood would have the oldest one looked for at each of its connections.
        some = 1 + len(connections) // 20
        oldest = nsmallest(some, connections, key=lambda one: (one._is_busy, one._since))
        for connection in oldest:
            if connection is oldest[0] or not connection._is_busy:
                connection._abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        # Or else each client that does not read would have a further answer made, which no bound counts.
        super()._start_asgi_task(cycle, self._once_read(app) if self.flow.write_paused else app)

    def _once_read(self, app: ASGI3Application) -> ASGI3Application:
        """The application, which begins when the client has read the answer before."""

        async def begin(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            await self.flow.drain()
            await app(scope, receive, send)

        return begin

    def pause_writing(self) -> None:
        super().pause_writing()
        # Until the next `check_all` a thousand answers may come.
        _bound_unsent(cast("set[Connection]", self.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_answer()

    def _abort(self) -> None:
        # The transport tells `connection_lost` only in the next turn of the event loop.
        self.connections.discard(self)
        self._end_answer()
        self.transport.abort()

    def _end_answer(self) -> None:
        """Tell the question that is being answered that its client has left. Uvicorn tells it to the latest one, which
        may wait after it, so that an answer nobody wants would be built to its end."""
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        self._received += len(data)
        try:
            self.parser.feed_data(data)
            if not self._is_whole and self._received > MAX_HEAD_BYTES:
                raise _too_large()
        except httptools.HttpParserUpgrade:
            # The application answers the request as if it did not ask for an upgrade. The parser takes what follows for
            # another protocol, so it is the last one: a proxy could send the next client's request here.
            self.cycle.keep_alive = False
        except (_Refused, httptools.HttpParserError) as error:
            # The parser wraps what its callbacks raise.
            refused = error if isinstance(error, _Refused) else error.__context__
            if isinstance(refused, _Refused):
                self._refuse(refused.status, refused.detail)
            else:
                self._refuse(400, "This is not an HTTP request")

    def on_message_begin(self) -> None:
        self._is_whole = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if len(self.headers) > MAX_HEADERS or (self._received > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES):
            raise _too_large()
        for name, value in self.headers:
            if name == b"content-length" and int(value) > MAX_BODY_BYTES:
                raise _Refused(413, f"The body has more than {MAX_BODY_BYTES} bytes")
            if name == b"transfer-encoding":
                raise _Refused(411, "A body needs a Content-Length")
        if len(self.pipeline) >= MAX_PIPELINED:
            raise _Refused(400, f"More than {MAX_PIPELINED} requests wait for their answers")
        self._received = 0
        super().on_headers_complete()
        if self.pipeline:
            # Uvicorn stops reading, and so would not notice that the client leaves. They are bounded above.
            self.flow.resume_reading()

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def on_message_complete(self) -> None:
        self._is_whole = True
        self._received = 0
        self._since = self.loop.time()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._is_whole:
            self._since = self.loop.time()
        super().on_response_complete()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer with problem details, and read no further request.

        What the client still sends is thrown away until it closes: closing with unread bytes would reset the
        connection before the client has the answer.
        """
        log.debug("request_refused", status=status, detail=detail)
        if self._is_answered:
            self._abort()
            return
        self._is_refused = True
        self._since = self.loop.time()
        self.transport.write(_answer(status, detail))
        self.transport.write_eof()

    def _check(self, now: float) -> None:
        """Close the connection if the client takes too long to send or to read."""
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            if unsent < self._unsent or not self._unsent:
                self._sent_at = now
            if now - self._sent_at > SEND_SECONDS:
                self._abort()
        elif not self._is_busy and now - self._since > RECEIVE_SECONDS:
            if self._received and not self._is_refused:
                self.transport.write(_answer(408, f"The request was not whole within {RECEIVE_SECONDS:g} s"))
            self.transport.close()
        self._unsent = unsent

    @staticmethod
    def check_all(connections: Iterable["Connection"], now: float) -> None:
        """Close connections whose clients take too long, and those with the most unread answers where all together are
        too many. `now`: time of the event loop (s)."""
        some = list(connections)
        for connection in some:
            connection._check(now)
        _bound_unsent(some)


def _bound_unsent(connections: Collection[Connection]) -> None:
    """Close the connections with the most unread answers where all together are too many."""
    unsent = {connection: connection.transport.get_write_buffer_size() for connection in connections}
    too_many = sum(unsent.values()) - MAX_UNSENT_BYTES
    if too_many > 0:
        for connection in sorted(unsent, key=unsent.__getitem__, reverse=True):
            if too_many > 0:
                too_many -= unsent[connection]
                connection._abort()


def _too_large() -> _Refused:
    detail = f"The request's line and headers have more than {MAX_HEAD_BYTES} bytes, or there are more than "
    return _Refused(431, f"{detail}{MAX_HEADERS} headers")


def _answer(status: int, detail: str) -> bytes:
    """A response that closes the connection."""
    request_id = secrets.token_hex(8)
    body = to_json(problem(status, detail, request_id))
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"content-type: {PROBLEM_JSON}",
        f"content-length: {len(body)}",
        f"{HEADER.lower()}: {request_id}",
        "connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + body
