"""`python -m bench.load_client FILE PORT CONNECTIONS SECONDS PATH...`: asks as fast as answers come; FILE gets JSON.

Each connection is kept, and asks for the next path when it has its answer. The client has to cost less than what it
measures, so it knows no more of HTTP than it needs.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import cast

import uvloop

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length: "


class Connection(asyncio.Protocol):
    """Asks until the deadline (seconds of `time.perf_counter`); then `ended` is done."""

    def __init__(self, requests: Iterator[bytes], deadline: float, took: list[float]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._deadline = deadline
        self._took = took
        self._received = b""
        self._asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one without saying so.
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(END_OF_HEAD)
        if head < 0:
            return
        at = self._received.lower().index(LENGTH, 0, head) + len(LENGTH)
        length = int(self._received[at : self._received.index(b"\r", at)])
        if len(self._received) < head + len(END_OF_HEAD) + length:
            return
        now = time.perf_counter()
        if not self._received.startswith(b"HTTP/1.1 200 "):
            self.ended.set_exception(RuntimeError(f"answer: {self._received[:500]!r}"))
            self._transport.close()
            return
        self._took.append(now - self._asked)
        self._received = b""
        if now < self._deadline:
            self._ask()
        else:
            self._transport.close()
            self.ended.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or RuntimeError("the server closed the connection"))

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(next(self._requests))


async def load(port: int, connections: int, seconds: float, paths: list[str]) -> dict[str, object]:
    """Answers a second, and the seconds that each took."""
    requests = cycle([f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() for path in paths])
    took: list[float] = []
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    ended = []
    for _ in range(connections):
        _, protocol = await loop.create_connection(
            lambda: Connection(requests, began + seconds, took), "127.0.0.1", port
        )
        ended.append(protocol.ended)
    await asyncio.gather(*ended)
    return {"rate": len(took) / (time.perf_counter() - began), "seconds": took}


if __name__ == "__main__":
    file, port, connections, seconds, *paths = sys.argv[1:]
    Path(file).write_text(json.dumps(uvloop.run(load(int(port), int(connections), float(seconds), paths))))
