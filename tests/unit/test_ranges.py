"""Ranges of bytes against sets of them."""

from hypothesis import given
from hypothesis import strategies as st

from log_processor.commands.ranges import Ranges

ranges = st.tuples(st.integers(0, 30), st.integers(0, 10)).map(lambda pair: (pair[0], sum(pair)))


@given(st.lists(ranges), ranges)
def test_they_are_sets_of_integers(added: list[tuple[int, int]], asked: tuple[int, int]) -> None:
    found, expected = Ranges(), set[int]()
    for start, end in added:
        new = [number for begin, stop in found.add(start, end) for number in range(begin, stop)]
        assert new == [number for number in range(start, end) if number not in expected]
        expected.update(range(start, end))
    missing = [number for begin, stop in found.missing(*asked) for number in range(begin, stop)]
    assert missing == [number for number in range(*asked) if number not in expected]
    if asked[0] < asked[1]:
        assert found.is_apart(*asked) == expected.isdisjoint(range(*asked))


def test_a_copy_is_apart() -> None:
    found = Ranges()
    found.add(0, 5)
    copy = found.copy()
    assert copy.add(3, 9) == [(5, 9)]
    assert list(found.missing(0, 9)) == [(5, 9)]
    assert list(copy.missing(0, 10)) == [(9, 10)]
