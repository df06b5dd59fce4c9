"""How the processor ends."""

import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

from service.logs import logger

# So long a store that is away may hold up the end.
GRACE_SECONDS = 4.0

log = logger(__name__)


def stop_on_signals(late_status: int = 0) -> threading.Event:
    """An event that SIGTERM and SIGINT set: the source then hands on what it has read, and the flow runs dry.

    Where it does not within four seconds, because the store is away, the process ends all the same, with `late_status`.
    """
    stop = threading.Event()

    def set_stop(_signal: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            late = threading.Timer(GRACE_SECONDS, _leave_late, [late_status])
            late.daemon = True
            late.start()

    signal.signal(signal.SIGTERM, set_stop)
    signal.signal(signal.SIGINT, set_stop)
    return stop


def _leave_late(status: int) -> None:
    log.warning("stopped_before_all_was_stored", lines_lost=0, next="the next start reads them again")
    leave(status)


def leave(status: int) -> NoReturn:
    """End the process from any thread, now.

    An exception in a dataflow's step makes Bytewax print the traces of two languages. Ending at once is safe: what the
    ledger does not have is read again.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)
