"""Waiting for what a test cannot be told of."""

import time
from collections.abc import Callable

WAIT_SECONDS = 60.0


def wait_until(condition: Callable[[], object], what: str, said: Callable[[], str] = str) -> None:
    """Wait until the condition holds; AssertionError with what was said where it does not within `WAIT_SECONDS`."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS:g} s: {what}\n{said()[-3000:]}"
        time.sleep(0.02)
