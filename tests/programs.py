"""Starts our programs as processes, `python -m log_processor` and the others, without importing them each time."""

import atexit
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import BinaryIO, Protocol

SOURCES = Path(__file__).parents[1] / "src"
SERVER = Path(__file__).with_name("program_server.py")
STATUS_BYTES = 100


class Program(Protocol):
    """A process of ours, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...


# Root may read what it likes. Without these capabilities it may not.
_AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def start(
    module: str,
    *arguments: str,
    env: Mapping[str, str],
    stdout: BinaryIO,
    stderr: BinaryIO | None = None,
    obeys_permissions: bool = False,
) -> Program:
    """Start a program. Standard error goes where standard output does, unless it has a file of its own.

    `obeys_permissions`: those of files hold for it, though the tests run as root.
    """
    errors = stdout if stderr is None else stderr
    if sys.platform != "linux" or "LD_PRELOAD" in env or obeys_permissions:
        as_anybody = _AS_ANYBODY if obeys_permissions and os.geteuid() == 0 else ()
        command = [*as_anybody, sys.executable, "-m", module, *arguments]
        return subprocess.Popen(command, env={**env, "PYTHONPATH": str(SOURCES)}, stdout=stdout, stderr=errors)
    return _Forked([module, *arguments], env, stdout, errors)


def run(module: str, *arguments: str, env: Mapping[str, str], timeout: float) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        program = start(module, *arguments, env=env, stdout=output, stderr=errors)
        try:
            status = program.wait(timeout)
        finally:
            program.kill()
        output.seek(0)
        errors.seek(0)
        said, failed = output.read().decode(), errors.read().decode()
    return subprocess.CompletedProcess([module, *arguments], status, said, failed)


class _Forked:
    """A program that the server has forked."""

    def __init__(self, command: list[str], env: Mapping[str, str], stdout: BinaryIO, stderr: BinaryIO) -> None:
        self._status: int | None = None
        self._told, told = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with told:
            request = {
                "command": command,
                "environment": {**env, "PYTHONPATH": str(SOURCES)},
                "folder": str(Path.cwd()),
                "open_files": resource.getrlimit(resource.RLIMIT_NOFILE),
            }
            descriptors = [stdout.fileno(), stderr.fileno(), told.fileno()]
            socket.send_fds(_server(), [json.dumps(request).encode()], descriptors)
        self.pid = int(self._told.recv(STATUS_BYTES))

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        if self._status is None and select.select([self._told], [], [], 0)[0]:
            self.wait()
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it has ended; -9 after SIGKILL."""
        if self._status is None:
            self._told.settimeout(timeout)
            try:
                self._status = int(self._told.recv(STATUS_BYTES))
            except TimeoutError:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0) from None
            self._told.close()
        return self._status

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


@cache
def _server() -> socket.socket:
    """The connection to the server of this process, which ends with it."""
    ours, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with control:
        server = subprocess.Popen(
            [sys.executable, str(SERVER), str(control.fileno())],
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
            pass_fds=[control.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours
