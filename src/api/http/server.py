"""The server process: its socket, its start, its shutdown."""

import asyncio
import errno
import gc
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from api.http.connections import Connection
from service.logs import Level, logger
from service.settings import refuse

GRACE_SECONDS = 3
"""How long running requests may take after SIGTERM or SIGINT, in seconds."""

UNIX = "unix:"
"""What the address of a unix socket begins with."""

log = logger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. If that fails, ends the program with status 78 and names the wrong setting.

    `host`: an address, or `unix:` and the path of a unix socket.
    """
    if host.startswith(UNIX):
        return _listen_at(host.removeprefix(UNIX))
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        at_fault = f"API_PORT={port}" if error.errno in (errno.EADDRINUSE, errno.EACCES) else f"API_HOST={host}"
        refuse(f"{at_fault}: cannot listen: {error.strerror}")
    # Connections inherit it. asyncio sets it only on sockets of its own. Without it, a response, which is sent in two
    # parts, waits 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _listen_at(path: str) -> socket.socket:
    """A unix socket that the owner and the group may connect to."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # One of an earlier process is in the way. Any other file stays, and the address is taken.
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                os.unlink(path)  # noqa: PTH108
        listener.bind(path)
        os.chmod(path, 0o660)  # noqa: PTH101
        listener.listen(socket.SOMAXCONN)
    except OSError as error:
        refuse(f"API_HOST={UNIX}{path}: cannot listen: {error.strerror or error}")
    return listener


def serve(app: FastAPI, listener: socket.socket, level: Level, end_streams: Callable[[], None] = lambda: None) -> None:
    """Serve requests until SIGTERM or SIGINT, then end the program with status 0.

    `end_streams`: ends responses that have no end.
    """
    config = uvicorn.Config(
        app,
        http=Connection,
        log_config=None,
        # At INFO uvicorn logs its start and shutdown as prose. The two events below replace that.
        log_level="warning" if level == "INFO" else level.lower(),
        # api.http.request_ids logs requests.
        access_log=False,
        ws="none",
        server_header=False,
        # A header does not say who the client is: `api.access.proxy` trusts the connection's address alone.
        proxy_headers=False,
        # Or else a request that was pipelined after another one has the other's key in its log lines.
        reset_contextvars=True,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    # Uvicorn handles the signals itself, and raises them again for these handlers after its shutdown.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    # Modules are never garbage. Searching them for garbage delayed all responses by 40 ms.
    gc.collect()
    gc.freeze()
    # Caches are hardly ever garbage: search them 100 times less often than by default.
    gc.set_threshold(700, 10, 1_000)
    address = listener.getsockname()
    if isinstance(address, str):
        log.info("listening", socket=address)
    else:
        log.info("listening", host=address[0], port=address[1])
    _Server(config, end_streams).run([listener])


class _Server(uvicorn.Server):
    """Checks connections once a second, and ends streams before it waits for running requests."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def on_tick(self, counter: int) -> bool:
        # Uvicorn calls it ten times a second.
        if counter % 10 == 0:
            connections = cast("set[Connection]", self.server_state.connections)
            Connection.check_all(connections, asyncio.get_running_loop().time())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()
        await super().shutdown(sockets)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    log.info("stopped")
    sys.exit(0)
