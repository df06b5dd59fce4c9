"""Requests come into their rows of counts exactly once, also where a row is further than the ledger."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from json_log import PARSE, json_line
from log_processor import uncounted as uncounted_module
from log_processor.chunk import Batch, Chunk, parse_chunk
from log_processor.pending import Pending
from log_processor.uncounted import Uncounted
from request_log.requests import NONE
from rollups.counters import pack, unpack
from rollups.counts import CountsKey, DayCounts, Position
from stores import to_no_store

LOG = "log"
customers = st.sampled_from(["a", "b", "ü", "c" * 256])
dates = st.sampled_from(["1970-01-01", "2026-11-23", "2026-11-24", "2199-12-31"])
lines = st.builds(
    lambda date, customer, status, duration: json_line(f"{date} 16:15:35", customer, "/api", status, duration),
    dates,
    customers,
    st.integers(100, 599),
    st.sampled_from(["", "0", "0.0005", "0.772", "86400"]),
)


def batches(content: list[bytes], cuts: list[int]) -> list[Batch]:
    """The lines of one generation, in batches that begin at these lines."""
    bounds = sorted({0, len(content), *(cut % len(content) for cut in cuts)})
    found = []
    for first, last in pairwise(bounds):
        start, end = (sum(map(len, content[:place])) for place in (first, last))
        data = b"".join(content[first:last])
        chunk = Chunk(LOG, "/log", Position(0, start), Position(0, end), data, "fingerprint", behind=False)
        found.append(parse_chunk(chunk, PARSE, 0, to_no_store))
    return found


def one_by_one(content: list[bytes]) -> dict[CountsKey, tuple[Counter[int], Counter[int]]]:
    """The counts of these lines: statuses and latencies."""
    rows: dict[CountsKey, tuple[Counter[int], Counter[int]]] = {}
    for batch in batches(content, list(range(len(content)))) if content else []:
        requests = batch.requests
        for customer in (requests.names[0], None):
            statuses, latencies = rows.setdefault((customer, int(requests.days[0])), (Counter(), Counter()))
            statuses[int(requests.statuses[0])] += 1
            if requests.latencies[0] != NONE:
                latencies[int(requests.latencies[0])] += 1
    return rows


def add(uncounted: Uncounted, rows: dict[CountsKey, DayCounts]) -> None:
    for addition in uncounted.additions():
        rows[addition.key] = unpack(uncounted.add(addition, pack(rows.get(addition.key, DayCounts()))))


@pytest.mark.parametrize("at_once", [7, 250_000])
@given(content=st.lists(lines, min_size=1, max_size=60), cuts=st.lists(st.integers(0, 100)))
def test_lines_are_counted_as_one_by_one(at_once: int, content: list[bytes], cuts: list[int]) -> None:
    pending = Pending(LOG, Position(0, 0))
    uncounted = Uncounted(pending)
    for batch in batches(content, cuts):
        pending.take(0, batch.requests, batch.end)
    rows: dict[CountsKey, DayCounts] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(uncounted_module, "_LINES_AT_ONCE", at_once)
        add(uncounted, rows)
    assert {key: (row.statuses, row.latencies) for key, row in rows.items()} == one_by_one(content)
    assert {row.applied[LOG] for row in rows.values()} == {Position(0, sum(map(len, content)))}


@given(st.data(), st.lists(lines, min_size=1, max_size=60), st.lists(st.integers(0, 100)))
def test_what_a_row_has_already_is_not_added_again(data: st.DataObject, content: list[bytes], cuts: list[int]) -> None:
    # Each row was written through some line, or not at all, by one who died before the ledger was.
    rows: dict[CountsKey, DayCounts] = {}
    for key in one_by_one(content):
        through = data.draw(st.integers(0, len(content)))
        statuses, latencies = one_by_one(content[:through]).get(key, (Counter(), Counter()))
        if through:
            applied = {LOG: Position(0, sum(map(len, content[:through])))}
            rows[key] = DayCounts(statuses, latencies, applied)
    pending = Pending(LOG, Position(0, 0))
    uncounted = Uncounted(pending)
    for batch in batches(content, cuts):
        pending.take(0, batch.requests, batch.end)
    add(uncounted, rows)
    assert {key: (row.statuses, row.latencies) for key, row in rows.items()} == one_by_one(content)
