"""What time it is, by two witnesses, and what follows from it."""

import os
import time
from pathlib import Path

import pytest

from log_processor.heartbeat import LATE_SECONDS, is_alive
from log_processor.process.lag import Lag
from log_processor.process.time_bounds import TimeBounds
from request_log.line import SECONDS_A_DAY
from storage.logs import LedgerRow, Position

HOUR, DAY, YEAR = 3_600, SECONDS_A_DAY, 365 * SECONDS_A_DAY
NOW = 20_000 * DAY + 10 * HOUR


class Watched:
    """A clock whose witnesses the test moves."""

    def __init__(
        self, newest: float, modified: float = 0, wrong_by: float = 0, latest_second: int = 0, carried: float = 0
    ) -> None:
        """`wrong_by`: of the wall clock, seconds."""
        self.wrong_by = wrong_by
        self.passed = 0.0
        self.time_bounds = TimeBounds(
            newest,
            modified,
            latest_second,
            carried,
            wall=lambda: NOW + self.wrong_by + self.passed,
            monotonic=lambda: 1_000 + self.passed,
        )

    def go(self, seconds: float, step: float = 600) -> None:
        """Let time pass, and ask the clock every so often."""
        end = self.passed + seconds
        while self.passed < end:
            self.passed = min(end, self.passed + step)
            self.time_bounds.earliest()

    def says(self) -> tuple[float, float]:
        """How far the earliest and the latest are from the right time, seconds."""
        lead = (self.time_bounds.earliest() - NOW - self.passed, self.time_bounds.latest() - NOW - self.passed)
        return round(lead[0], 6), round(lead[1], 6)


def test_the_upper_bound_does_not_climb_from_start_to_start() -> None:
    newest = latest_second = 0
    carried = 0.0
    for _ in range(5):
        time_bounds = Watched(newest, latest_second=latest_second, carried=carried).time_bounds
        latest_second, carried = time_bounds.latest_second(), time_bounds.carried()
        assert latest_second == NOW + DAY
        # A line that is as far ahead as lines may be.
        newest = latest_second


def test_a_line_far_ahead_does_not_leave_the_wall_clock_alone() -> None:
    # A file that was modified far ahead lets it in.
    first = Watched(NOW, modified=NOW + 60 * YEAR)
    assert first.says() == (0, 60 * YEAR)
    newest = NOW + 60 * YEAR
    second = Watched(newest, carried=first.time_bounds.carried())
    assert second.says() == (0, 0)
    second.wrong_by = YEAR
    assert second.says() == (0, YEAR)
    third = Watched(newest, wrong_by=YEAR, carried=second.time_bounds.carried())
    assert third.says() == (0, YEAR)


def test_a_clock_that_stays_behind_takes_nothing_from_what_is_known_of_the_time() -> None:
    carried = 0.0
    for _ in range(3):
        watched = Watched(NOW, wrong_by=-YEAR, carried=carried)
        assert watched.says() == (-YEAR, 0)
        carried = watched.time_bounds.carried()


@pytest.mark.parametrize(
    ("newest", "modified", "wrong_by", "earliest", "latest"),
    [
        (NOW, 0, 0, 0, 0),
        # Nothing was read for some days.
        (NOW - 3 * DAY, NOW - 3 * DAY, 0, -3 * DAY, 0),
        # The wall clock alone is wrong.
        (NOW, NOW, YEAR, 0, YEAR),
        (NOW, NOW, -YEAR, -YEAR, 0),
        # Of a new store, and of one without a request, there is no other witness; of too new lines the file is one.
        (0, 0, YEAR, YEAR, YEAR),
        (0, 0, -YEAR, -YEAR, -YEAR),
        (0, NOW, -YEAR, -YEAR, 0),
    ],
)
def test_nothing_is_old_or_new_by_one_witness_alone(
    newest: float, modified: float, wrong_by: float, earliest: float, latest: float
) -> None:
    watched = Watched(newest, modified, wrong_by)
    assert watched.says() == (earliest, latest)
    assert watched.time_bounds.oldest_day(45) == (NOW + earliest) // DAY - 45
    assert watched.time_bounds.latest_second() == NOW + latest + DAY


