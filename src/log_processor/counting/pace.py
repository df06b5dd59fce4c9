"""When to commit and when to roll up: functions of numbers. All times are seconds, of a clock that is never set."""

import math
from typing import NamedTuple

# A commit takes time from storing requests, the more the more customers are busy. So the next one waits at least
# this long; three times as long as this one took, if it took longer.
SHORTEST_PAUSE_SECONDS = 0.05
PAUSE_FACTOR = 3
LONGEST_PAUSE_SECONDS = 5.0
# While a backlog is worked off.
PAUSE_FACTOR_BEHIND = 20
LONGEST_PAUSE_BEHIND_SECONDS = 30.0
# The counts of a batch that is full before its wait is over come when that is: this much later at most.
LONGEST_WAIT_SECONDS = 1.0
# Rolling up takes a twentieth of the time: slice by slice while lines come, and as a whole.
ROLLUP_PAUSE_FACTOR = 19
SHORTEST_ROLLUP_PAUSE_SECONDS = 2.0
LONGEST_ROLLUP_PAUSE_SECONDS = 30.0


class Since(NamedTuple):
    """What the pause before the next commit depends on."""

    ended: float
    """When the last commit ended."""
    took: float
    """How long the last one with counts took; 0 before there was one."""


def pause(took: float, behind: bool) -> float:
    """How long to wait after a commit that took so long. `behind`: whether a backlog is worked off."""
    if behind:
        # Nobody knows yet how long the first one takes.
        return min(PAUSE_FACTOR_BEHIND * (took or math.inf), LONGEST_PAUSE_BEHIND_SECONDS)
    return min(PAUSE_FACTOR * took, LONGEST_PAUSE_SECONDS) if took > SHORTEST_PAUSE_SECONDS else SHORTEST_PAUSE_SECONDS


def is_commit_due(now: float, since: Since, behind: bool, due: float) -> bool:
    """Whether it is time for a commit. `due`: when the first uncommitted line has waited as long as it may."""
    return now >= since.ended + pause(since.took, behind) and (behind or now >= due)


def pause_between_slices(took: float) -> float:
    """How long to wait after a slice of rolling up that took so long."""
    return ROLLUP_PAUSE_FACTOR * took


def pause_between_rollups(took: float) -> float:
    """How long to wait after a commit of roll-ups that took so long in all: rows grow with the day, and each time all
    that changed are written anew."""
    return min(max(SHORTEST_ROLLUP_PAUSE_SECONDS, ROLLUP_PAUSE_FACTOR * took), LONGEST_ROLLUP_PAUSE_SECONDS)
