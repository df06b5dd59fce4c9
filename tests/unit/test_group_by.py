"""Distinct integers of an array, against Python's own counting."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rollups.group_by import appearing, counts_of, sums_of

# Close together, apart, and beyond 32 bits.
numbers = st.one_of(*(st.lists(st.integers(0, largest)) for largest in (9, 86_400_000, 1 << 61)))


@given(numbers)
def test_distinct_integers_are_counted(given: list[int]) -> None:
    values, counts = counts_of(np.array(given, np.int64))
    assert list(zip(values.tolist(), counts.tolist(), strict=True)) == sorted(Counter(given).items())


@given(numbers, st.data())
def test_the_amounts_of_distinct_integers_are_summed(given: list[int], data: st.DataObject) -> None:
    amounts = data.draw(st.lists(st.integers(1, 1 << 53), min_size=len(given), max_size=len(given)))
    expected: Counter[int] = Counter()
    for number, amount in zip(given, amounts, strict=True):
        expected[number] += amount
    values, sums = sums_of(np.array(given, np.int64), np.array(amounts, np.int64))
    assert list(zip(values.tolist(), sums.tolist(), strict=True)) == sorted(expected.items())


@given(numbers)
def test_distinct_integers_come_in_the_order_of_their_appearance(given: list[int]) -> None:
    values, places = appearing(np.array(given, np.int64))
    assert values == list(dict.fromkeys(given))
    assert [values[place] for place in places] == given
