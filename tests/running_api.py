"""A running api: `python -m api` on a socket."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

import programs
from influxd import free_port
from programs import SOURCES, Program
from until import WAIT_SECONDS, wait_until

MODULE = (sys.executable, "-m", "api")
"""The command that starts an api."""
KEPT_SECONDS = 2.0
"""How long a client keeps an idle connection (s). The api closes it after 5 s, perhaps just as a request is sent."""
SAID_CHARACTERS = 5_000
"""How much of its output a failing test shows."""


def peak_memory(process: int) -> int:
    """The most memory that a process has had, in bytes."""
    status = Path(f"/proc/{process}/status").read_text()
    (kilobytes,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(kilobytes) << 10


class Api:
    """A running api."""

    def __init__(self, folder: Path, environment: dict[str, str], command: Sequence[str] = MODULE) -> None:
        self.port = free_port()
        self._output = folder / "api.out"
        with self._output.open("wb") as output:
            settings = {**os.environ, "PYTHONPATH": str(SOURCES), "API_PORT": str(self.port), **environment}
            self._process: Program = (
                programs.start("api", env=settings, stdout=output)
                if command == MODULE
                else subprocess.Popen(command, env=settings, stdout=output, stderr=subprocess.STDOUT)
            )
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            timeout=WAIT_SECONDS,
            # To read the certificates of all authorities, for TLS, takes 20 ms.
            verify=False,
            limits=httpx.Limits(keepalive_expiry=KEPT_SECONDS),
        )

    def get(self, url: str) -> httpx.Response:
        return self.client.get(url)

    def until(self, url: str, status: int) -> httpx.Response:
        """The first response to `url` that has this status."""
        found: list[httpx.Response] = []

        def answers() -> bool:
            assert self.status() is None, self.said()
            with suppress(httpx.TransportError):
                found.append(self.get(url))
            return bool(found) and found[-1].status_code == status

        wait_until(answers, f"{url} answers {status}", self.said)
        return found[-1]

    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and return the exit status."""
        self._process.send_signal(number)
        return self._process.wait(timeout=WAIT_SECONDS)

    def peak_memory(self) -> int:
        """The most memory that the api has had, in bytes."""
        return peak_memory(self._process.pid)

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
def running(folder: Path, environment: dict[str, str], command: Sequence[str] = MODULE) -> Iterator[Api]:
    """An api, once it answers."""
    api = Api(folder, environment, command)
    try:
        api.until("/health", 200)
        yield api
    finally:
        # Where the test fails, pytest shows it.
        print(f"The api's exit status was {api.status()}. It said:\n{api.said()[-SAID_CHARACTERS:]}")
        api.close()
