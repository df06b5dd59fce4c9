"""Where the lines of some bytes begin."""

import numpy as np

from request_log.line import MAX_LINE_BYTES
from request_log.requests import Integers


def starts_of(data: bytes) -> Integers:
    """Where in `data` each line begins."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1] + 1
    return starts


def is_any_too_long(data: bytes, starts: Integers) -> bool:
    """Whether one of these whole lines, which begin there, has more than MAX_LINE_BYTES."""
    return int(np.diff(starts, append=len(data)).max(initial=0)) > MAX_LINE_BYTES + 1
