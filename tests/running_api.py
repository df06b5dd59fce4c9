"""A running api: `python -m api` on a socket."""

import os
import resource
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

import programs
from influxd import free_port
from until import WAIT_SECONDS, wait_until


class Api:
    """A running api."""

    def __init__(self, folder: Path, environment: dict[str, str], before: Sequence[str] = ()) -> None:
        """`before`: words of a command that runs it, such as prlimit."""
        self.port = free_port()
        self._output = folder / "api.out"
        with self._output.open("wb") as output:
            settings = {**os.environ, "API_PORT": str(self.port), **environment}
            self._process = programs.start("api", env=settings, stdout=output, before=before)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=WAIT_SECONDS)

    def get(self, url: str) -> httpx.Response:
        return self.client.get(url)

    def until(self, url: str, status: int) -> httpx.Response:
        """The first response to `url` that has this status."""
        found: list[httpx.Response] = []

        def answers() -> bool:
            assert self._process.poll() is None, self.said()
            with suppress(httpx.TransportError):
                found.append(self.get(url))
            return bool(found) and found[-1].status_code == status

        wait_until(answers, f"{url} answers {status}", self.said)
        return found[-1]

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and return the exit status."""
        self._process.send_signal(number)
        return self._process.wait(timeout=WAIT_SECONDS)

    def said(self) -> str:
        """The output so far."""
        return self._output.read_text()

    def memory(self) -> int:
        """Its resident memory, in bytes."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def close(self) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()


@contextmanager
def running(folder: Path, environment: dict[str, str], before: Sequence[str] = ()) -> Iterator[Api]:
    """An api, once it answers. `before`: see Api."""
    api = Api(folder, environment, before)
    try:
        api.until("/health", 200)
        yield api
    finally:
        api.close()
