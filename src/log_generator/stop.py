"""Being asked to stop."""

import os
import select
import signal


class StopSignal:
    """SIGTERM and SIGINT, as something to wait for. They interrupt nothing: what is under way is finished first."""

    def __init__(self) -> None:
        self._wakeup, arrival = os.pipe()
        os.set_blocking(arrival, False)
        signal.set_wakeup_fd(arrival)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Without a handler of Python's the signal would not reach the descriptor.
            signal.signal(number, lambda _number, _frame: None)

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until a signal has arrived. Returns whether one has."""
        arrived, _, _ = select.select([self._wakeup], [], [], seconds)
        return bool(arrived)
