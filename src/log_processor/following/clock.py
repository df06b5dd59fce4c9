"""The time. A test may let it pass."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """By default, the system's."""

    monotonic: Callable[[], float] = time.monotonic
    """Seconds that only grow."""
    unix: Callable[[], float] = time.time
    """Unix time, s."""


SYSTEM = Clock()
