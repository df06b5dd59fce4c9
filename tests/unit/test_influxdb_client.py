"""What another server sends in the place of InfluxDB takes neither all time nor all memory."""

import asyncio
import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from time import sleep

import pytest

from storage.errors import StorageUnavailable
from storage.influxdb import client as module
from storage.influxdb.client import Client

OK = b"HTTP/1.1 200 OK\r\n"
TIMEOUT = 0.2
"""How long the server may be silent (s)."""
MOST_TOLD = 1_000
"""Characters of the message of an error."""


def slowly() -> Iterator[bytes]:
    yield OK + b"Content-Length: 10000\r\n\r\n"
    for _ in range(10_000):
        yield b" "
        sleep(TIMEOUT / 10)


def gzip_of(text: bytes) -> bytes:
    compress = zlib.compressobj(wbits=31)
    return compress.compress(text) + compress.flush()


ANSWERS: dict[str, Callable[[], Iterable[bytes]]] = {
    "slow": slowly,
    "endless": lambda: (OK + b"\r\n", *repeat(b" " * (1 << 16), 1_000)),
    "endless error": lambda: (b"HTTP/1.1 500 No\r\n\r\n", *repeat(b" " * (1 << 16), 1_000)),
    "compressed": lambda: (OK + b"Content-Encoding: gzip\r\n\r\n", gzip_of(b'{"results":[]}' + b" " * (64 << 20))),
    "redirect": lambda: (b"HTTP/1.1 307 No\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",),
    "no HTTP": lambda: (b"x" * 5_000 + b"\r\n\r\n",),
    "cut": lambda: (OK + b'Content-Length: 100\r\n\r\n{"results":[]}',),
}


@contextmanager
def answering(answer: Callable[[], Iterable[bytes]]) -> Iterator[tuple[str, list[bytes]]]:
    """The URL of a server that answers so on each connection, and the first bytes that came on each."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            # `shutdown` ends it.
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        asked.append(connection.recv(1 << 16))
                        for part in answer():
                            connection.sendall(part)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


async def ask_async(client: Client) -> object:
    try:
        return await client.ask_async("bucket", "SELECT 1", {})
    finally:
        await client.aclose()


async def ask_in_parts_async(client: Client) -> object:
    try:
        return [rows async for rows in client.ask_in_parts_async("bucket", "SELECT 1", {})]
    finally:
        await client.aclose()


ASK: dict[str, Callable[[Client], object]] = {
    "ask": lambda client: client.ask("bucket", "SELECT 1", {}),
    "ask_async": lambda client: asyncio.run(ask_async(client)),
    "ask_in_parts_async": lambda client: asyncio.run(ask_in_parts_async(client)),
    "write": lambda client: client.write("bucket", b"m f=1i 1"),
    "delete": lambda client: client.delete("bucket", 'tag="value"', 0, 1),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_another_servers_answer_is_bounded(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[Client], object], answer: Callable[[], Iterable[bytes]]
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1 << 20)
    with answering(answer) as (url, asked):
        client = Client(url, "org", "token", TIMEOUT)
        with pytest.raises(StorageUnavailable) as raised:
            ask(client)
        client.close()
    assert len(str(raised.value)) < MOST_TOLD
    assert not any(b"/elsewhere" in request for request in asked)
