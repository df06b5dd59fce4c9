"""Figures from counts, against their definitions computed in the plainest way."""

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

import oracle
from rollups.counters import pack
from rollups.counts import DayCounts
from rollups.figures import figures, figures_of_counts, figures_of_each
from rollups.histogram import histogram_of, histograms_of, merge, merge_each, pack_each

latencies = st.one_of(st.none(), st.integers(0, 86_400_000))
requests = st.lists(st.tuples(st.just(0) | st.integers(100, 999), latencies), min_size=1, max_size=400)


def counts_of(requests: Sequence[tuple[int, int | None]]) -> DayCounts:
    return DayCounts(Counter(status for status, _ in requests), Counter(ms for _, ms in requests if ms is not None))


@given(requests)
def test_figures_are_exact(requests: list[tuple[int, int | None]]) -> None:
    logged = [(status or None, "" if ms is None else f"{ms // 1000}.{ms % 1000:03d}") for status, ms in requests]
    assert figures_of_counts(counts_of(requests)) == oracle.figures(logged)


def test_figures_of_every_count_up_to_a_thousand() -> None:
    for n in range(1, 1_001):
        logged = [(200, f"{ms // 1000}.{ms % 1000:03d}") for ms in range(n)]
        assert figures_of_counts(counts_of([(200, ms) for ms in range(n)])) == oracle.figures(logged)


def test_figures_without_requests() -> None:
    assert figures_of_counts(DayCounts()) == (0, 0, 0, 0, 0, None, None, None, None, None)


@given(st.lists(requests, max_size=4))
def test_histograms_of_several_days_add_up(days: list[list[tuple[int, int | None]]]) -> None:
    rows = [counts_of(day) for day in days]
    stored = [pack(row) for row in rows]
    assert [figures(histogram_of(row)) for row in stored] == [figures_of_counts(row) for row in rows]
    assert [figures(one) for one in histograms_of(stored).each()] == figures_of_each(histograms_of(stored))
    assert figures_of_each(histograms_of(stored)) == [figures_of_counts(row) for row in rows]
    together = merge([histogram_of(row) for row in stored])
    assert figures(together) == figures_of_counts(counts_of([request for day in days for request in day]))


def test_a_copy_of_one_histogram_does_not_hold_the_memory_of_all() -> None:
    row = pack(counts_of([(200, ms) for ms in range(1_000)]))
    one = next(histograms_of([row, row]).each()).copy()
    assert one.latencies.base is None
    assert one.counts.base is None


@given(st.lists(st.lists(requests, min_size=1, max_size=3), min_size=1, max_size=4))
def test_many_figures_at_once_are_those_of_each(customers: list[list[list[tuple[int, int | None]]]]) -> None:
    rows = [[pack(counts_of(day)) for day in days] for days in customers]
    one_by_one = [figures(merge([histogram_of(row) for row in days])) for days in rows]
    assert figures_of_each(merge_each(rows)) == one_by_one
    # Some of the aggregates merged into one, beside the others.
    first = pack_each(merge_each([days[:-1] for days in rows]))
    assert figures_of_each(merge_each([[row, days[-1]] for row, days in zip(first, rows, strict=True)])) == one_by_one


def test_figures_of_very_many_latencies() -> None:
    row = DayCounts(Counter({200: 3_000, 500: 3_000}), Counter({28_800 * n: 2 for n in range(3_000)}))
    assert figures_of_each(merge_each([[pack(row)]])) == [figures(histogram_of(pack(row)))]
    assert figures(histogram_of(pack(row))) == oracle.figures(
        [(status, f"{28_800 * n // 1000}.{28_800 * n % 1000:03d}") for status in (200, 500) for n in range(3_000)]
    )
