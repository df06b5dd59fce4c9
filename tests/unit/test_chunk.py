"""A chunk is taken in part by part, and the parts do not show."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_processor import chunk as chunk_module
from log_processor.chunk import Batch, Chunk, Overlong, parse_chunk, stored
from request_log.line import Reason
from request_log.requests import joined
from request_log.simple import parse
from rollups.counts import Position
from storage.contract import StoredRequests
from stores import to_no_store

START = 1_000
good = st.builds(
    lambda customer, path, status: f"2026-11-23 16:15:35 {customer} {path} {status} 0.25".encode(),
    st.sampled_from(["a", "b", "ü", "c" * 256]),
    st.sampled_from(["/", "/orders/17", "/" + "x" * 300]),
    st.integers(100, 599),
)
bad = st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))


def chunk_of(data: bytes, overlong: Overlong | None = None) -> Chunk:
    end = Position(0, START + len(data))
    return Chunk("log", "/log", Position(0, START), end, data, "fingerprint", behind=False, overlong=overlong)


@given(st.lists(st.one_of(good, good, bad)), st.integers(1, 1_000))
def test_parts_are_read_as_the_whole_is(lines: list[bytes], part_bytes: int) -> None:
    data = b"".join(line + b"\n" for line in lines)
    prepared: list[StoredRequests] = []

    def prepare(parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        prepared.extend(parts)
        return lambda: [len(prepared)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunk_module, "PART_BYTES", part_bytes)
        batch = parse_chunk(chunk_of(data), parse, 0, prepare)
    whole, rejected = parse(data, START)
    assert batch.store() == [len(prepared)]
    assert batch.rejected == rejected
    together = joined([part.requests for part in prepared])
    assert (together.request_paths(), together.durations) == (whole.request_paths(), whole.durations)
    assert batch.requests.request_paths() == whole.to_count().request_paths()
    for found in (batch.requests, together):
        assert found.customer_ids() == whole.customer_ids()
        for column in ("statuses", "latencies", "seconds", "milliseconds", "offsets"):
            np.testing.assert_array_equal(getattr(found, column), getattr(whole, column))


def test_lines_that_the_store_refuses_are_found_in_whatever_part_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_module, "PART_BYTES", 100)
    lines = [f"2026-11-23 16:15:35 a /{n} 200 0.25".encode() for n in range(20)]
    lines[7] = b"bad"
    data = b"".join(line + b"\n" for line in lines)
    batch = parse_chunk(chunk_of(data), parse, 0, to_no_store)
    # The bad line has no place among the requests.
    left = stored(batch, [0, 9, 18])
    assert left.lines == b""
    assert [(bad.reason, bad.line) for bad in left.rejected] == [
        (Reason.REFUSED, lines[0]),
        (Reason.FIELDS, lines[7]),
        (Reason.REFUSED, lines[10]),
        (Reason.REFUSED, lines[19]),
    ]
    places = [place for place in range(20) if place not in (0, 7, 10, 19)]
    offsets = [START + sum(len(line) + 1 for line in lines[:place]) for place in places]
    assert left.requests.offsets.tolist() == offsets


def test_a_line_that_is_too_long_is_its_only_one() -> None:
    line = Overlong()
    line.add(b"x" * 100_000)
    batch: Batch = parse_chunk(chunk_of(b"", line), parse, 0, to_no_store)
    assert not batch.requests
    assert [(bad.offset, bad.reason) for bad in batch.rejected] == [(START, Reason.TOO_LONG)]
