"""An HTTP proxy before a server, which does to requests what networks and servers under load do.

client --(keep-alive)--> proxy --(a connection per request)--> server
"""

import asyncio
import math
import socket
import struct
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import urlsplit

HOST = "127.0.0.1"
STREAM_LIMIT = 64 << 20
# Of an answer that is passed on.
PART_BYTES = 1 << 20

Result = TypeVar("Result")


class Fault(Enum):
    """What may happen to a request."""

    RESET_REQUEST = "reset in mid-request"
    """The server gets half of the request; then both connections are reset."""
    LOSE_ANSWER = "answer lost"
    """The server does what was asked; the connection is reset instead of an answer."""
    CUT_ANSWER = "reset in mid-answer"
    """The server does what was asked; the connection is reset in the middle of its answer."""
    HOLD = "held"
    """The request is kept until the client has given up, and handed to the server after that: a late write."""


@dataclass(frozen=True)
class Request:
    """One HTTP request."""

    method: str
    target: str
    head: bytes
    body: bytes

    @property
    def is_write(self) -> bool:
        return self.method == "POST"


Decision = Fault | int | None
"""What to do with a request: a fault, an HTTP status to answer with instead of the server, or nothing."""


class FaultyProxy:
    """A proxy on a port of its own, running in a thread. Its methods may be called from any other."""

    def __init__(self, server: str, late: Callable[[], float] = lambda: math.inf) -> None:
        """`server`: its URL. `late()`: how many seconds after its client gave up a held request goes on; at `release`
        it does at the latest."""
        self.decide: Callable[[Request], Decision] = lambda request: None
        """Called in the proxy's thread for each request."""
        self._server = urlsplit(server)
        self._late = late
        self._connections: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[Any] | None] = set()
        """asyncio itself keeps no task whose client has left, and could collect it while its server answers."""
        self._held: set[asyncio.Future[Any]] = set()
        self._listening: asyncio.Server | None = None
        # Keeps the port ours while nobody listens on it.
        self._port = socket.socket()
        self._port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port.bind((HOST, 0))
        self.url = f"http://{HOST}:{self._port.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty_proxy")

    def start(self) -> None:
        """Accept connections from here on."""
        self._thread.start()
        self.come_back()

    def close(self) -> None:
        """Let nothing more through."""
        self.go_away()
        self._run(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._port.close()

    def go_away(self) -> None:
        """Reset all connections, and refuse new ones until `come_back`."""
        self._run(self._stop_listening())

    def come_back(self) -> None:
        """Accept connections again."""
        self._run(self._listen())

    def release(self) -> int:
        """Let through what is held, and return when the server has done it: how many requests."""
        return self._run(self._release())

    @property
    def held(self) -> int:
        """How many requests are held now."""
        return len(self._held)

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        port = self._port.getsockname()[1]
        self._listening = await asyncio.start_server(self._serve, HOST, port, reuse_port=True, limit=STREAM_LIMIT)

    async def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for writer in self._connections:
            _reset(writer)

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _release(self) -> int:
        held = list(self._held)
        self._released.set()
        await asyncio.gather(*held)
        self._released.clear()
        return len(held)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client, as long as it lasts."""
        self._connections.add(writer)
        task = asyncio.current_task()
        self._serving.add(task)
        try:
            # The client may go at any moment, which is nothing to us.
            with suppress(OSError, asyncio.IncompleteReadError):
                while await self._serve_request(reader, writer):
                    pass
        finally:
            self._serving.discard(task)
        self._connections.discard(writer)
        writer.close()

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection lives on."""
        request = await _read_request(reader)
        decision = self.decide(request)
        if isinstance(decision, int):
            writer.write(_answer(decision))
            await writer.drain()
            return True
        if decision is Fault.RESET_REQUEST:
            await self._pass_half_on(request)
            _reset(writer)
            return False
        if decision is Fault.HOLD:
            held = asyncio.ensure_future(self._hold(request, reader))
            self._held.add(held)
            held.add_done_callback(self._held.discard)
            await held
            return False
        if decision is None:
            async with aclosing(self._pass_on(request)) as parts:
                async for part in parts:
                    writer.write(part)
                    await writer.drain()
            return True
        async with aclosing(self._pass_on(request)) as parts:
            answer = b"".join([part async for part in parts])
        if decision is Fault.CUT_ANSWER:
            writer.write(answer[: len(answer) // 2])
            await writer.drain()
        _reset(writer)
        return False

    async def _hold(self, request: Request, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            # The client has sent all it has to say: the next that comes is the end.
            await reader.read(1)
        with suppress(asyncio.TimeoutError):
            late = self._late()
            await asyncio.wait_for(self._released.wait(), None if math.isinf(late) else late)
        async with aclosing(self._pass_on(request)) as parts:
            async for _ in parts:
                pass

    async def _pass_on(self, request: Request) -> AsyncGenerator[bytes, None]:
        """The server's answer as it comes, which allows the client to keep its connection."""
        reader, writer = await self._connect()
        try:
            # It closes after the answer, so that the answer's end need not be looked for.
            writer.write(request.head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + request.body)
            head = await reader.readuntil(b"\r\n\r\n")
            yield head.replace(b"Connection: close\r\n", b"", 1)
            while part := await reader.read(PART_BYTES):
                yield part
        finally:
            writer.close()

    async def _pass_half_on(self, request: Request) -> None:
        _, writer = await self._connect()
        writer.write(request.head + request.body[: len(request.body) // 2])
        await writer.drain()
        _reset(writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._server.hostname, self._server.port, limit=STREAM_LIMIT)


@contextmanager
def faulty_proxy(server: str, late: Callable[[], float] = lambda: math.inf) -> Iterator[FaultyProxy]:
    """A proxy before the server with this URL; without faults until `decide` is set."""
    proxy = FaultyProxy(server, late)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    # The proxy has its own word on how long a connection lasts.
    head = "\r\n".join(line for line in lines if not line.lower().startswith("connection:")).encode("latin-1")
    return Request(method, target, head, body)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection by a RST, not by a FIN."""
    connection = writer.get_extra_info("socket")
    if not writer.is_closing():
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _answer(status: int) -> bytes:
    text = b'{"code": "fault", "message": "the proxy says so"}'
    return (
        f"HTTP/1.1 {status} Fault\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode()
        + text
    )
