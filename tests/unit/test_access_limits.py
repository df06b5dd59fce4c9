"""Limits of callers: token buckets."""

from api.access.limits import BURST_SECONDS, Limits


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_taken_and_then_the_rate_holds() -> None:
    clock = Clock()
    limits = Limits(10.0, clock)
    assert [limits.take("a") for _ in range(int(10 * BURST_SECONDS))] == [0.0] * 40
    assert limits.take("a") == 0.1
    clock.now += 0.05
    assert 0.04 < limits.take("a") < 0.06
    clock.now += 0.06
    assert limits.take("a") == 0.0
    assert limits.take("a") > 0.0


def test_each_caller_has_a_bucket() -> None:
    clock = Clock()
    limits = Limits(1.0, clock)
    for _ in range(4):
        assert limits.take("a") == 0.0
    assert limits.take("a") == 1.0
    assert limits.take("b") == 0.0
    clock.now += 3_600
    assert [limits.take("a") for _ in range(5)] == [0.0] * 4 + [1.0]


def test_a_refused_request_takes_nothing() -> None:
    clock = Clock()
    limits = Limits(1.0, clock)
    for _ in range(100):
        limits.take("a")
    clock.now += 1.0
    assert limits.take("a") == 0.0


def test_many_callers_do_not_free_one_that_asks_on() -> None:
    clock = Clock()
    limits = Limits(1.0, clock)
    for _ in range(4):
        limits.take("busy")
    for number in range(25_000):
        limits.take(f"caller {number}")
        if number % 5_000 == 0:
            assert limits.take("busy") > 0.0
