"""Tries again until the store takes it, as long as it takes: the log is the buffer."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from log_processor.process.metrics import RETRIES, STORE_UNAVAILABLE
from log_processor.process.shutdown import leave
from service.logs import logger
from storage.errors import LeaseHeld, StorageRefused, StorageUnavailable

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 5.0

Result = TypeVar("Result")

log = logger(__name__)


def until_stored(action: Callable[[], Result]) -> Result:
    """The result of `action`, which is called again while the store is away, after longer and longer pauses.

    Ends the program where the store refuses, or another processor has it.
    """
    delay = FIRST_DELAY_SECONDS
    while True:
        try:
            result = action()
            STORE_UNAVAILABLE.set(0)
            return result
        except (StorageRefused, LeaseHeld) as error:
            log.error("store_refused", reason=str(error))
            leave(1)
        except StorageUnavailable as error:
            # Jitter, so that several clients do not come back all at once.
            pause = delay * random.uniform(0.5, 1.0)
            STORE_UNAVAILABLE.set(1)
            RETRIES.inc()
            log.warning("store_unavailable", reason=str(error), retry_in_seconds=round(pause, 2))
            time.sleep(pause)
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)
