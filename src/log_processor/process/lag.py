"""For how long each log has had lines that are not counted, by what was observed of it."""

from storage.logs import LedgerRow


class Lag:
    """Goes by the monotonic clock, and not by what times the lines say: one in the future would hide a lag."""

    def __init__(self) -> None:
        self._complete: dict[str, float] = {}
        """When each log was last seen with all of it counted, monotonic seconds."""
        self._first_seen: dict[str, float] = {}

    def seconds(self, row: LedgerRow, behind: int, wall: float, monotonic: float) -> float:
        """For how long the log has been behind, 0 where it is not; to be asked at each look. `behind`: bytes that are
        not counted. `wall`: Unix time, s.

        A log that was never seen complete has been behind for longer than it was seen: since the time of its newest
        request that is counted, as far as that lies in the past.
        """
        if not behind:
            self._complete[row.log] = monotonic
            return 0.0
        if row.log in self._complete:
            return monotonic - self._complete[row.log]
        observed = monotonic - self._first_seen.setdefault(row.log, monotonic)
        return max(observed, wall - row.newest) if row.newest else observed
