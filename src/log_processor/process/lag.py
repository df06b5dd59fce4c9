"""How long each log has had lines that are not counted."""

from storage.logs import LedgerRow


class Lag:
    """Measures by the monotonic clock. The times in the lines cannot serve: a time in the future would hide a lag."""

    def __init__(self) -> None:
        self._complete: dict[str, float] = {}
        """Log -> when all of it was last seen counted, monotonic seconds."""
        self._first_seen: dict[str, float] = {}
        """Log -> when it was first seen, monotonic seconds."""

    def seconds(self, row: LedgerRow, behind: int, wall: float, monotonic: float) -> float:
        """How long the log has been behind, in seconds; 0 where it is not. Call it at each look at the logs.

        `behind`: bytes that are not counted. `wall`: Unix time, s. `monotonic`: monotonic seconds.

        A log that was never seen complete has been behind since before it was first seen. Its lag is then counted from
        the time that the log has reached, if that lies in the past.
        """
        if not behind:
            self._complete[row.log] = monotonic
            return 0.0
        if row.log in self._complete:
            return monotonic - self._complete[row.log]
        observed = monotonic - self._first_seen.setdefault(row.log, monotonic)
        return max(observed, wall - row.reached) if row.reached else observed
