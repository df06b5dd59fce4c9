"""Recognizing files by their bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_processor.following.identity import BLOCK_BYTES, NOTHING, Hasher, Identity, Read

LINES = b"".join(b"line %d\n" % number for number in range(30_000))
OFFSETS = [7, 56, 1_023, 1_024, 1_025, 5_000, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5]
INODE = 7


def read(data: bytes) -> Read:
    return lambda length, offset: data[offset : offset + length]


def no_hole(offset: int) -> int:
    return offset


def identity(data: bytes, offset: int, start: int = 0, step: int = 1 << 20) -> Identity:
    """The identity of a file that was read from `start` through `offset`, `step` bytes at a time."""
    hasher = Hasher(start)
    for begin in range(start, offset, step):
        hasher.add(data[begin : min(begin + step, offset)])
    return hasher.identity(Identity.sampled(INODE, offset, read(data)))


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_file_is_known_while_it_grows_and_when_it_is_copied(offset: int) -> None:
    known = identity(LINES, offset)
    for end in (offset, offset + 1, len(LINES)):
        assert known.agrees(offset, read(LINES[:end]))
        assert known.agrees_whole(0, offset, read(LINES[:end]))


@pytest.mark.parametrize("offset", OFFSETS)
def test_another_file_is_not(offset: int) -> None:
    known = identity(LINES, offset)
    for other in (b"", LINES[: offset - 1], b"x" + LINES[1:], LINES[1:], LINES[: offset - 1] + b"x" + LINES[offset:]):
        assert not known.agrees(offset, read(other))
        assert not known.agrees_whole(0, offset, read(other))


def test_a_change_in_the_middle_is_seen_if_all_bytes_are_compared() -> None:
    offset = 3 * BLOCK_BYTES
    known = identity(LINES, offset)
    other = LINES[: offset // 2] + b"x" + LINES[offset // 2 + 1 :]
    assert known.agrees(offset, read(other))
    assert not known.agrees_whole(0, offset, read(other))


def test_bytes_before_the_start_are_compared_by_the_head_alone() -> None:
    known = identity(LINES, 9_000, start=5_000)
    other = LINES[:3_000] + b"x" + LINES[3_001:]
    assert known.agrees_whole(5_000, 9_000, read(other))
    assert not known.agrees_whole(5_000, 9_000, read(b"x" + LINES[1:]))


def test_without_bytes_it_is_no_identity() -> None:
    assert not NOTHING.agrees(0, read(LINES))
    assert not Identity.sampled(INODE, 0, read(LINES)).agrees(0, read(LINES))


@pytest.mark.parametrize("offset", [0, *OFFSETS])
def test_its_text_says_all(offset: int) -> None:
    for known in (identity(LINES, offset), Identity.sampled(INODE, offset, read(LINES)), NOTHING):
        assert Identity.decode(str(known)) == known
    assert Identity.decode("") == NOTHING


@given(offset=st.integers(0, 4 * BLOCK_BYTES), steps=st.integers(100, 100_000), at=st.floats(0, 1))
def test_it_does_not_matter_in_which_steps_a_file_was_read_nor_a_restart(offset: int, steps: int, at: float) -> None:
    at_once = identity(LINES, offset)
    assert identity(LINES, offset, step=steps) == at_once
    middle = int(at * offset)
    hasher = Hasher.resumed(identity(LINES, middle, step=steps), 0, middle, read(LINES), no_hole)
    assert hasher is not None
    hasher.add(LINES[middle:offset])
    resumed = hasher.identity(Identity.sampled(INODE, offset, read(LINES)))
    assert (resumed.whole, resumed.block) == (at_once.whole, at_once.block)


def test_hashing_does_not_go_on_in_another_file() -> None:
    known = identity(LINES, 5_000)
    assert Hasher.resumed(known, 0, 5_000, read(b"x" + LINES[1:]), no_hole) is None


def test_zeros_are_left_out() -> None:
    hole = LINES[:500] + b"\0" * 3_000 + LINES[500:]
    assert identity(hole, 4_000).whole == identity(LINES, 1_000).whole
    skipped = Hasher(0)
    skipped.add(LINES[:500])
    skipped.skip(3_000)
    skipped.add(LINES[500:1_000])
    assert skipped.digest() == identity(LINES, 1_000).whole


HOLES = st.lists(st.tuples(st.integers(0, 3 * BLOCK_BYTES), st.integers(1, 2 * BLOCK_BYTES)), max_size=4)


@given(offset=st.integers(0, 3 * BLOCK_BYTES), holes=HOLES, is_wide=st.booleans(), steps=st.integers(100, 500_000))
def test_zeros_are_left_out_wherever_they_are(
    offset: int, holes: list[tuple[int, int]], is_wide: bool, steps: int
) -> None:
    without = identity(LINES, offset)
    data = LINES[:offset]
    for at, zeros in sorted(holes, reverse=True):
        data = data[:at] + b"\0" * zeros + data[at:]
    if is_wide:
        # As UTF-16 has them.
        data = b"\0".join(data[place : place + 1] for place in range(len(data)))
    known = identity(data, len(data), step=steps)
    assert (known.whole, known.block.length, known.block.before) == (
        without.whole,
        without.block.length,
        without.block.before,
    )
    # The block begins at the byte at which it begins without the zeros.
    assert len(data[: known.block.offset].replace(b"\0", b"")) == without.block.offset
    assert not data[known.block.offset :].startswith(b"\0") or not known.block.offset


@given(same=st.integers(0, 60_000), more=st.integers(0, 500), offset=st.integers(1, 60_000))
def test_how_far_a_changed_file_equals_the_bytes_that_were_read(same: int, more: int, offset: int) -> None:
    """The bytes before the first offset equal those that were read. The bytes after the second one do not."""
    same = min(same, offset)
    other = LINES[:same] + b"#" * more
    known = identity(LINES, offset)
    certain, possible = known.common(0, offset, len(other), read(other))
    assert certain <= possible <= max(offset, len(other))
    assert LINES[:certain] == other[:certain]
    assert certain in (0, len(other)) or LINES[certain - 1 : certain] == b"\n"
    # The whole lines that both have in common end before it.
    assert LINES[:same].rfind(b"\n") + 1 <= possible


def test_of_a_file_without_its_first_line_nothing_is_the_same() -> None:
    assert identity(LINES, 5_000).common(0, 5_000, 5_000, read(b"other\n" + LINES)) == (0, 0)


@pytest.mark.parametrize("size", [7, 14, 100, 4_000])
def test_a_file_is_the_first_part_of_the_bytes_that_were_read(size: int) -> None:
    known = identity(LINES, 5_000)
    assert known.begins_with(0, size, read(LINES[:size]))
    assert not known.begins_with(0, size, read(b"x" + LINES[1:size]))


def test_less_than_a_line_is_no_part() -> None:
    assert not identity(LINES, 5_000).begins_with(0, 6, read(LINES[:6]))
