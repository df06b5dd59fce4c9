"""A running api: `python -m api` on a socket."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from influxd import free_port

SOURCES = Path(__file__).parents[1] / "src"
WAIT_SECONDS = 30.0


class Api:
    """A running api."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self._output = folder / "api.out"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "api"],
                env={**os.environ, "PYTHONPATH": str(SOURCES), "API_PORT": str(self.port), **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=WAIT_SECONDS)

    def get(self, url: str) -> httpx.Response:
        return self.client.get(url)

    def until(self, url: str, status: int) -> httpx.Response:
        """The first response to `url` that has the status."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.said()
            with suppress(httpx.TransportError):
                response = self.get(url)
                if response.status_code == status:
                    return response
            time.sleep(0.02)
        raise AssertionError(f"{url} did not answer {status} within {WAIT_SECONDS} s: {self.said()}")

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the condition holds."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} s: {what}"
            time.sleep(0.05)

    def end(self, number: signal.Signals) -> int:
        """End it by a signal; its exit status."""
        self._process.send_signal(number)
        return self._process.wait(timeout=WAIT_SECONDS)

    def said(self) -> str:
        """What it has printed."""
        return self._output.read_text()

    def close(self) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()


@contextmanager
def running(folder: Path, environment: dict[str, str]) -> Iterator[Api]:
    """An api that answers."""
    api = Api(folder, environment)
    try:
        api.until("/health", 200)
        yield api
    finally:
        api.close()
