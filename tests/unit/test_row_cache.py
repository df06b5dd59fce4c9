"""The row cache: which rows it keeps, and for which questions."""

from api.caching.row_cache import OVERHEAD_BYTES, RowCache
from rollups.counts import DailyAggregate

DAYS = range(10, 20)


def row(characters: int) -> DailyAggregate:
    return DailyAggregate("", "x" * characters)


def test_rows_over_fewer_days_do_not_replace_rows_over_more() -> None:
    cache = RowCache()
    cache.put(DAYS, 1, {"a": {10: row(1), 19: row(2)}})
    cache.put(range(19, 20), 2, {"a": {19: row(3)}, "b": {19: row(4)}})
    assert cache.get("a", DAYS) == (1, {10: row(1), 19: row(2)})
    assert cache.get("a", range(11, 20)) == (1, {19: row(2)})
    assert cache.get("b", range(19, 20)) == (2, {19: row(4)})
    cache.put(range(11, 21), 3, {"a": {20: row(5)}})
    assert cache.get("a", range(11, 21)) == (3, {20: row(5)})


def test_other_days_and_customers_and_all_together_are_not_cached() -> None:
    cache = RowCache()
    cache.put(DAYS, 1, {"a": {10: row(1)}})
    assert cache.get("a", range(10, 21)) is None
    assert cache.get("a", range(9, 20)) is None
    assert cache.get("b", DAYS) is None
    assert cache.get(None, DAYS) is None


def test_the_size_is_bounded() -> None:
    cache = RowCache(5 * OVERHEAD_BYTES + 100)
    for _ in range(3):
        cache.put(DAYS, 1, {"a": {10: row(60)}, "b": {10: row(OVERHEAD_BYTES + 41)}, "c": {10: row(30), 11: row(10)}})
        assert [cache.get(name, DAYS) is not None for name in "abc"] == [True, False, True]
    cache.put(DAYS, 2, {"a": {}, "b": {10: row(1)}})
    assert cache.get("b", DAYS) == (2, {10: row(1)})
