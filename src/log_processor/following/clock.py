"""The clocks, as arguments, so that a test can let time pass."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    """Two clocks, by default the system's."""

    monotonic: Callable[[], float] = time.monotonic
    """Returns monotonic seconds."""
    unix: Callable[[], float] = time.time
    """Returns the Unix time, s."""


SYSTEM = Clock()