def test_a_clock_that_is_far_ahead_for_less_than_an_hour_is_not_believed() -> None:
    watched = Watched(NOW)
    for _ in range(50):
        watched.wrong_by = YEAR
        watched.go(0.9 * HOUR)
        assert watched.says() == (0, YEAR)
        watched.wrong_by = 0
        watched.go(HOUR / 6)
        assert watched.says()[0] == 0


def test_what_was_accepted_is_accepted_for_an_hour() -> None:
    watched = Watched(NOW)
    watched.wrong_by = YEAR
    assert watched.says() == (0, YEAR)
    watched.wrong_by = 0
    watched.go(0.9 * HOUR)
    assert watched.says() == (0, YEAR)
    watched.go(0.2 * HOUR)
    assert watched.says() == (0, 0)


def test_what_the_process_before_accepted_is_accepted_for_an_hour() -> None:
    watched = Watched(NOW, latest_second=NOW + 3 * DAY)
    assert watched.time_bounds.latest_second() == NOW + 3 * DAY
    watched.go(1.1 * HOUR)
    assert watched.says() == (0, 0)
    # Unless it is later by now.
    assert Watched(NOW, latest_second=NOW).says() == (0, 0)


def test_a_clock_that_goes_on_is_believed_after_two_hours_though_nothing_is_logged() -> None:
    watched = Watched(NOW - 3 * DAY)
    watched.go(2 * HOUR)
    assert watched.says() == (0, 0)
    watched.go(100 * DAY, step=HOUR / 2)
    assert watched.says() == (0, 0)


def test_of_a_clock_that_jumps_again_only_the_lesser_lead_is_believed() -> None:
    watched = Watched(NOW - DAY)
    watched.go(0.9 * HOUR)
    watched.wrong_by = YEAR
    watched.go(0.2 * HOUR)
    assert watched.says() == (0, YEAR)


def test_a_clock_that_was_set_back_rejects_nothing_and_removes_nothing() -> None:
    watched = Watched(NOW)
    watched.go(HOUR)
    watched.wrong_by = -10 * YEAR
    watched.go(2 * DAY)
    assert watched.says() == (-10 * YEAR, 0)
    watched.wrong_by = 0
    assert watched.says() == (0, 0)


def test_a_jump_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    watched = Watched(NOW)
    watched.go(HOUR)
    watched.wrong_by = -HOUR
    watched.go(HOUR)
    said = capsys.readouterr().out
    assert said.count("clock_jumped") == 1
    assert "seconds=-3600" in said or "-3600" in said


def row(newest: int) -> LedgerRow:
    return LedgerRow("log", "/log", Position(0, 0), Position(0, 10), newest=newest)


@pytest.mark.parametrize("newest", [0, NOW - 5, NOW + DAY])
def test_a_lag_is_reckoned_from_when_the_log_was_last_complete(newest: int) -> None:
    lag = Lag()
    assert lag.seconds(row(newest), 0, NOW, 100) == 0
    assert lag.seconds(row(newest), 50, NOW + 1, 101) == 1
    # Whatever the wall clock says.
    assert lag.seconds(row(newest), 50, NOW - HOUR, 160) == 60
    assert lag.seconds(row(newest), 0, NOW - HOUR, 170) == 0


@pytest.mark.parametrize(("newest", "then", "later"), [(NOW - HOUR, HOUR, HOUR + 60), (NOW + DAY, 0, 60), (0, 0, 60)])
def test_a_log_that_was_never_complete_lags_as_its_newest_request(newest: int, then: float, later: float) -> None:
    lag = Lag()
    assert lag.seconds(row(newest), 50, NOW, 100) == then
    assert lag.seconds(row(newest), 50, NOW + 60, 160) == later


@pytest.mark.parametrize(("age", "alive"), [(0, True), (LATE_SECONDS + 5, False), (-HOUR, False), (YEAR, False)])
def test_a_heartbeat_in_the_future_is_none(tmp_path: Path, age: float, alive: bool) -> None:
    heartbeat = tmp_path / "heartbeat"
    assert not is_alive(heartbeat)
    heartbeat.touch()
    now = time.time()
    os.utime(heartbeat, (now - age, now - age))
    assert is_alive(heartbeat) is alive
