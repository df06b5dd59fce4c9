"""The owner of a writer's lease: a process."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LeaseOwner:
    """A process, by its host, its number, and when it started (clock ticks since the host's start)."""

    host: str
    process: int
    started: int

    @classmethod
    def this_process(cls) -> "LeaseOwner":
        return cls(socket.gethostname(), os.getpid(), _started(os.getpid()) or 0)

    @classmethod
    def decode(cls, text: str) -> "LeaseOwner":
        """The reverse of `str()`."""
        host, process, started = text.rsplit(" ", 2)
        return cls(host, int(process), int(started))

    def __str__(self) -> str:
        return f"{self.host} {self.process} {self.started}"

    def named(self) -> str:
        return f"process {self.process} on {self.host}"

    def is_certainly_dead(self) -> bool:
        """Whether the process was one of this host and has ended. False where that cannot be known."""
        return (
            self.host == socket.gethostname() and Path("/proc/self").exists() and _started(self.process) != self.started
        )


def _started(process: int) -> int | None:
    """When a process of this host started (clock ticks since the host's start); None where it does not run, or where
    there is no /proc."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    # The fields after the command's name, which is in brackets and may hold anything; see proc(5).
    state, *fields = stat.rpartition(")")[2].split()
    # Z: the process has ended, and its parent has not waited for it.
    return None if state == "Z" else int(fields[18])
