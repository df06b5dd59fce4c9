"""Processes of our services, and what they use of the machine. Needs Linux: it reads /proc."""

import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
WAIT_SECONDS = 60.0
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Service:
    """`python -m module` with these variables, from entering to leaving; its output goes to a file in the folder."""

    def __init__(self, module: str, folder: Path, environment: dict[str, str]) -> None:
        self.module = module
        self._output = folder / f"{module}.out"
        # All customers of a measurement are told apart.
        told_apart = {"NEW_CUSTOMERS_A_DAY": "1000000"}
        self._environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **told_apart, **environment}

    def __enter__(self) -> "Service":
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module], env=self._environment, stdout=output, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self) -> str:
        """What it has printed."""
        return self._output.read_text(errors="replace")

    def until_event(self, event: str) -> float:
        """When it logged this event first (Unix time, s); waits for that."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            self.must_run()
            for line in self.said().splitlines():
                if f" event={event} " in line:
                    stamp = line.partition("ts=")[2].partition(" ")[0]
                    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
            time.sleep(0.02)
        raise TimeoutError(f"{self.module} did not say {event} within {WAIT_SECONDS} s:\n{self.said()[-2000:]}")

    def must_run(self) -> None:
        """RuntimeError where it has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.module} has ended:\n{self.said()[-2000:]}")


class CpuTimes(NamedTuple):
    """Seconds of all cores together."""

    all: float
    busy: float
    ours: float
    """Of this process and of its children that have ended."""


def cpu_times() -> CpuTimes:
    """Since the machine's start."""
    with Path("/proc/stat").open() as stat:
        user, nice, system, idle, waiting, *others = (int(ticks) for ticks in stat.readline().split()[1:9])
    busy = user + nice + system + sum(others)
    own = os.times()
    ours = own.user + own.system + own.children_user + own.children_system
    return CpuTimes((busy + idle + waiting) / TICKS_A_SECOND, busy / TICKS_A_SECOND, ours)


def cpu_seconds(pid: int) -> float:
    """The time that a process has had of the CPU."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def memory(pid: int, what: str = "VmRSS") -> float:
    """A process's memory now, in MB; the most that it has had: `VmHWM`."""
    status = Path(f"/proc/{pid}/status").read_text()
    (kibibytes,) = [line.split()[1] for line in status.splitlines() if line.startswith(f"{what}:")]
    return int(kibibytes) * 1024 / 1e6
