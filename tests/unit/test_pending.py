"""Requests come into the rows of breakdowns exactly once, also where a row is further than the ledger."""

import random
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from json_log import PARSE, json_line
from log_processor import pending as pending_module
from log_processor.pending import Pending
from pipeline import TALLIES
from request_log import simple
from rollups.counts import Breakdown, BreakdownKey, Kind, Position
from rollups.figures import figures
from rollups.groups import EMPTY, MOST_PATHS, OTHER, decode_names, group_of, tallies_of_paths
from rollups.histogram import Tally

LOG = "log"
OF_ONE_GROUP = [name for name in (f"cust_{n}" for n in range(30_000)) if group_of(name) == 7]
KINDS: tuple[Kind, ...] = ("hours", "paths")
lines = st.builds(
    lambda day, hour, customer, path, status, duration: json_line(
        f"2026-11-{day} {hour:02d}:15:35", customer, f"/{path}", status, duration
    ),
    st.integers(23, 25),
    st.integers(0, 23),
    st.sampled_from(["a", "b", "ü", "c" * 256, *OF_ONE_GROUP]),
    st.sampled_from(["", "a", "b/c", "ö", '"q\\']),
    st.integers(100, 599),
    st.sampled_from(["", "0", "0.0005", "0.772", "86400"]),
)

Rows = dict[BreakdownKey, list[Breakdown]]


def pending_of(content: list[bytes], first: int, last: int, cut: int) -> Pending:
    """Those of these lines, in two batches."""
    offsets = [0, *accumulate(map(len, content))]
    pending = Pending(LOG, Position(1, offsets[first]))
    cut = min(max(cut, first), last)
    for start, end in ((first, cut), (cut, last)):
        parse = PARSE if content[0].startswith(b"{") else simple.parse
        requests, rejected = parse(b"".join(content[start:end]), offsets[start], 0)
        assert not rejected
        if requests:
            pending.take(1, requests.to_count(), Position(1, offsets[end]))
    return pending


def add(pending: Pending, rows: Rows) -> None:
    for group in pending.groups():
        for kind in KINDS:
            found = rows.setdefault(BreakdownKey(group.number, group.day, kind), [])
            for row in pending.add(group, kind, found[-1] if found else EMPTY):
                found[row.segment :] = [row]


def tallies_of(rows: Rows) -> dict[tuple[str, int, int | str], Tally]:
    return {
        (customer, key.day, part): tally
        for key, found in rows.items()
        for customer in {name for row in found for name in decode_names(row.names)}
        for part, tally in TALLIES[key.kind](found, customer).items()
    }


def figures_of(rows: Rows) -> dict[tuple[str, int, int | str], object]:
    return {key: figures(tally) for key, tally in tallies_of(rows).items()}


def test_figures_are_those_of_each_hour_and_path() -> None:
    content = [
        f"2026-11-2{n % 2} 0{n % 7}:15:35 {'ab'[n % 2]} /p{n % 3} {200 + n} 0.{n}\n".encode() for n in range(100)
    ]
    rows: Rows = {}
    add(pending_of(content, 0, 100, 50), rows)
    found = {
        (customer, f"2026-11-2{day - 20_777}", part): (
            tally.total,
            tally.successful,
            int(tally.latencies.dot(tally.counts)),
        )
        for (customer, day, part), tally in tallies_of(rows).items()
    }
    expected = {
        key: (values[0], values[1], round((values[4] or 0) * values[0] * 1000))
        for key, values in oracle.breakdowns_of(b"".join(content)).items()
    }
    assert found == expected


