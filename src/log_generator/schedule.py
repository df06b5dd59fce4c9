"""The schedule: when how many lines are due, and writing them in time."""

import time
from collections.abc import Callable, Iterator
from itertools import count

from service.logs import logger

log = logger(__name__)

MAX_LINES_AT_ONCE = 10_000
"""Lines that are written at once. It bounds memory, and how long a stop takes."""
REPORT_SECONDS = 10.0
"""Time between two log events about the progress."""
TOLERATED_SECONDS = 1.0
"""How late lines may be without a warning. Longer intervals tolerate one interval."""


def plan(batch_size: int, interval: float, limit: int) -> Iterator[tuple[float, int]]:
    """The schedule, in order: seconds after the start, and how many lines are due then.

    `batch_size` lines are due every `interval` seconds, the first at once, and `limit` in total (0: no limit). Times
    count from the start, so a late write does not lower the rate.
    """
    planned = 0
    for batch in count():
        left = min(batch_size, limit - planned) if limit else batch_size
        if not left:
            return
        planned += left
        while left:
            lines = min(left, MAX_LINES_AT_ONCE)
            yield batch * interval, lines
            left -= lines


def follow(
    work: Iterator[tuple[float, int]],
    write: Callable[[int], None],
    wait: Callable[[float], bool],
    tolerated: float = TOLERATED_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Write lines when they are due, and log the progress now and then. Returns the number of lines written.

    `wait` waits a number of seconds and returns whether to stop. Late lines are written as soon as possible. Lines more
    than `tolerated` seconds late cause a warning.
    """
    start = reported = clock()
    written = written_before = 0
    latest = 0.0
    for due, lines in work:
        late = clock() - start - due
        if wait(max(0.0, -late)):
            break
        write(lines)
        written += lines
        latest = max(latest, late)
        now = clock()
        if now - reported >= REPORT_SECONDS:
            rate = round((written - written_before) / (now - reported), 1)
            if latest > tolerated:
                log.warning("behind_schedule", lines=written, lines_per_second=rate, seconds_late=round(latest, 1))
            else:
                log.info("progress", lines=written, lines_per_second=rate)
            reported, written_before, latest = now, written, 0.0
    return written
