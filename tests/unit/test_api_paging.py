"""Pages of customers: each customer is on one page, in order, whatever its id and however many are equal."""

import math
import tracemalloc
from base64 import urlsafe_b64encode
from dataclasses import replace
from typing import get_args

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st

from api.caching.figures_table import FiguresTable
from api.questions.paging import MAX_CURSOR, PageKey, Ranking, Sort
from api.questions.sorting import Order
from rollups.counts import Outcomes
from rollups.figures import Figures, figures_of

RANKINGS = st.builds(
    Ranking,
    st.sampled_from(get_args(Sort)),
    st.sampled_from(get_args(Order)),
    st.none() | st.text(min_size=1).map(str.casefold),
)
IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
PLACES = st.builds(PageKey, st.integers() | st.floats(allow_nan=False, allow_infinity=False), IDS)
# Few values, so that many are equal.
LATENCIES = st.sampled_from([0.1, 0.2, 0.30000000000000004, 99.0])
FIGURES = st.builds(
    lambda successful, client_errors, server_errors, latencies: figures_of(
        Outcomes(successful + client_errors + server_errors, successful, client_errors, server_errors), *latencies
    ),
    st.integers(0, 2),
    st.integers(0, 1),
    st.integers(1, 2),
    st.just((None, None, None)) | st.tuples(LATENCIES, LATENCIES, LATENCIES),
)
ONE = figures_of(Outcomes(1, 1), 0.1, 0.1, 0.1)
FIGURE = {
    "total": "total_requests",
    "failed": "failed_requests",
    "client_errors": "client_errors",
    "server_errors": "server_errors",
    "uptime": "uptime",
    "availability": "availability",
    "average": "average_latency",
    "median": "median_latency",
    "p99": "p99_latency",
}


def pages(ranking: Ranking, figures: dict[str, Figures], limit: int) -> list[list[str]]:
    """The ids of all pages, each page from the cursor of the page before."""
    found = []
    after = None
    while True:
        total, page, last = ranking.page(FiguresTable.of(figures), after, limit)
        found.append(page)
        if last is None:
            assert sum(map(len, found)) == total
            return found
        assert len(page) == limit
        after = ranking.read_cursor(ranking.write_cursor(last))


@given(st.dictionaries(IDS, FIGURES), RANKINGS, st.integers(1, 5))
def test_the_pages_are_all_customers_in_order(figures: dict[str, Figures], ranking: Ranking, limit: int) -> None:
    ranking = replace(ranking, search=None)
    found = [customer for page in pages(ranking, figures, limit) for customer in page]
    by_id = sorted(figures, reverse=ranking.sort == "customer_id" and ranking.order == "desc")
    if ranking.sort == "customer_id":
        assert found == by_id
    else:
        sign = -1 if ranking.order == "desc" else 1

        def key(customer: str) -> float:
            value = getattr(figures[customer], FIGURE[ranking.sort])
            return math.inf if value is None else sign * value

        assert found == sorted(by_id, key=key)


@given(st.dictionaries(IDS, FIGURES, min_size=1), RANKINGS, st.integers(1, 5), st.data())
def test_new_and_removed_customers_move_no_other(
    figures: dict[str, Figures], ranking: Ranking, limit: int, data: st.DataObject
) -> None:
    ranking = replace(ranking, search=None)
    _, first, last = ranking.page(FiguresTable.of(figures), None, limit)
    later = figures | data.draw(st.dictionaries(IDS.filter(lambda one: one not in figures), FIGURES))
    for gone in data.draw(st.sets(st.sampled_from(sorted(figures)))):
        del later[gone]
    rest = []
    while last is not None:
        _, page, last = ranking.page(FiguresTable.of(later), last, limit)
        rest += page
    expected = figures.keys() & later.keys() - set(first) if len(figures) > limit else set()
    assert set(rest) & figures.keys() == expected
    assert len(rest) == len(set(rest))


def test_a_search_is_for_a_part_of_the_id_in_any_case() -> None:
    figures = dict.fromkeys(["Shop-1", "shop-2", "SHOP", "other", "STRASSE"], ONE)

    def found(search: str) -> tuple[int, list[str]]:
        return Ranking("customer_id", "asc", search.casefold()).page(FiguresTable.of(figures), None, 2)[:2]

    assert found("hop") == (3, ["SHOP", "Shop-1"])
    assert found("HOP-") == (2, ["Shop-1", "shop-2"])
    assert found("stra\u00dfe") == (1, ["STRASSE"])
    assert found("%") == (0, [])


