"""Logs to catch up on, of the generator's traffic."""

import time
from pathlib import Path

from log_generator.traffic import Traffic

LINES_A_SECOND = 1_000
LINES_A_WRITE = 10_000
SEED = 1


def write_in_order(path: Path, lines: int, customers: int) -> None:
    """A log in the order of time, a thousand lines a second, that ends now."""
    traffic = Traffic(SEED, customers)
    first = time.time() - lines / LINES_A_SECOND
    with path.open("wb") as log:
        for written in range(0, lines, LINES_A_SECOND):
            log.write(traffic.lines(min(LINES_A_SECOND, lines - written), first + written / LINES_A_SECOND))


def write_at_random(path: Path, lines: int, customers: int, days: int) -> None:
    """A log whose times are spread over so many days before now, in no order."""
    traffic = Traffic(SEED, customers, days)
    with path.open("wb") as log:
        for written in range(0, lines, LINES_A_WRITE):
            log.write(traffic.lines(min(LINES_A_WRITE, lines - written), time.time()))
