"""Requests are counted in roll-ups exactly once, also in a redo."""

import random
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
import parsed_log
from log_processor.counting.buffer import Buffer
from parsed_log import parsed_line
from request_log.formats import simple
from rollups.counts import RollupKey, RollupKind, RollupRow
from rollups.delta import MOST_CHARACTERS, RollupDelta
from rollups.figures import figures
from rollups.groups import (
    ALL_CUSTOMERS,
    ALL_OF_HOUR,
    EVERYBODY,
    OTHER,
    decode_names,
    empty,
    group_of,
    histograms_of_endpoints,
    histograms_of_hours,
)
from rollups.histogram import Histogram
from rollups.rows import encode_rollup
from rollups.rules import DEFAULT_PATHS
from stored_rows import histograms_of_endpoint_parts

OF_ONE_GROUP = [name for name in (f"cust_{n}" for n in range(30_000)) if group_of(name) == 7]
FIRST_DAY = 20_780
"""2026-11-23, in days since 1970-01-01."""
KINDS: tuple[RollupKind, ...] = ("parts", "endpoints")
lines = st.builds(
    lambda day, hour, customer, path, status, duration: parsed_line(
        day * 86_400 + hour * 3_600 + 935, customer, f"/{path}", status, duration
    ),
    st.integers(FIRST_DAY, FIRST_DAY + 1),
    st.integers(0, 23),
    st.sampled_from(["a", "b", "ü", "c" * 256, *OF_ONE_GROUP]),
    st.sampled_from(["", "a", "b/c", "ö", '"q\\']),
    st.just(0) | st.integers(100, 999),
    st.sampled_from(["", "0", "0.0005", "0.772", "86400"]),
)
contents = st.lists(lines, min_size=1, max_size=40)

Rows = dict[RollupKey, list[RollupRow]]
"""All segments of each row."""


def add(
    rows: Rows,
    commit: int,
    *batches: list[bytes],
    most_characters: int = MOST_CHARACTERS,
    weight: Literal[1, -1] = 1,
) -> None:
    """Do a commit, which may have been broken off before."""
    buffer = Buffer()
    for batch in batches:
        parse = parsed_log.parse if batch and batch[0].startswith(b"{") else simple.parse
        requests, rejected, *_ = parse(b"".join(batch), 0, 0)
        assert not rejected
        buffer.take(requests.to_count())
    delta = RollupDelta(buffer.customers(), buffer.endpoints(), most_characters, weight)
    for of_row in delta.divided(buffer.parts):
        found = rows.setdefault(of_row.key, [])
        for row in delta.add(of_row, found[-1] if found else empty(of_row.key.kind), commit):
            found[row.segment :] = [row]


def figures_of(rows: Rows) -> dict[tuple[str, int, int | str | tuple[str, int]], object]:
    """(customer, day, part) -> figures; the customer is "" for all together."""
    found: dict[tuple[str, int, int | str | tuple[str, int]], Histogram] = {}
    for key, segments in rows.items():
        for name in {name for row in segments for name in decode_names(row.names)}:
            if key.kind == "parts":
                found |= {
                    (name, key.day, part): histogram for part, histogram in histograms_of_hours(segments, name).items()
                }
            elif key.kind == "endpoints":
                found |= {
                    (name, key.day, part): histogram
                    for part, histogram in histograms_of_endpoints(segments, name).items()
                }
            else:
                found |= {
                    (name, key.day, part): histogram
                    for part, histogram in histograms_of_endpoint_parts(segments).items()
                }
    return {key: figures(histogram) for key, histogram in found.items()}


def requests_of(rows: Rows, kind: RollupKind, name: str) -> dict[int | str, int]:
    """Part -> requests of a customer, of all days."""
    segments = [row for key, found in rows.items() if key.kind == kind and key.group < ALL_CUSTOMERS for row in found]
    histograms = histograms_of_hours(segments, name) if kind == "parts" else histograms_of_endpoints(segments, name)
    return {part: histogram.total for part, histogram in histograms.items()}


