"""When to commit and when to roll up."""

import math

import pytest

from log_processor.counting import pace
from log_processor.counting.pace import Since


@pytest.mark.parametrize(
    ("took", "behind", "expected"),
    [
        # A short commit.
        (0.0, False, 0.05),
        (0.01, False, 0.05),
        (0.05, False, 0.05),
        # A longer one: three times as long, one second at most.
        (0.06, False, 0.18),
        (0.3, False, 0.9),
        (1.0, False, 1.0),
        (60.0, False, 1.0),
        # A backlog: twenty times as long, half a minute at most, and before the first one, too.
        (0.0, True, 30.0),
        (0.01, True, 0.2),
        (1.0, True, 20.0),
        (60.0, True, 30.0),
    ],
)
def test_the_pause_after_a_commit(took: float, behind: bool, expected: float) -> None:
    assert pace.pause(took, behind) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("now", "took", "behind", "due", "expected"),
    [
        # No line has waited long enough.
        (1_000.0, 0.0, False, math.inf, False),
        (1_001.0, 0.0, False, 1_001.1, False),
        (1_001.0, 0.0, False, 1_001.0, True),
        # Without counts a commit is due when the pause is over.
        (1_000.0, 0.0, False, -math.inf, False),
        (1_001.0, 0.0, False, -math.inf, True),
        # A line is due, but the last commit took 0.2 s and ended 0.5 s ago.
        (1_000.5, 0.2, False, 1_000.0, False),
        (1_000.6, 0.2, False, 1_000.0, True),
        # While a backlog is worked off, no line is due.
        (1_020.0, 1.0, True, math.inf, True),
        (1_019.0, 1.0, True, 1_000.0, False),
        (1_029.0, 0.0, True, 1_000.0, False),
        (1_030.0, 0.0, True, math.inf, True),
    ],
)
def test_whether_a_commit_is_due(now: float, took: float, behind: bool, due: float, expected: bool) -> None:
    assert pace.is_commit_due(now, Since(ended=1_000.0, took=took), behind, due) == expected


@pytest.mark.parametrize(("took", "expected"), [(0.0, 0.0), (0.01, 0.19), (0.1, 1.9)])
def test_a_slice_takes_a_twentieth_of_the_time(took: float, expected: float) -> None:
    assert pace.pause_between_slices(took) == pytest.approx(expected)
    assert took == pytest.approx((took + pace.pause_between_slices(took)) / 20)


@pytest.mark.parametrize(
    ("took", "expected"), [(0.0, 2.0), (0.1, 2.0), (0.2, 3.8), (1.0, 19.0), (2.0, 30.0), (60.0, 30.0)]
)
def test_the_pause_after_a_commit_of_rollups(took: float, expected: float) -> None:
    assert pace.pause_between_rollups(took) == pytest.approx(expected)
