"""How long to pause after work that may take a share of the time."""

import time
from typing import NamedTuple


class Begun(NamedTuple):
    """When work began."""

    monotonic: float
    """Seconds."""
    cpu: float
    """Seconds of CPU that the thread had taken."""


def begun() -> Begun:
    return Begun(time.monotonic(), time.thread_time())


def pause_after(work: Begun, share: float) -> float:
    """Seconds to pause after work of this thread that ends now, so that it takes this share of a core at most.

    On a busy machine work takes longer, and no more CPU. On a slow network it waits: then it takes half of the time.
    """
    return max((time.thread_time() - work.cpu) / share, time.monotonic() - work.monotonic)