def test_a_rollup_a_delta_and_their_sum() -> None:
    first = [b"2026-11-23 00:20:00 a /x 200 0.005\n"]
    second = [b"2026-11-23 00:40:00 a /y 404 0.007\n", b"2026-11-23 00:20:01 a /x 200 0.005\n"]
    rows: Rows = {}
    add(rows, 3, first)
    parts, endpoints = (RollupKey(group_of("a"), FIRST_DAY, kind) for kind in KINDS)
    # Part 1 of the day is that from 00:15. A status is 200 << 7 | 1, a latency 5 << 7 | 1, each of them once.
    assert encode_rollup(rows[parts][0]) == '3 names={"a":[]} status=HAWQBAA== latency=HgQIBAA=='
    # The endpoint's place is 0: a status is 0 << 10 | 200, a latency 0 << 27 | 5.
    assert encode_rollup(rows[endpoints][0]) == '3 names={"a":["/x"]} status=HyAABAA== latency=HBQABAA=='
    add(rows, 4, second)
    # 200 << 7 | 1 twice, 404 << 7 | 2 once; 5 << 7 | 1 twice, 7 << 7 | 2 once.
    assert encode_rollup(rows[parts][0]) == '4 names={"a":[]} status=HAWQCygIAAQA= latency=HgQKCAwIAAQA='
    # 200 twice, 1 << 10 | 404 once; 5 twice, 1 << 27 | 7 once, of four bytes.
    assert (
        encode_rollup(rows[endpoints][0])
        == '4 names={"a":["/x","/y"]} status=HyACUBQIAAQA= latency=IBQAAAAcAAAgCAAAAAQAAAA=='
    )
    # All customers together have the same in groups of their own, and the hour by endpoint and part.
    assert {key.group for key in rows} == {group_of("a"), ALL_CUSTOMERS, ALL_OF_HOUR}
    of_hour = histograms_of_endpoint_parts(rows[RollupKey(ALL_OF_HOUR, FIRST_DAY, "endpoint_parts")])
    assert {key: histogram.total for key, histogram in of_hour.items()} == {("/x", 1): 2, ("/y", 2): 1}


def test_figures_are_those_of_each_hour_and_endpoint() -> None:
    content = [
        f"2026-11-2{3 + n % 2} 0{n % 7}:15:35 {'ab'[n % 2]} /p{n % 3} {200 + n} 0.{n}\n".encode() for n in range(100)
    ]
    rows: Rows = {}
    add(rows, 1, content[:50], content[50:])
    found = {
        (name, f"2026-11-{23 + day - FIRST_DAY}", part): values
        for (name, day, part), values in figures_of(rows).items()
        if name != EVERYBODY
    }
    assert found == oracle.rollups_of(b"".join(content))


@pytest.mark.parametrize("most_characters", [200, 700, MOST_CHARACTERS])
@given(before=contents, content=contents, data=st.data())
def test_rows_depend_on_the_requests_and_not_on_their_order(
    most_characters: int, before: list[bytes], content: list[bytes], data: st.DataObject
) -> None:
    one: Rows = {}
    other: Rows = {}
    for rows, batches in ((one, [content]), (other, [[line] for line in data.draw(st.permutations(content))])):
        add(rows, 1, before, most_characters=most_characters)
        add(rows, 2, *batches, most_characters=most_characters)
    assert one == other


@pytest.mark.parametrize("most_characters", [200, 700, MOST_CHARACTERS])
@given(before=contents, content=contents, data=st.data())
def test_a_delta_is_not_added_twice(
    most_characters: int, before: list[bytes], content: list[bytes], data: st.DataObject
) -> None:
    rows: Rows = {}
    add(rows, 1, before, most_characters=most_characters)
    whole = {key: list(found) for key, found in rows.items()}
    add(whole, 2, content, most_characters=most_characters)
    # A process wrote some of the rows, each up to some segment, and died before the ledger.
    for key, found in whole.items():
        new = [row for row in found if row.commit == 2]
        written = data.draw(st.integers(0, len(new)))
        for row in new[:written]:
            rows.setdefault(key, [])[row.segment :] = [row]
    add(rows, 2, data.draw(st.permutations(content)), most_characters=most_characters)
    assert rows == whole
    add(rows, 2, content, most_characters=most_characters)
    assert rows == whole


@given(content=contents)
def test_small_segments_have_the_figures_of_large_ones(content: list[bytes]) -> None:
    small: Rows = {}
    large: Rows = {}
    add(small, 1, content, most_characters=100)
    add(large, 1, content)
    assert figures_of(small) == figures_of(large)


