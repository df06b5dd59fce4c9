"""Repeats a call of the store until it succeeds, however long that takes. The log is the buffer meanwhile."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from log_processor.process.metrics import RETRIES, STORE_UNAVAILABLE
from log_processor.process.shutdown import exit_now
from service.logs import logger
from storage.errors import LeaseHeld, StorageRefused, StorageUnavailable

FIRST_DELAY_SECONDS = 0.1
"""Pause before the first repetition. Each further pause is twice as long."""
LONGEST_DELAY_SECONDS = 5.0
"""Upper bound of a pause."""

Result = TypeVar("Result")

log = logger(__name__)


def until_stored(action: Callable[[], Result]) -> Result:
    """The result of `action`. While the store is away, it is called again after longer and longer pauses.

    Ends the program where the store refuses the call, or another processor holds the lease.
    """
    delay = FIRST_DELAY_SECONDS
    while True:
        try:
            result = action()
            STORE_UNAVAILABLE.set(0)
            return result
        except (StorageRefused, LeaseHeld) as error:
            log.error("store_refused", reason=str(error))
            exit_now(1)
        except StorageUnavailable as error:
            # Jitter keeps several clients from coming back at the same time.
            pause = delay * random.uniform(0.5, 1.0)
            STORE_UNAVAILABLE.set(1)
            RETRIES.inc()
            log.warning("store_unavailable", reason=str(error), retry_in_seconds=round(pause, 2))
            time.sleep(pause)
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)
