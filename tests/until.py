"""Waiting for what a test cannot be told of."""

import time
from collections.abc import Callable

WAIT_SECONDS = 60.0


def wait_until(condition: Callable[[], object], what: str, said: Callable[[], str] = str) -> None:
    """Wait until the condition holds; AssertionError with what was said where it does not within `WAIT_SECONDS`."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < WAIT_SECONDS, f"not within {WAIT_SECONDS:g} s: {what}\n{said()[-3000:]}"
        # To look costs the cores that what is waited for needs.
        time.sleep(min(0.02 + waited / 20, 0.2))
