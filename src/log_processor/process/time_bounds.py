"""Which times a request may have: bounds by two clocks, neither of which is trusted alone.

One is the wall clock, which can be set to anything at any time. The other is a time that is carried on by the monotonic
clock: that of the process before or, where there was none, of the newest stored request. A line is rejected, and a day
removed, only where both clocks agree.
"""

import time
from collections.abc import Callable

from request_log.line import MAX_SECONDS_AHEAD, SECONDS_A_DAY
from service.logs import logger

BELIEVED_AFTER_SECONDS = 3_600.0
"""The carried time follows a wall clock that has been ahead of it for this long without a break."""
HELD_SECONDS = 3_600.0
"""The upper bound does not fall for this long: a line that was accepted is accepted again after a crash."""
JUMP_SECONDS = 10.0
"""The wall clock has jumped if it went this much more, or less, than the monotonic clock."""

log = logger(__name__)


class CarriedTime:
    """A known time, carried on by the monotonic clock. It never goes back."""

    def __init__(self, known: float, wall: float, monotonic: float) -> None:
        """`known`: Unix time, s. `wall` and `monotonic`: the clocks at that time, s."""
        self._ahead = known - monotonic
        """How far the carried time is ahead of the monotonic clock, seconds."""
        self._since = monotonic
        self._least_lead = wall - known
        """The smallest lead of the wall clock over the carried time since then, seconds."""

    def time(self, wall: float, monotonic: float) -> float:
        """The carried time (Unix, s) at these times of the clocks. Call it often: the calls between tell a wall clock
        that is ahead for a while from one that is ahead for good."""
        now = self._ahead + monotonic
        self._least_lead = min(self._least_lead, wall - now)
        if monotonic - self._since >= BELIEVED_AFTER_SECONDS:
            believed = max(0.0, self._least_lead)
            self._ahead += believed
            now += believed
            self._since, self._least_lead = monotonic, wall - now
        return now


class TimeBounds:
    """The bounds, by the wall clock and the carried time."""

    def __init__(
        self,
        newest: float,
        modified: float,
        latest_second: int = 0,
        carried: float = 0,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`newest`: the time of the newest stored request; 0: there is none, and the wall clock is trusted alone.
        `modified`: the latest modification of a log; 0: not known. `latest_second`: the upper bound that the process
        before used last, `carried`: its carried time; 0: not known. All are Unix time, s."""
        self._wall = wall
        self._monotonic = monotonic
        now, began = wall(), monotonic()
        # The newest line may be ahead of its time. With each start it would move the bounds, and one far ahead would
        # leave the wall clock alone to tell which days are over.
        self._carried = CarriedTime((newest and carried) or newest or now, now, began)
        self._modified_ahead = modified - began
        self._wall_ahead = now - began
        self._held_ahead = latest_second - MAX_SECONDS_AHEAD - began
        """The held upper bound: how far it is ahead of the monotonic clock, seconds."""
        self._held_until = began + HELD_SECONDS

    def carried(self) -> float:
        """The carried time (Unix, s)."""
        return self._read()[1]

    def earliest(self) -> float:
        """The earlier of both clocks (Unix time, s). It is at least this late, whichever of them is right."""
        wall, carried, _ = self._read()
        return min(wall, carried)

    def latest(self) -> float:
        """The later of both clocks (Unix time, s). It is no later than this, unless both are wrong. The modification
        times of the logs count as well: a machine without a hardware clock starts with a time long past. The latest
        value is held for a while."""
        latest, monotonic = max(self._read()), self._monotonic()
        if latest - monotonic >= self._held_ahead or monotonic >= self._held_until:
            self._held_ahead, self._held_until = latest - monotonic, monotonic + HELD_SECONDS
        return self._held_ahead + monotonic

    def oldest_day(self, retention_days: int) -> int:
        """The first day that is kept, as days since 1970-01-01."""
        return int(self.earliest()) // SECONDS_A_DAY - retention_days

    def latest_second(self) -> int:
        """The latest time that a request may have, Unix time."""
        return int(self.latest()) + MAX_SECONDS_AHEAD

    def _read(self) -> tuple[float, float, float]:
        wall, monotonic = self._wall(), self._monotonic()
        ahead = wall - monotonic
        if abs(ahead - self._wall_ahead) > JUMP_SECONDS:
            log.warning("clock_jumped", seconds=round(ahead - self._wall_ahead))
        self._wall_ahead = ahead
        return wall, self._carried.time(wall, monotonic), self._modified_ahead + monotonic
