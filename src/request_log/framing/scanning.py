"""Finds the beginnings of lines."""

import numpy as np

from request_log.line import MAX_LINE_BYTES
from request_log.requests import Integers


def starts_of(data: bytes) -> Integers:
    """Where each line begins in `data`."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1] + 1
    return starts


def is_any_too_long(data: bytes, starts: Integers) -> bool:
    """Whether any of these whole lines, which begin at `starts`, is longer than MAX_LINE_BYTES."""
    return int(np.diff(starts, append=len(data)).max(initial=0)) > MAX_LINE_BYTES + 1
