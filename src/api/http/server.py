"""The process: its socket, its server, its end."""

import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.logs import Level, logger
from service.settings import EXIT_CONFIG

GRACE_SECONDS = 3
"""How long answers under way may take once the process is told to stop."""

log = logger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Where there can be none, the program ends with status 78 and the variable at fault."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        at_fault = f"API_PORT={port}" if error.errno in (errno.EADDRINUSE, errno.EACCES) else f"API_HOST={host}"
        print(f"{at_fault}: cannot listen: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_CONFIG)
    # The connections inherit it. asyncio sets it only on sockets it made itself, and without it an answer, which is
    # written in two parts, waits 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def serve(app: FastAPI, listener: socket.socket, level: Level, end_streams: Callable[[], None] = lambda: None) -> None:
    """Answer requests until SIGTERM or SIGINT, which end the program with status 0. `end_streams` ends the answers that
    have no end by themselves."""
    config = uvicorn.Config(
        app,
        log_config=None,
        # At INFO uvicorn tells in prose of its start and end, which the two events below do in our form.
        log_level="warning" if level == "INFO" else level.lower(),
        # api.http.request_ids logs each request.
        access_log=False,
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    # Uvicorn ends its work on either signal, then raises it again for whoever listened before.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    # What is loaded by now stays. To look through it for garbage again and again held all answers up for 40 ms.
    gc.collect()
    gc.freeze()
    # And what is kept of answers, 100 times less often than Python would.
    gc.set_threshold(700, 10, 1_000)
    host, port = listener.getsockname()[:2]
    log.info("listening", host=host, port=port)
    _Server(config, end_streams).run([listener])


class _Server(uvicorn.Server):
    """Ends what has no end by itself before it waits for the answers under way."""

    def __init__(self, config: uvicorn.Config, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_streams = end_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()
        await super().shutdown(sockets)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    log.info("stopped")
    sys.exit(0)
