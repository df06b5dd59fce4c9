"""Where lines begin and texts in quotation marks end, in time that is proportional to their length."""

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


def closing_quote(text: str, start: int) -> int:
    """Where the quotation mark is that ends the text which begins at `start`; -1 where there is none. One behind an odd
    number of backslashes ends nothing."""
    while True:
        end = text.find('"', start)
        before = text[start:end]
        if end < 0 or (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return end
        start = end + 1
