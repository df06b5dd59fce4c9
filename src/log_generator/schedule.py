"""When how many lines are due, and keeping to it."""

import time
from collections.abc import Callable, Iterator
from itertools import count

from service.logs import logger

log = logger(__name__)

MAX_LINES_AT_ONCE = 10_000
"""Larger batches are written in parts of this size, which bounds memory and how long a stop takes."""
REPORT_SECONDS = 10.0
TOLERATED_SECONDS = 1.0
"""How late lines may be without a warning, at least; at long intervals it is one interval."""


def plan(batch_size: int, interval: float, limit: int) -> Iterator[tuple[float, int]]:
    """What is due, in order: seconds after the start, and how many lines.

    `batch_size` lines every `interval` seconds, the first at once, `limit` in total (0: without end). The times depend
    on the start alone, so that neither writing nor waiting too long lowers the rate.
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
    """Write what is due when it is due, and say now and then how far it is. Returns the number of lines written.

    `wait` waits so many seconds and returns whether to stop. What could not be written in time is written as soon as
    possible; lines that are more than `tolerated` seconds late are a warning.
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