def test_endpoints_beyond_the_first_hundred_share_a_name() -> None:
    endpoints = [f"/p{n:c}" for n in range(0x4E00, 0x4E00 + 2 * DEFAULT_PATHS)]
    content = [f"2026-11-23 16:15:35 a {endpoint} 200 0.1\n".encode() for endpoint in endpoints]
    rows: Rows = {}
    # An endpoint of the first commit keeps its name. Those of the second one get the names that are left, in order.
    add(rows, 1, content[150:190])
    add(rows, 2, content[190:], content[:150])
    (row,) = rows[RollupKey(group_of("a"), FIRST_DAY, "endpoints")]
    named = endpoints[150:190] + endpoints[:60]
    assert decode_names(row.names) == {"a": [*named, OTHER]}
    assert requests_of(rows, "endpoints", "a") == {**dict.fromkeys(named, 1), OTHER: DEFAULT_PATHS}


def test_an_endpoint_with_a_reserved_name_is_escaped() -> None:
    rows: Rows = {}
    add(rows, 1, [f"2026-11-23 16:15:35 a {endpoint} 200 0.1\n".encode() for endpoint in ("(other)", "\\(other)")])
    assert requests_of(rows, "endpoints", "a") == {"\\(other)": 1, "\\\\(other)": 1}


@pytest.mark.parametrize("at_once", [10_000, 60_000])
def test_a_row_that_would_be_too_large_is_continued(at_once: int) -> None:
    pick = random.Random(1)
    content = [
        f"2026-11-23 {n % 24:02d}:15:35 a /p{n % 90} 200 {pick.randrange(86_400)}.{n % 1_000:03d}\n".encode()
        for n in range(60_000)
    ]
    rows: Rows = {}
    for commit, first in enumerate(range(0, 60_000, at_once), 1):
        add(rows, commit, content[first : first + at_once], most_characters=60_000)
    for key, found in rows.items():
        assert [row.segment for row in found] == list(range(len(found)))
        assert all(row.size <= 60_000 for row in found)
        if key.group < ALL_CUSTOMERS:
            assert len(found) > 1
    for kind in KINDS:
        assert sum(requests_of(rows, kind, "a").values()) == 60_000
    whole: Rows = {}
    add(whole, 1, content)
    assert figures_of(rows) == figures_of(whole)


def test_customers_that_share_a_row_have_a_hundred_endpoints_each() -> None:
    content = [
        f"2026-11-23 16:15:35 {name} /p{n:c} 200 0.{place}\n".encode()
        for n in range(0x4E00, 0x4E00 + DEFAULT_PATHS + 5)
        for place, name in enumerate(OF_ONE_GROUP)
    ]
    rows: Rows = {}
    add(rows, 1, content[:300])
    add(rows, 2, content[300:])
    (row,) = rows[RollupKey(7, FIRST_DAY, "endpoints")]
    for place, name in enumerate(OF_ONE_GROUP):
        histograms = histograms_of_endpoints([row], name)
        assert {part: (histogram.total, {*histogram.latencies.tolist()}) for part, histogram in histograms.items()} == {
            **{f"/p{n:c}": (1, {place * 100}) for n in range(0x4E00, 0x4E00 + DEFAULT_PATHS)},
            OTHER: (5, {place * 100}),
        }
    assert histograms_of_endpoints([row], "cust_of_another_group") == {}


def test_names_that_leave_no_room_for_counts_are_not_repeated() -> None:
    pick = random.Random(1)
    content = [
        f"2026-11-23 16:15:35 {pick.choice(OF_ONE_GROUP)} /{pick.randbytes(7).hex()} 200 0.1\n".encode()
        for _ in range(2_000)
    ]
    rows: Rows = {}
    for commit, first in enumerate(range(0, 2_000, 500), 1):
        add(rows, commit, content[first : first + 500], most_characters=4_000)
    assert all(row.size <= 4_000 for found in rows.values() for row in found)
    of_each = {name: sum(f" {name} ".encode() in line for line in content) for name in OF_ONE_GROUP}
    for kind in KINDS:
        assert {name: sum(requests_of(rows, kind, name).values()) for name in of_each} == of_each


@given(contents, contents, contents, st.sampled_from([60, 200, MOST_CHARACTERS]))
def test_a_delta_is_taken_back_once(
    first: list[bytes], wrong: list[bytes], last: list[bytes], most_characters: int
) -> None:
    rows: Rows = {}
    add(rows, 1, first, wrong, most_characters=most_characters)
    for _ in range(2):
        add(rows, 2, wrong, most_characters=most_characters, weight=-1)
    add(rows, 3, last, most_characters=most_characters)
    expected: Rows = {}
    add(expected, 1, first, last)
    assert figures_of(rows) == figures_of(expected)
