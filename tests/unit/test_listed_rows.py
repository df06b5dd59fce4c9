"""Which rows of counts are kept for those who ask for a customer next."""

import pytest

from api.caching import listed_rows as listed_rows_module
from api.caching.listed_rows import ListedRows
from rollups.counts import DailyAggregate

DAYS = range(10, 20)


def row(characters: int) -> DailyAggregate:
    return DailyAggregate("", "x" * characters)


def test_rows_of_fewer_days_do_not_replace_those_of_more() -> None:
    listed = ListedRows()
    listed.keep(DAYS, 1, {"a": {10: row(1), 19: row(2)}})
    listed.keep(range(19, 20), 2, {"a": {19: row(3)}, "b": {19: row(4)}})
    assert listed.of("a", DAYS) == (1, {10: row(1), 19: row(2)})
    assert listed.of("a", range(11, 20)) == (1, {19: row(2)})
    assert listed.of("b", range(19, 20)) == (2, {19: row(4)})
    listed.keep(range(11, 21), 3, {"a": {20: row(5)}})
    assert listed.of("a", range(11, 21)) == (3, {20: row(5)})


def test_other_days_customers_and_all_together_are_not_kept() -> None:
    listed = ListedRows()
    listed.keep(DAYS, 1, {"a": {10: row(1)}})
    assert listed.of("a", range(10, 21)) is None
    assert listed.of("a", range(9, 20)) is None
    assert listed.of("b", DAYS) is None
    assert listed.of(None, DAYS) is None


def test_there_is_room_for_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed_rows_module, "_BYTES_KEPT", 103)
    monkeypatch.setattr(listed_rows_module, "_BYTES_A_ROW", 1)
    listed = ListedRows()
    for _ in range(3):
        listed.keep(DAYS, 1, {"a": {10: row(60)}, "b": {10: row(43)}, "c": {10: row(30), 11: row(10)}})
        assert [listed.of(name, DAYS) is not None for name in "abc"] == [True, False, True]
    listed.keep(DAYS, 2, {"a": {10: row(58)}, "b": {10: row(1)}})
    assert listed.of("b", DAYS) == (2, {10: row(1)})
