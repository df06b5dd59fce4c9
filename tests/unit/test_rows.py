"""The text of rows."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollups.counters import encode_counter, unpack
from rollups.counts import NO_COUNTS, DailyAggregate, RollupRow
from rollups.rows import added_up, decode_daily, decode_rollup, encode_daily, encode_rollup

counters = st.dictionaries(st.integers(0, 1 << 40), st.integers(1, 1 << 40), max_size=80).map(encode_counter)
daily_rows = st.builds(DailyAggregate, counters, counters, st.integers(0, 1 << 60))

# In base64, numbers of 2 bytes, little-endian: 200 and 404, then 2 and 1.
STATUSES = "HyACUAQIAAQA="
# 20 and 772 (milliseconds), then 1 and 2.
LATENCIES = "HFAAEAwEAAgA="
DAILY = f"17 status={STATUSES} latency={LATENCIES}"
ROLLUP = f'17 names={{"cust_1":["/api","/b"]}} status={STATUSES} latency={LATENCIES}'


def test_the_text_of_a_daily_aggregate() -> None:
    row = DailyAggregate(STATUSES, LATENCIES, 17)
    assert encode_daily(row) == DAILY
    assert decode_daily(DAILY) == row
    counts = unpack(row)
    assert (counts.statuses, counts.latencies) == (Counter({200: 2, 404: 1}), Counter({20: 1, 772: 2}))


def test_the_text_of_a_rollup() -> None:
    row = RollupRow("endpoints", 3, '{"cust_1":["/api","/b"]}', STATUSES, LATENCIES, 17)
    assert encode_rollup(row) == ROLLUP
    assert decode_rollup("endpoints", 3, ROLLUP) == row
    assert encode_rollup(row._replace(left=2)) == f"{ROLLUP} left=2"
    assert decode_rollup("endpoints", 3, f"{ROLLUP} left=2") == row._replace(left=2)
    less = row._replace(less_statuses=STATUSES, less_latencies=LATENCIES, left=2)
    text = f"{ROLLUP} less_status={STATUSES} less_latency={LATENCIES} left=2"
    assert encode_rollup(less) == text
    assert decode_rollup("endpoints", 3, text) == less


@pytest.mark.parametrize("text", [f"17 bytes=HAAA= status={STATUSES} new=x=y= latency={LATENCIES}", f"{DAILY} later="])
def test_an_unknown_name_is_ignored(text: str) -> None:
    assert decode_daily(text) == decode_daily(DAILY)


def test_a_missing_name_was_not_counted() -> None:
    assert decode_daily(f"17 status={STATUSES}") == DailyAggregate(STATUSES, NO_COUNTS, 17)
    assert decode_daily("17") == DailyAggregate(NO_COUNTS, NO_COUNTS, 17)
    assert decode_rollup("parts", 0, "17 names={}") == RollupRow("parts", 0, "{}", NO_COUNTS, NO_COUNTS, 17)


@given(daily_rows)
def test_a_daily_aggregate_is_read_as_it_was_written(row: DailyAggregate) -> None:
    assert decode_daily(encode_daily(row)) == row


@given(st.lists(daily_rows, min_size=1, max_size=4))
def test_daily_aggregates_of_several_writers_add_up(rows: list[DailyAggregate]) -> None:
    counts = unpack(added_up(rows))
    assert counts.statuses == sum((unpack(row).statuses for row in rows), Counter[int]())
    assert counts.latencies == sum((unpack(row).latencies for row in rows), Counter[int]())


def test_a_single_daily_aggregate_is_returned_as_it_is() -> None:
    row = DailyAggregate("not even a counter", "", 17)
    assert added_up([row]) is row
