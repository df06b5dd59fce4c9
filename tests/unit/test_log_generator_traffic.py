"""The requests that log_generator makes up."""

from collections import Counter, defaultdict
from datetime import datetime, timezone
from itertools import pairwise
from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from log_generator.traffic import FAILED, PATHS, SUCCEEDED, Traffic
from request_log.formats.simple import parse
from request_log.line import SECONDS_A_DAY
from request_log.requests import Requests

NOW = 1_790_000_000.9


def requests(data: bytes) -> Requests:
    valid, rejected, *_ = parse(data)
    assert rejected == []
    return valid


def without_times(data: bytes) -> list[bytes]:
    return [line.split(b" ", 2)[2] for line in data.splitlines()]


@given(
    seed=st.integers(),
    customers=st.integers(1, 50),
    history_days=st.integers(0, 3650),
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=4),
)
def test_every_line_is_a_request_of_a_known_customer_and_time(
    seed: int, customers: int, history_days: int, counts: list[int]
) -> None:
    traffic = Traffic(seed, customers, history_days)
    valid = requests(b"".join(traffic.lines(count, NOW) for count in counts))
    assert len(valid) == sum(counts)
    assert set(valid.customer_ids()) <= {f"cust_{number}" for number in range(1, customers + 1)}
    assert set(valid.request_paths()) <= set(PATHS)
    assert set(valid.statuses) <= {*SUCCEEDED, *FAILED}
    assert int(NOW) - history_days * SECONDS_A_DAY <= min(valid.seconds)
    assert max(valid.seconds) <= int(NOW)


@given(seed=st.integers(), cuts=st.lists(st.integers(1, 60), min_size=2, max_size=5))
def test_a_seed_gives_the_same_requests_however_they_are_batched_and_timed(seed: int, cuts: list[int]) -> None:
    at_once = Traffic(seed, customers=30).lines(sum(cuts), NOW)
    spread = Traffic(seed, customers=30, history_days=45)
    in_batches = b"".join(spread.lines(count, NOW + 1000 * count) for count in cuts)
    assert without_times(at_once) == without_times(in_batches)


def test_another_seed_gives_other_requests() -> None:
    first, second = (without_times(Traffic(seed, customers=20).lines(100, NOW)) for seed in (1, 2))
    assert first != second


def test_history_is_spread_over_all_its_days_in_no_order() -> None:
    seconds = requests(Traffic(1, 20, history_days=10).lines(20_000, NOW)).seconds
    days_ago = Counter(int((NOW - second) // SECONDS_A_DAY) for second in seconds)
    assert sorted(days_ago) == list(range(10))
    assert min(days_ago.values()) > 1500
    assert sum(earlier < later for earlier, later in pairwise(seconds)) < 12_000


def test_traffic_looks_real() -> None:
    valid = requests(Traffic(1, customers=100).lines(100_000, NOW))

    busyness = Counter(valid.customer_ids())
    assert len(busyness) == 100
    assert busyness["cust_1"] > 5 * busyness["cust_10"] > 10 * busyness["cust_100"]

    assert set(valid.statuses) == {*SUCCEEDED, *FAILED}
    failures = Counter(
        customer for customer, status in zip(valid.customer_ids(), valid.statuses, strict=True) if status >= 400
    )
    assert 0.005 < failures.total() / len(valid) < 0.1
    rates = sorted(failures[customer] / total for customer, total in busyness.items())
    assert rates[95] > 3 * rates[50] > 0

    latencies: dict[str, list[int]] = defaultdict(list)
    for path, latency in zip(valid.request_paths(), valid.latencies, strict=True):
        latencies[path].append(latency)
    for path, (_, median_ms) in PATHS.items():
        assert 0.8 * median_ms <= median(latencies[path]) <= 1.2 * median_ms
    searches = sorted(latencies["/api/v1/products/search"])
    assert searches[len(searches) * 99 // 100] > 4 * median(searches)


def test_lines_in_bulk_are_those_of_their_requests_one_by_one() -> None:
    data = Traffic(1, 20, history_days=3650).lines(500, NOW)
    valid = requests(data)
    one_by_one = [
        f"{datetime.fromtimestamp(second, timezone.utc):%Y-%m-%d %H:%M:%S} {customer} {path} {status}"
        f" {latency / 1000:.3f}\n".encode()
        for second, customer, path, status, latency in zip(
            valid.seconds, valid.customer_ids(), valid.request_paths(), valid.statuses, valid.latencies, strict=True
        )
    ]
    assert data == b"".join(one_by_one)
