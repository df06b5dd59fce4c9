"""Many names in one piece of memory."""

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from api.caching.names import Names

NAMES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=12)


def test_names_are_kept_in_their_order() -> None:
    names = Names.of(["b", "", "\u20ac\U0001f642", "a\n"])
    assert list(names) == ["b", "", "\u20ac\U0001f642", "a\n"]
    assert (len(names), names[2], names[-1], names[1:3]) == (4, "\u20ac\U0001f642", "a\n", ["", "\u20ac\U0001f642"])
    assert list(Names()) == list(Names.of([])) == list(Names.joined([])) == []


def test_a_text_is_found_in_either_case() -> None:
    names = Names.of(["Shop-1", "other", "shop-2", "STRASSE", "sho", "p-"])
    assert list(names.containing("shop-")) == [0, 2]
    assert list(names.containing("stra\u00dfe".casefold())) == [3]
    assert list(names.containing("none")) == []


@given(st.lists(NAMES, max_size=4))
def test_joined_names_follow_one_another(parts: list[list[str]]) -> None:
    assert list(Names.joined(list(map(Names.of, parts)))) == [name for part in parts for name in part]


@given(NAMES, NAMES)
def test_inserted_names_come_before_those_at_their_places(names: list[str], new: list[str]) -> None:
    names, new = sorted(names), sorted(new)
    inserted = Names.of(names).inserted([bisect_left(names, name) for name in new], new)
    assert list(inserted) == sorted([*names, *new])
    assert [bisect_left(inserted, name) for name in new] == [bisect_left(sorted([*names, *new]), name) for name in new]


@given(NAMES, st.data())
def test_without_has_all_other_names(names: list[str], data: st.DataObject) -> None:
    gone = sorted(data.draw(st.sets(st.sampled_from(range(len(names)))))) if names else []
    assert list(Names.of(names).without(gone)) == [name for place, name in enumerate(names) if place not in gone]
