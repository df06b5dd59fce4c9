"""Telling a file by its bytes."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_processor.fingerprint import HEAD_BYTES, Fingerprint

DATA = os.urandom(3 * HEAD_BYTES)
OFFSETS = [0, 1, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1, 2 * HEAD_BYTES]


def fingerprint(path: Path, offset: int) -> Fingerprint:
    with path.open("rb") as file:
        return Fingerprint.of(file.fileno(), offset)


def matches(known: Fingerprint, path: Path, offset: int) -> bool:
    with path.open("rb") as file:
        return known.matches(file.fileno(), offset)


@given(
    st.builds(
        Fingerprint,
        *[st.integers(0, 1 << 63)] * 2,
        st.integers(0, 1024),
        *[st.text("0123456789abcdef", min_size=1)] * 2,
    )
)
def test_it_is_read_as_it_was_written(known: Fingerprint) -> None:
    assert Fingerprint.decode(str(known)) == known


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("rest", [DATA[2 * HEAD_BYTES :], b""])
def test_a_file_is_known_when_it_has_grown_and_so_is_a_copy(tmp_path: Path, offset: int, rest: bytes) -> None:
    log, copy = tmp_path / "log", tmp_path / "copy"
    log.write_bytes(DATA[: 2 * HEAD_BYTES])
    known = fingerprint(log, offset)
    copy.write_bytes(DATA[: 2 * HEAD_BYTES] + rest)
    assert matches(known, copy, offset)


@pytest.mark.parametrize("offset", OFFSETS)
def test_another_file_is_not_known(tmp_path: Path, offset: int) -> None:
    log, other = tmp_path / "log", tmp_path / "other"
    log.write_bytes(DATA)
    known = fingerprint(log, offset)
    for data in (b"", DATA[: offset - 1] if offset else b"x", b"x" + DATA[1:], DATA[1:]):
        other.write_bytes(data)
        assert not matches(known, other, offset)


@pytest.mark.parametrize("offset", [offset for offset in OFFSETS if offset])
def test_what_stands_right_before_the_offset_counts(tmp_path: Path, offset: int) -> None:
    log, other = tmp_path / "log", tmp_path / "other"
    log.write_bytes(DATA)
    other.write_bytes(DATA[: offset - 1] + bytes([DATA[offset - 1] ^ 1]) + DATA[offset:])
    assert not matches(fingerprint(log, offset), other, offset)


def test_an_empty_file_is_never_known(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    known = fingerprint(log, 0)
    assert known.length == 0
    assert not matches(known, log, 0)
