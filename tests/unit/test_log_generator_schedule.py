"""How log_generator keeps to its rate."""

from collections import defaultdict
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from log_generator.schedule import MAX_LINES_AT_ONCE, follow, plan


@given(
    batch_size=st.integers(1, 3 * MAX_LINES_AT_ONCE),
    interval=st.floats(0.001, 100),
    limit=st.integers(1, 100_000),
)
def test_the_plan_is_a_full_batch_each_interval_until_the_limit(batch_size: int, interval: float, limit: int) -> None:
    due: dict[float, int] = defaultdict(int)
    for seconds, lines in islice(plan(batch_size, interval, limit), 1000):
        assert 1 <= lines <= MAX_LINES_AT_ONCE
        due[seconds] += lines
    batches = list(due.values())
    assert list(due) == [interval * number for number in range(len(batches))]
    assert set(batches[:-1]) <= {batch_size}
    if len(batches) < 300:
        assert sum(batches) == limit


def test_without_a_limit_the_plan_has_no_end() -> None:
    assert list(islice(plan(10, 0.5, 0), 3)) == [(0.0, 10), (0.5, 10), (1.0, 10)]


class Clock:
    """A clock that only waiting and writing move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


def test_the_time_that_writing_takes_does_not_lower_the_rate() -> None:
    clock = Clock()
    written: list[tuple[float, int]] = []

    def write(lines: int) -> None:
        written.append((clock.now, lines))
        clock.now += 0.75

    with capture_logs() as events:
        assert follow(plan(10, 1.0, 600), write, clock.wait, clock=lambda: clock.now) == 600
    assert written == [(1000.0 + second, 10) for second in range(60)]
    assert {event["event"] for event in events} == {"progress"}
    assert [event["lines"] for event in events] == [110, 210, 310, 410, 510]


def test_what_was_late_is_caught_up_and_told() -> None:
    clock = Clock()
    written: list[float] = []

    def write(_lines: int) -> None:
        written.append(clock.now - 1000)
        # The third write hangs.
        clock.now += 5.5 if len(written) == 3 else 0.0

    with capture_logs() as events:
        follow(plan(10, 1.0, 250), write, clock.wait, clock=lambda: clock.now)
    assert written == [0, 1, 2, *[7.5] * 5, *range(8, 25)]
    assert [(event["event"], event["log_level"]) for event in events] == [
        ("behind_schedule", "warning"),
        ("progress", "info"),
    ]
    assert events[0]["seconds_late"] == pytest.approx(4.5)
    assert events[0]["lines"] == 110


def test_a_stop_ends_it_before_the_next_lines() -> None:
    written: list[int] = []
    assert follow(plan(10, 1.0, 0), written.append, wait=lambda _: len(written) == 3, clock=lambda: 0.0) == 30
    assert written == [10, 10, 10]
