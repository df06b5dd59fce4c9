"""How the processor ends."""

import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set: the source then hands on what it has read, and the flow runs dry."""
    stop = threading.Event()

    def set_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, set_stop)
    signal.signal(signal.SIGINT, set_stop)
    return stop


def leave(status: int) -> NoReturn:
    """End the process from any thread, now.

    An exception in a dataflow's step makes Bytewax print the traces of two languages. Ending at once is safe: what the
    ledger does not have is read again.
    """
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)
