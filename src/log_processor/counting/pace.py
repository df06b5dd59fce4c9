"""When to commit and when to roll up, as functions of numbers. All times are seconds of the monotonic clock."""

import math
from typing import NamedTuple

# Pauses after a commit, which takes time from storing requests: the more customers are busy, the more. After a commit
# that took longer than the shortest pause, the pause is PAUSE_FACTOR times as long as the commit.
SHORTEST_PAUSE_SECONDS = 0.05
PAUSE_FACTOR = 3
LONGEST_PAUSE_SECONDS = 1.0
# The same while a backlog is worked off.
PAUSE_FACTOR_BEHIND = 20
LONGEST_PAUSE_BEHIND_SECONDS = 30.0
# The counts of a batch are committed when its wait is over, at most this many seconds after it came.
LONGEST_WAIT_SECONDS = 1.0
# Pauses by which rolling up takes a twentieth of the time: between slices, and between commits of roll-ups.
ROLLUP_PAUSE_FACTOR = 19
SHORTEST_ROLLUP_PAUSE_SECONDS = 2.0
LONGEST_ROLLUP_PAUSE_SECONDS = 30.0


class Since(NamedTuple):
    """What the pause before the next commit depends on."""

    ended: float
    """The time at which the last commit ended."""
    took: float
    """Seconds that the last commit with counts took; 0 before the first one."""


def pause(took: float, behind: bool) -> float:
    """The pause after a commit that took `took`. `behind`: whether a backlog is worked off."""
    if behind:
        # How long the first commit takes is not yet known.
        return min(PAUSE_FACTOR_BEHIND * (took or math.inf), LONGEST_PAUSE_BEHIND_SECONDS)
    return min(PAUSE_FACTOR * took, LONGEST_PAUSE_SECONDS) if took > SHORTEST_PAUSE_SECONDS else SHORTEST_PAUSE_SECONDS


def is_commit_due(now: float, since: Since, behind: bool, due: float) -> bool:
    """Whether it is time for a commit. `due`: until when the first uncommitted line may wait."""
    return now >= since.ended + pause(since.took, behind) and (behind or now >= due)


def pause_between_slices(took: float) -> float:
    """The pause after a slice of roll-ups that took `took`."""
    return ROLLUP_PAUSE_FACTOR * took


def pause_between_rollups(took: float) -> float:
    """The pause after a commit of roll-ups that took `took` in all. Rows grow during the day, and a commit writes all
    changed rows anew."""
    return min(max(SHORTEST_ROLLUP_PAUSE_SECONDS, ROLLUP_PAUSE_FACTOR * took), LONGEST_ROLLUP_PAUSE_SECONDS)
