"""Counts of spans of quarter hours, against the plainest way to count."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracle
from rollups.counters import encode_counter
from rollups.counts import RollupKind, RollupRow
from rollups.figures import figures_of_each
from rollups.groups import LATENCY_BITS, QUARTER_HOUR_BITS, STATUS_BITS, encode_names
from rollups.spans import OnlyHours, SpanCounts, added_up, counts_of_days, spans_of_days

DAY = 20_000
CUSTOMERS = ["a", "b", "c"]
Request = tuple[int, int, int, int | None]
"""Customer (its place), quarter hour since the beginning of DAY, status (0: none), milliseconds (None: no duration)."""
REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 3 * 96 - 1),
        st.sampled_from([0, 101, 200, 399, 404, 500, 999]),
        st.none() | st.sampled_from([0, 5, 86_400_000]),
    ),
    max_size=60,
)


def rows_of(requests: list[Request], kind: RollupKind = "parts", sign: int = 1) -> dict[int, list[RollupRow]]:
    """A segment for each day. `sign`: -1 takes back."""
    rows: dict[int, list[RollupRow]] = {}
    for day in {part // 96 for _, part, _, _ in requests}:
        counters: dict[int, Counter[int]] = {STATUS_BITS: Counter(), LATENCY_BITS: Counter()}
        for customer, part, status, ms in requests:
            for bits, value in ((STATUS_BITS, status), (LATENCY_BITS, ms)):
                if part // 96 == day and value is not None:
                    if kind == "parts":
                        counters[bits][(((customer << bits) | value) << QUARTER_HOUR_BITS) | part % 96] += 1
                    else:
                        counters[bits][(((customer << QUARTER_HOUR_BITS) | part % 96 // 4) << bits) | value] += 1
        texts = [encode_counter(counters[bits]) for bits in (STATUS_BITS, LATENCY_BITS)]
        names = encode_names({customer: [] for customer in CUSTOMERS})
        counted, taken = (texts, ["H", "H"]) if sign > 0 else (["H", "H"], texts)
        rows[DAY + day] = [RollupRow(kind, 0, names, counted[0], counted[1], 1, 0, taken[0], taken[1])]
    return rows


def figures_of(requests: list[Request]) -> oracle.Figures:
    return oracle.figures(
        [(status or None, "" if ms is None else f"{ms // 1000}.{ms % 1000:03d}") for _, _, status, ms in requests]
    )


def counts_of_spans(rows: dict[int, list[RollupRow]], customer: str, edges: list[int]) -> SpanCounts:
    """`edges`: quarter hours since the beginning of DAY."""
    quarter_hours = np.array(edges) + DAY * 96
    spans = spans_of_days(sorted(rows), quarter_hours)
    counts = counts_of_days(rows, customer, spans)
    return added_up([(spans[day], counts[day]) for day in spans], quarter_hours)


@given(REQUESTS, REQUESTS, st.lists(st.integers(0, 3 * 96), min_size=2, max_size=6).map(sorted))
def test_each_request_is_in_the_span_of_its_quarter_hour(
    requests: list[Request], taken_back: list[Request], edges: list[int]
) -> None:
    rows = rows_of([*requests, *taken_back])
    for day, segments in rows_of(taken_back, sign=-1).items():
        rows[day] += segments
    found = counts_of_spans(rows, "b", edges)
    of_b = [request for request in requests if request[0] == 1]
    spans = {
        span: of_span
        for span in range(len(edges) - 1)
        if (of_span := [request for request in of_b if edges[span] <= request[1] < edges[span + 1]])
    }
    assert found.spans == list(spans)
    assert figures_of_each(found.histograms) == [figures_of(of_span) for of_span in spans.values()]
    assert found.statuses == Counter(status for of_span in spans.values() for _, _, status, _ in of_span)


def test_the_counts_of_busy_days_are_told_apart() -> None:
    # Their texts are longer than what is decoded at once.
    numbers = np.random.default_rng(5)
    requests: list[Request] = [
        (int(customer), int(part), 200, int(ms))
        for customer, part, ms in zip(
            numbers.integers(0, 3, 60_000),
            numbers.integers(0, 288, 60_000),
            numbers.integers(0, 9_000, 60_000),
            strict=True,
        )
    ]
    rows = rows_of(requests)
    assert sum(row.size for of_day in rows.values() for row in of_day) > 100_000
    edges = [8, 104, 200, 288]
    found = counts_of_spans(rows, "c", edges)
    of_c = [request for request in requests if request[0] == 2]
    spans = [[one for one in of_c if start <= one[1] < end] for start, end in pairwise(edges)]
    assert figures_of_each(found.histograms) == [figures_of(of_span) for of_span in spans]


def test_rows_by_the_hour_tell_only_whole_hours_apart() -> None:
    requests: list[Request] = [(1, 5, 200, 70), (1, 90, 404, None)]
    rows = rows_of(requests, kind="hours")
    hours = counts_of_spans(rows, "b", [0, 8, 96])
    assert figures_of_each(hours.histograms) == [figures_of(requests[:1]), figures_of(requests[1:])]
    with pytest.raises(OnlyHours) as refused:
        counts_of_spans(rows, "b", [0, 7, 96])
    assert refused.value.day == DAY
    # Beside a row by the quarter hour, too.
    together = {DAY: [*rows_of([(1, 40, 200, 3), (0, 2, 200, 9)])[DAY], *rows[DAY]]}
    assert figures_of_each(counts_of_spans(together, "b", [0, 36, 96]).histograms) == [
        figures_of(requests[:1]),
        figures_of([(1, 40, 200, 3), *requests[1:]]),
    ]
    # On other days it does no harm, and of customers without such rows either.
    assert counts_of_spans(rows, "b", [0, 96, 103]).spans == [0]
    assert counts_of_spans(rows, "d", [0, 7, 96]).spans == []


def test_parts_that_no_day_has_are_in_no_span() -> None:
    names = encode_names({"a": []})
    damaged = {
        DAY: [RollupRow("parts", 0, names, encode_counter({(200 << 7) | 120: 1}), "H")],
        DAY + 1: [RollupRow("hours", 0, names, encode_counter({(40 << 10) | 200: 1}), "H")],
        DAY + 2: [],
    }
    assert counts_of_spans(damaged, "a", [0, 3 * 96]).spans == []
