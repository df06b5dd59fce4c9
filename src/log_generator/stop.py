"""Stops the program on a signal."""

import os
import select
import signal


class StopSignal:
    """Waits for SIGTERM and SIGINT. The signals interrupt nothing: work under way is finished first."""

    def __init__(self) -> None:
        self._wakeup, arrival = os.pipe()
        os.set_blocking(arrival, False)
        signal.set_wakeup_fd(arrival)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Without a Python handler, the signal would not reach the descriptor.
            signal.signal(number, lambda _number, _frame: None)

    def wait(self, seconds: float) -> bool:
        """Wait a number of seconds, or until a signal arrives. Returns whether one has arrived."""
        arrived, _, _ = select.select([self._wakeup], [], [], seconds)
        return bool(arrived)
