"""Lets Bytewax's idle workers sleep.

One worker reads, parses and stores. Each of the others, and the thread that waits for them, wakes up every millisecond
to see whether there is something to do, which costs more than all the rest at rest and takes a tenth of its speed from
the one that works. Bytewax has no setting for it, but Linux has: a thread's timer slack, by which it may sleep longer
than it asked for. A worker that is sent something is woken at once all the same.
"""

import threading
from pathlib import Path

from service.logs import logger

_SLACK_NANOSECONDS = 50_000_000
_DEFAULT_SLACK_NANOSECONDS = 50_000

log = logger(__name__)


def let_threads_oversleep() -> None:
    """From here on this thread, and those that it begins, sleep up to 50 ms longer than they ask for."""
    _set_timer_slack(_SLACK_NANOSECONDS)


def do_not_oversleep() -> None:
    """This thread, and those that it begins, sleep as long as they ask for."""
    _set_timer_slack(_DEFAULT_SLACK_NANOSECONDS)


def _set_timer_slack(nanoseconds: int) -> None:
    # See proc(5).
    try:
        Path(f"/proc/{threading.get_native_id()}/timerslack_ns").write_text(str(nanoseconds))
    except OSError as error:
        # It costs CPU, and nothing else. Another system than Linux has no such file.
        log.debug("idle_workers_keep_waking", reason=error.strerror)
