"""How the health check knows that the processor polls and moves on: a file that it touches."""

import time
from pathlib import Path

BEAT_SECONDS = 1.0
LATE_SECONDS = 15.0


class Heartbeat:
    """Touches the file at `path`, at most once a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = 0.0

    def beat(self) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._path.touch()
            self._next = now + BEAT_SECONDS


def is_alive(path: Path) -> bool:
    """Whether the last beat was in the last fifteen seconds."""
    try:
        return time.time() - path.stat().st_mtime < LATE_SECONDS
    except FileNotFoundError:
        return False
