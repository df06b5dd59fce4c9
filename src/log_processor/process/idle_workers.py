"""Lets Bytewax's idle workers sleep longer.

One worker reads, parses and stores. The other workers, and the thread that waits for them, wake up every millisecond to
look for work. At rest that costs more than all the rest, and under load a tenth of the busy worker's speed. Bytewax has
no setting for it. Linux has: a thread's timer slack is how much longer than asked for it may sleep. A worker that gets
work is woken at once all the same.
"""

import threading
from pathlib import Path

from service.logs import logger

_SLACK_NANOSECONDS = 50_000_000
"""Timer slack of idle workers."""
_DEFAULT_SLACK_NANOSECONDS = 50_000
"""Timer slack that Linux gives a thread."""

log = logger(__name__)


def let_threads_oversleep() -> None:
    """Let this thread, and the threads that it starts from now on, sleep up to 50 ms longer than they ask for."""
    _set_timer_slack(_SLACK_NANOSECONDS)


def do_not_oversleep() -> None:
    """Let this thread, and the threads that it starts from now on, sleep as long as they ask for."""
    _set_timer_slack(_DEFAULT_SLACK_NANOSECONDS)


def _set_timer_slack(nanoseconds: int) -> None:
    # See proc(5).
    try:
        Path(f"/proc/{threading.get_native_id()}/timerslack_ns").write_text(str(nanoseconds))
    except OSError as error:
        # Other systems than Linux have no such file. The only cost is CPU time.
        log.debug("idle_workers_keep_waking", reason=error.strerror)
