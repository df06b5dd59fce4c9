"""Waiting for what a test cannot be told of."""

import time
from collections.abc import Callable

WAIT_SECONDS = 60.0


def wait_until(
    condition: Callable[[], object], what: str, said: Callable[[], str] = str, seconds: float = WAIT_SECONDS
) -> None:
    """Wait until the condition holds; AssertionError with what was said where it does not within so many seconds."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < seconds, f"not within {seconds:g} s: {what}\n{said()[-3000:]}"
        # To look costs the cores that what is waited for needs.
        time.sleep(min(0.02 + waited / 20, 0.2))
