"""What time it is, by two witnesses. No line is rejected for its time, and nothing is removed, on the word of one.

The one is the wall clock, which can be set to anything at any time. The other is what was known before: the time of the
newest stored request, which the monotonic clock carries on.
"""

import time
from collections.abc import Callable

from request_log.line import MAX_SECONDS_AHEAD, SECONDS_A_DAY
from service.logs import logger

# The other witness follows a wall clock that has been ahead of it for so long without a break, in seconds.
BELIEVED_AFTER_SECONDS = 3_600.0
# A line that was accepted is accepted for so many seconds at least: after a crash it is read again.
HELD_SECONDS = 3_600.0
# The wall clock is said to have jumped where it went by so many seconds more, or fewer, than the monotonic one.
JUMP_SECONDS = 10.0

log = logger(__name__)


class CarriedTime:
    """A time that was known, carried on by the monotonic clock. It never goes back."""

    def __init__(self, known: float, wall: float, monotonic: float) -> None:
        """`known`: Unix time, s. `wall` and `monotonic`: what the clocks say, s."""
        self._ahead = known - monotonic
        """Of the monotonic clock, seconds."""
        self._since = monotonic
        self._least_lead = wall - known
        """Of the wall clock over this witness since then, seconds."""

    def time(self, wall: float, monotonic: float) -> float:
        """Its time (Unix, s) when the clocks say this. To be asked often: a wall clock that is ahead for a moment is
        told from one that is ahead for long by the answers between."""
        now = self._ahead + monotonic
        self._least_lead = min(self._least_lead, wall - now)
        if monotonic - self._since >= BELIEVED_AFTER_SECONDS:
            believed = max(0.0, self._least_lead)
            self._ahead += believed
            now += believed
            self._since, self._least_lead = monotonic, wall - now
        return now


class TimeBounds:
    """Asks both witnesses."""

    def __init__(
        self,
        newest: float,
        modified: float,
        latest_second: int = 0,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`newest`: the time of the newest request that is stored; 0: there is none, and the wall clock has to be
        believed. `modified`: the latest modification of a log; 0: not known. `latest_second`: that by which the process
        before judged last; 0: not known. All Unix time, s."""
        self._wall = wall
        self._monotonic = monotonic
        now, began = wall(), monotonic()
        self._known = CarriedTime(newest or now, now, began)
        self._modified_ahead = modified - began
        self._wall_ahead = now - began
        self._held_ahead = latest_second - MAX_SECONDS_AHEAD - began
        """The latest time, of the monotonic clock (s), until then."""
        self._held_until = began + HELD_SECONDS

    def earliest(self) -> float:
        """The earlier of what the witnesses say (Unix time, s): so late it is, whichever of them is right."""
        wall, witness, _ = self._ask()
        return min(wall, witness)

    def latest(self) -> float:
        """The later of what the witnesses say (Unix time, s): later it is not, unless both are wrong. Here the logs'
        files are heard as well: a machine without a clock of its own begins with a time long past. What was the latest
        is held for a while."""
        latest, monotonic = max(self._ask()), self._monotonic()
        if latest - monotonic >= self._held_ahead or monotonic >= self._held_until:
            self._held_ahead, self._held_until = latest - monotonic, monotonic + HELD_SECONDS
        return self._held_ahead + monotonic

    def oldest_day(self, retention_days: int) -> int:
        """The first day that is kept, days since 1970-01-01."""
        return int(self.earliest()) // SECONDS_A_DAY - retention_days

    def latest_second(self) -> int:
        """The latest that a request may have, Unix time."""
        return int(self.latest()) + MAX_SECONDS_AHEAD

    def _ask(self) -> tuple[float, float, float]:
        wall, monotonic = self._wall(), self._monotonic()
        ahead = wall - monotonic
        if abs(ahead - self._wall_ahead) > JUMP_SECONDS:
            log.warning("clock_jumped", seconds=round(ahead - self._wall_ahead))
        self._wall_ahead = ahead
        return wall, self._known.time(wall, monotonic), self._modified_ahead + monotonic
