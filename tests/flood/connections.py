"""Connections to an api that are opened and then say nothing, or half of a request. Closed ones are opened again."""

import asyncio
import contextlib
import threading
from collections import Counter

HALF = b"GET /customers/stats HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "
BETWEEN_BYTES_SECONDS = 2.0
REOPEN_SECONDS = 0.5
# Connections that are opened at once: the api's backlog of unaccepted ones is bounded.
OPENING_AT_ONCE = 50


class Connections:
    """They are held open by a thread until `stop`."""

    def __init__(self, port: int, idle: int, half_sent: int, stop: threading.Event) -> None:
        self.counts: Counter[str] = Counter()
        """How many were opened, refused and closed by the api."""
        self._port = port
        self._idle = idle
        self._half_sent = half_sent
        self._stop = stop
        self._open = 0
        self.most_open = 0

    def hold(self) -> None:
        """Hold them open until `stop`."""
        asyncio.run(self._hold())

    async def _hold(self) -> None:
        opening = asyncio.Semaphore(OPENING_AT_ONCE)
        tasks = [asyncio.create_task(self._keep(b"", opening)) for _ in range(self._idle)]
        tasks += [asyncio.create_task(self._keep(HALF, opening)) for _ in range(self._half_sent)]
        await asyncio.to_thread(self._stop.wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, said: bytes, opening: asyncio.Semaphore) -> None:
        while True:
            try:
                async with opening:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.counts["refused"] += 1
            else:
                await self._one(said, reader, writer)
            await asyncio.sleep(REOPEN_SECONDS)

    async def _one(self, said: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts["opened"] += 1
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            writer.write(said)
            while True:
                with contextlib.suppress(asyncio.TimeoutError):
                    if not await asyncio.wait_for(reader.read(1_024), BETWEEN_BYTES_SECONDS):
                        break
                if said:
                    writer.write(b"x")
                    await writer.drain()
            self.counts["closed by the api"] += 1
        except OSError:
            self.counts["closed by the api"] += 1
        finally:
            self._open -= 1
            writer.close()
