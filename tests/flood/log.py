"""The flooded log: lines of real customers, of false ones, and hostile ones, in the format `combined`."""

import random
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

DAY_SECONDS = 86_400
APPEND_SECONDS = 0.05
HOSTILE_SECONDS = 1.0
HOSTILE_BYTES = 60_000
REAL = [f"real_{number}" for number in range(20)]
REAL_LINES_A_SECOND = 200
# Each is repeated to a hostile line.
HOSTILE = [b'"', b'\\"', b"\x1b[2J", b" - - [", b'"GET /', b"\xff", b"?a=" * 3, b'{"args":"']


class FloodedLog:
    """Written by a thread until `stop`."""

    def __init__(self, path: Path, false_customers: int, seconds: float, seed: int, stop: threading.Event) -> None:
        self._path = path
        self._false_customers = false_customers
        self._seconds = seconds
        self._pick = random.Random(seed)
        self._stop = stop
        self.truth: list[str] = []
        """The lines of real customers as the oracle takes them."""
        self.written: dict[str, list[float]] = {name: [] for name in REAL}
        """When each line of a real customer was written (monotonic, s)."""
        self.lines = 0
        """Requests of all customers."""
        self.hostile = 0
        self.false_lines = 0

    def begin(self, now: float) -> None:
        """Write lines of the day before: these customers are known when the flood comes."""
        self._append([self._real(name, now - DAY_SECONDS) for name in REAL])

    def write(self) -> None:
        """Write until `stop`: all false customers within the time, once each."""
        began = time.monotonic()
        real = hostile = 0
        while not self._stop.is_set():
            passed = time.monotonic() - began
            share = min(1.0, passed / (0.9 * self._seconds))
            lines = []
            while real < passed * REAL_LINES_A_SECOND:
                lines.append(self._real(REAL[real % len(REAL)], time.time()))
                real += 1
            until = int(self._false_customers * share)
            at = time.time()
            lines += [_line(at, f"false_{number:x}", "/a", 200, "0.1") for number in range(self.false_lines, until)]
            self.lines += until - self.false_lines
            self.false_lines = until
            self._pick.shuffle(lines)
            if hostile < passed / HOSTILE_SECONDS:
                piece = HOSTILE[hostile % len(HOSTILE)]
                lines.append(piece * (HOSTILE_BYTES // len(piece)) + b"\n")
                hostile += 1
            self._append(lines)
            self.hostile = hostile
            self._stop.wait(APPEND_SECONDS)

    def _append(self, lines: list[bytes]) -> None:
        with self._path.open("ab") as log:
            log.write(b"".join(lines))

    def _real(self, customer: str, at: float) -> bytes:
        status, duration = self._pick.choice([200, 200, 204, 404, 500]), f"{self._pick.randrange(3_000) / 1000}"
        stamp = datetime.fromtimestamp(int(at), timezone.utc)
        self.truth.append(f"{stamp:%Y-%m-%d %H:%M:%S} {customer} /orders {status} {duration}\n")
        self.written[customer].append(time.monotonic())
        self.lines += 1
        return _line(at, customer, "/orders?token=s3cr3t", status, duration)


def _line(at: float, customer: str, path: str, status: int, duration: str) -> bytes:
    stamp = datetime.fromtimestamp(int(at), timezone.utc)
    return (
        f'192.0.2.7 - - [{stamp:%d/%b/%Y:%H:%M:%S} +0000] "GET {path} HTTP/1.1" {status} 612 "-" "curl/8.5.0"'
        f' "{customer}" {duration}\n'
    ).encode()
