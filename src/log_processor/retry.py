"""Tries again until the store takes it, as long as it takes: the log is the buffer."""

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from log_processor.ending import leave
from service.logs import logger
from storage.contract import StorageRefused, StorageUnavailable

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 5.0
LAST_DELAY_SECONDS = 0.2
# After a signal to end, a store that is away is given this long.
GRACE_SECONDS = 3.0

Result = TypeVar("Result")

log = logger(__name__)


def until_stored(action: Callable[[], Result], stop: threading.Event) -> Result:
    """The result of `action`, which is called again while the store is away, after longer and longer pauses.

    Ends the program where the store refuses, and where it is still away some seconds after `stop` was set: what is not
    in the ledger is read again at the next start.
    """
    delay = FIRST_DELAY_SECONDS
    give_up_at = float("inf")
    while True:
        try:
            return action()
        except StorageRefused as error:
            log.error("store_refused", reason=str(error))
            leave(1)
        except StorageUnavailable as error:
            if stop.is_set():
                give_up_at = min(give_up_at, time.monotonic() + GRACE_SECONDS)
            if time.monotonic() >= give_up_at:
                log.warning("stopped_without_store", reason=str(error), lines_lost=0)
                leave(0)
            # Jitter, so that the writers do not come back all at once.
            pause = delay * random.uniform(0.5, 1.0)
            log.warning("store_unavailable", reason=str(error), retry_in_seconds=round(pause, 2))
        if stop.wait(pause):
            time.sleep(LAST_DELAY_SECONDS)
        delay = min(2 * delay, LONGEST_DELAY_SECONDS)
