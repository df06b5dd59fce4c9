"""Percentiles: valid parameters, and exact values."""

from collections import Counter
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import ceil

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st

from api.questions.percentiles import format_percentile, parse_percentiles
from rollups.counts import DayCounts
from rollups.figures import BIN_EDGES, figures, latency_bins, percentiles
from rollups.histogram import histogram_of_counts

LATENCIES = st.dictionaries(st.integers(0, 86_400_000), st.integers(1, 10**9), min_size=1, max_size=30)
DECIMALS = st.decimals(Decimal("0.001"), 100, places=3)


@given(LATENCIES, st.lists(DECIMALS, min_size=1, max_size=20))
def test_a_percentile_is_the_nearest_rank(latencies: dict[int, int], asked: list[Decimal]) -> None:
    counts = histogram_of_counts(DayCounts(Counter({200: sum(latencies.values())}), Counter(latencies)))
    read = parse_percentiles(",".join(map(str, asked)))
    found = dict(zip(map(format_percentile, read), percentiles(counts, read), strict=True))
    assert found == {f"{one.normalize():f}": nearest_rank(latencies, Fraction(one)) for one in asked}
    assert percentiles(counts, [99_000]) == [figures(counts).p99_latency]


def nearest_rank(latencies: dict[int, int], percentile: Fraction) -> float:
    """The percentile in seconds, found by counting."""
    rank = ceil(percentile / 100 * sum(latencies.values()))
    for milliseconds in sorted(latencies):
        rank -= latencies[milliseconds]
        if rank <= 0:
            return milliseconds / 1000
    raise AssertionError("beyond the last one")


def test_a_rank_is_not_rounded_where_a_float_would_be() -> None:
    assert ceil(7 / 100 * 100) == 8
    counts = histogram_of_counts(DayCounts(Counter({200: 100}), Counter({1: 7, 2: 93})))
    assert percentiles(counts, parse_percentiles("7,7.001")) == [0.001, 0.002]


def test_no_requests_have_no_percentiles() -> None:
    assert percentiles(histogram_of_counts(DayCounts()), [50_000, 99_900]) == [None, None]
    assert latency_bins(histogram_of_counts(DayCounts())) == []


def test_percentiles_are_distinct_ascending_and_without_trailing_zeros() -> None:
    assert [*map(format_percentile, parse_percentiles("99.90,50,0.001,100.000,99.9,50.0,10"))] == [
        "0.001",
        "10",
        "50",
        "99.9",
        "100",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a percentile"),
        ("50,", "'' is not a percentile"),
        ("0", "'0' is not a percentile"),
        ("0.000", "'0.000' is not a percentile"),
        ("100.001", "'100.001' is not a percentile"),
        ("101", "'101' is not a percentile"),
        ("-1", "'-1' is not a percentile"),
        ("+50", "'+50' is not a percentile"),
        ("50, 90", "' 90' is not a percentile"),
        ("99.9999", "'99.9999' is not a percentile"),
        ("5e1", "'5e1' is not a percentile"),
        ("nan", "'nan' is not a percentile"),
        ("\u0665\u0660", "'\u0665\u0660' is not a percentile"),
        (",".join(["50"] * 21), "there are 21 percentiles: ask for at most 20 at once"),
    ],
)
def test_an_invalid_percentile_is_named(text: str, message: str) -> None:
    with pytest.raises(RequestValidationError) as refused:
        parse_percentiles(text)
    (fault,) = refused.value.errors()
    assert fault["loc"] == ("query", "percentiles")
    assert fault["msg"].startswith(message)


@given(LATENCIES)
def test_every_request_is_in_the_bin_of_its_latency(latencies: dict[int, int]) -> None:
    bins = latency_bins(histogram_of_counts(DayCounts(Counter({200: sum(latencies.values())}), Counter(latencies))))
    assert bins == [
        (first, end, sum(count for latency, count in latencies.items() if first <= latency < end))
        for first, end, _ in bins
    ]
    assert sum(requests for _, _, requests in bins) == sum(latencies.values())
    assert all(before[1] == after[0] for before, after in pairwise(bins))
    assert bins[0][2] > 0
    assert bins[-1][2] > 0
    assert len(bins) <= len(BIN_EDGES) - 1 == 48
