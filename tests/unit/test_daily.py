"""Requests are counted in their daily aggregates exactly once, also in a redo."""

from collections import Counter
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_processor.counting.buffer import Buffer
from parsed_log import parse, parsed_line
from request_log.formats import simple
from request_log.requests import NONE, Requests
from rollups import daily
from rollups.counters import unpack
from rollups.counts import NO_COUNTS, DailyAggregate, DailyKey
from rollups.daily import DailyDelta
from rollups.rows import decode_daily, encode_daily


def second_of(date: str) -> int:
    """Unix time: a quarter past four in the afternoon."""
    return int(datetime.fromisoformat(f"{date}T16:15:35+00:00").timestamp())


EMPTY = DailyAggregate(NO_COUNTS, NO_COUNTS)
customers = st.sampled_from(["a", "b", "ü", "c" * 256])
dates = st.sampled_from(["1970-01-01", "2026-11-23", "2026-11-24", "2199-12-31"])
lines = st.builds(
    lambda date, customer, status, duration: parsed_line(second_of(date), customer, "/api", status, duration),
    dates,
    customers,
    st.just(0) | st.integers(100, 999),
    st.sampled_from(["", "0", "0.0005", "0.772", "86400"]),
)
contents = st.lists(lines, min_size=1, max_size=60)

Counters = dict[DailyKey, tuple[Counter[int], Counter[int]]]
"""Statuses and latencies."""


def parsed(content: list[bytes]) -> Requests:
    requests, rejected, *_ = parse(b"".join(content))
    assert not rejected
    return requests.to_count()


def buffer_of(content: list[bytes], cuts: list[int]) -> Buffer:
    """The lines in batches that begin at these indices."""
    buffer = Buffer()
    for first, last in pairwise(sorted({0, len(content), *(cut % len(content) for cut in cuts)})):
        buffer.take(parsed(content[first:last]))
    return buffer


def one_by_one(content: list[bytes]) -> Counters:
    """The counts of these lines."""
    rows: Counters = {}
    for line in content:
        requests = parsed([line])
        for customer in (requests.names[0], None):
            key = DailyKey(customer, int(requests.days[0]))
            statuses, latencies = rows.setdefault(key, (Counter(), Counter()))
            statuses[int(requests.statuses[0])] += 1
            if requests.latencies[0] != NONE:
                latencies[int(requests.latencies[0])] += 1
    return rows


def add(buffer: Buffer, rows: dict[DailyKey, DailyAggregate], commit: int) -> None:
    for delta in daily.daily_deltas(buffer.parts, buffer.customers()):
        rows[delta.key] = daily.add(delta, rows.get(delta.key, EMPTY), commit)


def counters(rows: dict[DailyKey, DailyAggregate]) -> Counters:
    return {key: (counts.statuses, counts.latencies) for key, row in rows.items() for counts in [unpack(row)]}


def test_an_aggregate_a_delta_and_their_sum() -> None:
    requests, *_ = simple.parse(
        b"2026-11-23 16:15:35 cust_1 /api 200 0.772\n"
        b"2026-11-23 16:15:36 cust_1 /api 404 0.020\n"
        b"2026-11-23 16:45:00 cust_1 /api 200 0.772\n"
    )
    buffer = Buffer()
    buffer.take(requests)
    of_all, of_customer = daily.daily_deltas(buffer.parts, buffer.customers())
    # 200 twice and 404 once; 20 ms once and 772 ms twice.
    assert of_customer == DailyDelta(DailyKey("cust_1", 20_780), "HyACUAQIAAQA=", "HFAAEAwEAAgA=")
    assert of_all == of_customer._replace(key=DailyKey(None, 20_780))
    # 200 once; 20 ms once.
    row = decode_daily("16 status=HyAABAA== latency=HFAABAA==")
    # 200 three times and 404 once; 20 ms twice and 772 ms twice.
    after = "17 status=HyACUAQMAAQA= latency=HFAAEAwIAAgA="
    assert encode_daily(daily.add(of_customer, row, 17)) == after
    # A redo of the commit.
    assert encode_daily(daily.add(of_customer, decode_daily(after), 17)) == after


@pytest.mark.parametrize("at_once", [7, 250_000])
@given(content=contents, cuts=st.lists(st.integers(0, 100)))
def test_many_lines_are_counted_as_one_by_one(at_once: int, content: list[bytes], cuts: list[int]) -> None:
    buffer = buffer_of(content, cuts)
    rows: dict[DailyKey, DailyAggregate] = {}
    for delta in daily.daily_deltas(buffer.parts, buffer.customers(), at_once):
        assert delta.key not in rows
        rows[delta.key] = daily.add(delta, EMPTY, 3)
    assert counters(rows) == one_by_one(content)
    assert {row.commit for row in rows.values()} == {3}


@given(contents)
def test_all_customers_together_come_first(content: list[bytes]) -> None:
    buffer = buffer_of(content, [])
    keys = [delta.key for delta in daily.daily_deltas(buffer.parts, buffer.customers(), 7)]
    of_all = [key for key in keys if key.customer is None]
    assert keys[: len(of_all)] == of_all
    assert {key.day for key in keys} == {key.day for key in of_all}


@given(st.data(), contents, contents, st.lists(st.integers(0, 100)))
def test_a_delta_is_not_added_twice(
    data: st.DataObject, before: list[bytes], content: list[bytes], cuts: list[int]
) -> None:
    rows: dict[DailyKey, DailyAggregate] = {}
    add(buffer_of(before, cuts), rows, 1)
    whole = dict(rows)
    add(buffer_of(content, cuts), whole, 2)
    # A process wrote some of the rows and died before the ledger.
    rows |= {key: row for key, row in whole.items() if data.draw(st.booleans())}
    add(buffer_of(data.draw(st.permutations(content)), cuts), rows, 2)
    assert rows == whole
    assert counters(rows) == one_by_one([*before, *content])


def test_without_requests_there_is_no_delta() -> None:
    assert list(daily.daily_deltas([], [])) == []
