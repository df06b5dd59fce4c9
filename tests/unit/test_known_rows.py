"""Which rows of counts are kept for those who ask for a customer next."""

import pytest

from api import known_rows as known_rows_module
from api.known_rows import KnownRows
from storage.contract import PackedCounts

DAYS = range(10, 20)


def row(characters: int) -> PackedCounts:
    return PackedCounts("", "x" * characters, "{}")


def test_rows_of_fewer_days_do_not_replace_those_of_more() -> None:
    known = KnownRows()
    known.keep(DAYS, 1, {"a": {10: row(1), 19: row(2)}})
    known.keep(range(19, 20), 2, {"a": {19: row(3)}, "b": {19: row(4)}})
    assert known.of("a", DAYS) == (1, {10: row(1), 19: row(2)})
    assert known.of("a", range(11, 20)) == (1, {19: row(2)})
    assert known.of("b", range(19, 20)) == (2, {19: row(4)})
    known.keep(range(11, 21), 3, {"a": {20: row(5)}})
    assert known.of("a", range(11, 21)) == (3, {20: row(5)})


def test_other_days_customers_and_all_together_are_not_known() -> None:
    known = KnownRows()
    known.keep(DAYS, 1, {"a": {10: row(1)}})
    assert known.of("a", range(10, 21)) is None
    assert known.of("a", range(9, 20)) is None
    assert known.of("b", DAYS) is None
    assert known.of(None, DAYS) is None


def test_there_is_room_for_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_rows_module, "_CHARACTERS_KEPT", 100)
    known = KnownRows()
    for _ in range(3):
        known.keep(DAYS, 1, {"a": {10: row(60)}, "b": {10: row(41)}, "c": {10: row(30), 11: row(10)}})
        assert [known.of(name, DAYS) is not None for name in "abc"] == [True, False, True]
    known.keep(DAYS, 2, {"a": {10: row(59)}, "b": {10: row(1)}})
    assert known.of("b", DAYS) == (2, {10: row(1)})