@pytest.mark.parametrize("most_characters", [700, 900_000])
@given(content=st.lists(lines, min_size=1, max_size=40), cut=st.integers(0, 40), data=st.data())
def test_what_a_row_has_already_is_not_added_again(
    most_characters: int, content: list[bytes], cut: int, data: st.DataObject
) -> None:
    whole: Rows = {}
    add(pending_of(content, 0, len(content), cut), whole)
    # The ledger says `first`; some rows were written through `second` by one who died before the ledger was.
    first, second = sorted([data.draw(st.integers(0, len(content))), data.draw(st.integers(0, len(content)))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pending_module, "MOST_CHARACTERS", most_characters)
        rows: Rows = {}
        for start, end in ((0, first), (first, second)):
            if start == end:
                continue
            before = {key: list(found) for key, found in rows.items()}
            add(pending_of(content, start, end, cut), rows)
        if first != second:
            written = {key: found if data.draw(st.booleans()) else before.get(key) for key, found in rows.items()}
            rows = {key: found for key, found in written.items() if found is not None}
        if first < len(content):
            add(pending_of(content, first, len(content), cut), rows)
    assert figures_of(rows) == figures_of(whole)


def test_paths_beyond_the_first_hundred_share_a_name() -> None:
    content = [f"2026-11-23 16:15:35 a /p{n:c} 200 0.1\n".encode() for n in range(0x4E00, 0x4E00 + 2 * MOST_PATHS)]
    rows: Rows = {}
    for first, last in ((0, 90), (90, 120), (0, 0), (120, 200)):
        if first < last:
            add(pending_of(content, first, last, last), rows)
    before = {key: list(found) for key, found in rows.items()}
    add(pending_of(content, 0, 200, 200), rows)
    assert rows == before
    ((row,),) = [found for key, found in rows.items() if key.kind == "paths"]
    assert decode_names(row.names) == {"a": [*(f"/p{n:c}" for n in range(0x4E00, 0x4E00 + MOST_PATHS)), OTHER]}
    assert {part: tally.total for part, tally in tallies_of_paths([row], "a").items()} == {
        **dict.fromkeys(decode_names(row.names)["a"], 1),
        OTHER: MOST_PATHS,
    }


@pytest.mark.parametrize("at_once", [10_000, 60_000])
def test_a_row_that_would_be_too_large_is_continued(at_once: int) -> None:
    pick = random.Random(1)
    content = [
        f"2026-11-23 {n % 24:02d}:15:35 a /p{n % 90} 200 {pick.randrange(86_400)}.{n % 1_000:03d}\n".encode()
        for n in range(60_000)
    ]
    rows: Rows = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pending_module, "MOST_CHARACTERS", 60_000)
        for first in range(0, 60_000, at_once):
            add(pending_of(content, first, first + at_once, first), rows)
    for key, found in rows.items():
        assert [row.segment for row in found] == list(range(len(found)))
        assert all(sum(map(len, row[1:])) <= 60_000 + len(row.applied) for row in found)
        assert sum(tally.total for tally in TALLIES[key.kind](found, "a").values()) == 60_000
    assert len(rows) == 2
    whole: Rows = {}
    add(pending_of(content, 0, 60_000, 0), whole)
    assert figures_of(rows) == figures_of(whole)
    assert all(len(found) > 1 for found in rows.values())


def test_customers_that_share_a_row_have_a_hundred_paths_each() -> None:
    content = [
        f"2026-11-23 16:15:35 {name} /p{n:c} 200 0.{place}\n".encode()
        for n in range(0x4E00, 0x4E00 + MOST_PATHS + 5)
        for place, name in enumerate(OF_ONE_GROUP)
    ]
    rows: Rows = {}
    for first, last in ((0, 300), (300, len(content))):
        add(pending_of(content, first, last, last), rows)
    ((row,),) = [found for key, found in rows.items() if key.kind == "paths"]
    for place, name in enumerate(OF_ONE_GROUP):
        tallies = tallies_of_paths([row], name)
        assert {part: (tally.total, {*tally.latencies.tolist()}) for part, tally in tallies.items()} == {
            **{f"/p{n:c}": (1, {place * 100}) for n in range(0x4E00, 0x4E00 + MOST_PATHS)},
            OTHER: (5, {place * 100}),
        }
    assert tallies_of_paths([row], "cust_of_another_group") == {}


def test_names_that_leave_no_room_for_counts_are_left_behind() -> None:
    pick = random.Random(1)
    content = [
        f"2026-11-23 16:15:35 {pick.choice(OF_ONE_GROUP)} /{pick.randbytes(7).hex()} 200 0.1\n".encode()
        for _ in range(2_000)
    ]
    rows: Rows = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pending_module, "MOST_CHARACTERS", 4_000)
        for first in range(0, 2_000, 500):
            add(pending_of(content, first, first + 500, first), rows)
    assert all(sum(map(len, row[1:])) <= 4_000 + len(row.applied) for found in rows.values() for row in found)
    of_each = {name: sum(f" {name} ".encode() in line for line in content) for name in OF_ONE_GROUP}
    for key, found in rows.items():
        counted = {name: sum(tally.total for tally in TALLIES[key.kind](found, name).values()) for name in of_each}
        assert counted == of_each
