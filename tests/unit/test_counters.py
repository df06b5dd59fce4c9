"""Counters as text."""

import zlib
from base64 import b64decode, b64encode
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollups.counters import (
    UnreadableText,
    add_to_counter,
    counters_arrays,
    decode_counter,
    encode_counter,
    encode_counters,
    take_from_counter,
)


def with_gaps(values: int, gaps: list[tuple[int, int]], count: int) -> dict[int, int]:
    """A counter of many values, with a larger step to the values from some places on. `gaps`: place and step."""
    numbers = np.arange(values)
    for place, step in gaps:
        numbers[place % values :] += step
    return dict.fromkeys(numbers.tolist(), count)


# Of few values and of many, small and large.
counters = st.one_of(
    st.dictionaries(st.integers(0, 86_400_000), st.integers(1, 1 << 61), max_size=80),
    st.builds(lambda n, step: dict.fromkeys(range(0, n * step, step), step), st.integers(60, 600), st.integers(1, 99)),
    st.builds(
        with_gaps,
        st.integers(500, 700),
        st.lists(
            st.tuples(st.integers(0), st.integers(1, 1 << 18) | st.sampled_from([65_534, 65_535, 131_070])), max_size=6
        ),
        st.sampled_from([1, 3, 65_535, 65_536]),
    ),
)


@pytest.mark.parametrize(
    "text",
    ["", "X", "HA", "HAAA", "HAQABAAEA", "h", "hAAAA", "x", "xAAAA", "Q//////////8BAAAAAAAAAA==", "\x1b", "H\xe9"],
)
def test_what_is_no_counter_is_told_apart_from_other_faults(text: str) -> None:
    for read in (
        lambda: decode_counter(text),
        lambda: counters_arrays(["HyAABAA==", text]),
        lambda: add_to_counter(text, "HyAABAA=="),
        lambda: take_from_counter("HyAABAA==", text),
    ):
        with pytest.raises(UnreadableText) as raised:
            read()
        assert raised.value.text == text


@given(counters)
def test_a_counter_comes_back(counter: dict[int, int]) -> None:
    assert decode_counter(encode_counter(counter)) == counter


def number_by_number(text: str) -> str:
    """A text with byte planes as it was before there were planes."""
    letter, itemsize = {"x": ("h", 2), "y": ("i", 4), "z": ("q", 8)}[text[0]]
    planes = zlib.decompress(b64decode(text[1:]))
    numbers = len(planes) // itemsize
    data = bytes(planes[plane * numbers + number] for number in range(numbers) for plane in range(itemsize))
    return letter + b64encode(zlib.compress(data, 1)).decode()


@given(counters.filter(lambda counter: encode_counter(counter)[0] in "xyz"))
def test_a_counter_without_byte_planes_comes_back(counter: dict[int, int]) -> None:
    assert decode_counter(number_by_number(encode_counter(counter))) == counter


def test_a_row_of_before_there_were_byte_planes_is_read() -> None:
    # The multiples of 3 up to 3,000, each counted five times.
    text = "heAHt0AEJAAAMA6DBef/KyzEQG5gcBgwYMGDAwPzABwMGDBgwYGB/oBl4H0Y="
    assert decode_counter(text) == dict.fromkeys(range(0, 3_001, 3), 5)


def test_byte_planes_of_numbers_that_do_not_divide_are_damaged() -> None:
    data = b64encode(zlib.compress(b"\0" * 7, 1)).decode()
    for letter in "xyz":
        with pytest.raises(UnreadableText):
            decode_counter(letter + data)


def test_a_few_gaps_between_many_values_cost_little() -> None:
    without = encode_counter(with_gaps(2_000, [], 3))
    text = encode_counter(with_gaps(2_000, [(0, 65_535), (500, 65_535), (1_000, 1 << 20)], 3))
    assert text[0] == without[0] == "x"
    assert len(text) < len(without) + 60


@given(st.lists(counters, min_size=1))
def test_several_counters_are_encoded_as_each_is(given: list[dict[int, int]]) -> None:
    in_order = [sorted(counter.items()) for counter in given]
    numbers = np.array([pair for pairs in in_order for pair in pairs], np.int64).reshape(-1, 2)
    texts = encode_counters(numbers[:, 0], numbers[:, 1], np.cumsum([0, *map(len, in_order)]))
    assert texts == list(map(encode_counter, given))


@given(st.lists(counters))
def test_several_counters_are_decoded_as_each_is(given: list[dict[int, int]]) -> None:
    values, counts, sizes = counters_arrays(list(map(encode_counter, given)))
    pairs = list(zip(values.tolist(), counts.tolist(), strict=True))
    assert pairs == [pair for counter in given for pair in sorted(counter.items())]
    assert sizes.tolist() == list(map(len, given))


@given(counters, counters)
def test_counters_add_up(counter: dict[int, int], more: dict[int, int]) -> None:
    text = add_to_counter(encode_counter(counter), encode_counter(more))
    assert text == encode_counter(Counter(counter) + Counter(more))


@given(counters, counters)
def test_a_counter_that_was_added_can_be_taken_back(counter: dict[int, int], more: dict[int, int]) -> None:
    text = add_to_counter(encode_counter(counter), encode_counter(more))
    assert take_from_counter(text, encode_counter(more)) == encode_counter(counter)


@pytest.mark.parametrize("less", [{200: 3}, {404: 1}, {100: 1}, {200: 2, 500: 1}])
def test_a_counter_that_was_not_added_cannot_be_taken_back(less: dict[int, int]) -> None:
    for counter in ({200: 2}, {}):
        with pytest.raises(ValueError, match="has not all of"):
            take_from_counter(encode_counter(counter), encode_counter(less))
