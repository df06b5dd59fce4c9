"""Shutdown of the processor: by a signal, or at once."""

import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

from service.logs import logger

GRACE_SECONDS = 4.0
"""How long a store that is away may delay the shutdown. Docker kills a container after ten seconds."""

log = logger(__name__)


def stop_on_signals(late_status: int = 0) -> threading.Event:
    """An event that SIGTERM and SIGINT set. The source then hands on what it has read, and the flow ends.

    If the flow does not end within the grace period, because the store is away, the process exits with `late_status`.
    """
    stop = threading.Event()

    def set_stop(_signal: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            late = threading.Timer(GRACE_SECONDS, _exit_late, [late_status])
            late.daemon = True
            late.start()

    signal.signal(signal.SIGTERM, set_stop)
    signal.signal(signal.SIGINT, set_stop)
    return stop


def _exit_late(status: int) -> None:
    log.warning("stopped_before_all_was_stored", lines_lost=0, next="the next start reads them again")
    exit_now(status)


def exit_now(status: int) -> NoReturn:
    """Exit from any thread, at once.

    Raising an exception in a step of the dataflow would make Bytewax print tracebacks of two languages. To exit at once
    is safe: the next start reads again what the ledger does not have.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)