@given(RANKINGS, PLACES)
def test_read_cursor_is_the_inverse_of_write_cursor(ranking: Ranking, place: PageKey) -> None:
    assert ranking.read_cursor(ranking.write_cursor(place)) == place


def test_the_cursor_of_the_longest_id_may_be_sent() -> None:
    for letter in ('"', "\u2028", "\U0001f642"):
        longest = letter * (256 // len(letter.encode()))
        assert len(Ranking("p99", "desc", None).write_cursor(PageKey(-12345.678901234567, longest))) <= MAX_CURSOR


@given(st.dictionaries(IDS, FIGURES, max_size=5), st.dictionaries(IDS, FIGURES, max_size=5), st.integers(0, 5))
def test_a_table_has_what_was_put_into_it(figures: dict[str, Figures], new: dict[str, Figures], gone: int) -> None:
    customers = new.keys() | set(sorted(figures)[:gone]) | {"unknown"}
    table = FiguresTable.of(figures).changed(FiguresTable.of(new), customers)
    expected = {name: found for name, found in figures.items() if name not in customers} | new
    assert {name: table[name] for name in table.names} == expected
    assert list(table.names) == sorted(expected)
    assert table.busiest(3) == sorted(expected, key=lambda name: (-expected[name].total_requests, name))[:3]


def test_a_customer_takes_few_bytes_of_a_table() -> None:
    customers = 20_000
    figures = {f"customer_{number}": ONE for number in range(customers)}
    tracemalloc.start()
    table = FiguresTable.of(figures)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table) == customers
    assert size / customers < 70


def test_counts_beyond_32_bits_are_exact() -> None:
    many = figures_of(Outcomes(2**40 + 1, 2**40, 0, 1), 0.1, 0.1, 0.1)
    table = FiguresTable.of({"a": ONE, "b": ONE}).changed(FiguresTable.of({"b": many}), ["b"])
    assert table["b"] == many
    assert FiguresTable.joined([FiguresTable.of({"a": ONE}), FiguresTable.of({"b": many})])["b"] == many


def test_tables_whose_names_lie_among_one_another_are_joined_in_order() -> None:
    all_figures = {f"é{number}": figures_of(Outcomes(number, 1), 0.1, 0.1, number / 10) for number in range(1, 30_000)}
    parts: list[dict[str, Figures]] = [{}, {}, {}, {}]
    for name, figures in all_figures.items():
        parts[min(3, figures.total_requests % 5)][name] = figures
    joined = FiguresTable.joined(list(map(FiguresTable.of, parts)))
    assert list(joined.names) == sorted(all_figures)
    assert {name: joined[name] for name in joined.names} == all_figures


@pytest.mark.parametrize("value", [10**400, -(10**400), 1e308, -1e308])
def test_a_key_that_no_customer_can_have_is_no_fault(value: float) -> None:
    table = FiguresTable.of({"a": ONE})
    _, page, _ = Ranking("total", "desc", None).page(table, PageKey(value, "a"), 1)
    assert page == (["a"] if value < 0 else [])


@given(RANKINGS, PLACES, st.data())
def test_a_changed_cursor_is_rejected(ranking: Ranking, place: PageKey, data: st.DataObject) -> None:
    cursor = ranking.write_cursor(place)
    at = data.draw(st.integers(0, len(cursor) - 1))
    letter = data.draw(st.characters().filter(lambda one: one != cursor[at]))
    for changed in (cursor[:at] + letter + cursor[at + 1 :], cursor[:at], cursor + "=", cursor + letter):
        with pytest.raises(RequestValidationError) as refused:
            ranking.read_cursor(changed)
        assert refused.value.errors()[0]["loc"] == ("query", "cursor")


@given(RANKINGS, RANKINGS, PLACES)
def test_a_cursor_of_another_ranking_is_rejected(ranking: Ranking, other: Ranking, place: PageKey) -> None:
    if ranking != other:
        with pytest.raises(RequestValidationError):
            other.read_cursor(ranking.write_cursor(place))


@given(RANKINGS, st.sampled_from([b"", b"[]", b"[1]", b'["1","a"]', b"[1,2]", b'[NaN,"a"]', b'[1,"a",3]', b"[" * 700]))
def test_a_forged_cursor_is_rejected(ranking: Ranking, text: bytes) -> None:
    made_up = urlsafe_b64encode(ranking._check(text) + text).decode().rstrip("=")
    with pytest.raises(RequestValidationError):
        ranking.read_cursor(made_up)
