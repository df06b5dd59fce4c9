"""What of a file is new, beside files that were read and files that a processor reads."""

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lines import valid_lines
from log_processor.commands.backfill.known import ByteRange
from log_processor.commands.backfill.unread import InputFile, unread_of
from log_processor.following.identity import Hasher, Identity, Read
from storage.logs import FileRow, FileState, LedgerRow, Position

ELSEWHERE = (0, 0)
"""No file is there."""


def lines(count: int, seed: int) -> bytes:
    return valid_lines(count, seed=seed)


def read_in(data: bytes) -> Read:
    return lambda length, offset: data[offset : offset + length]


def row(
    data: bytes,
    offset: int | None = None,
    start: int = 0,
    log: str = "log",
    generation: int = 0,
    path: Path | str = "/nowhere/log",
    inode: int = 1,
    state: FileState = "closed",
) -> FileRow:
    """Of a file with these bytes that was read from `start` through `offset`, or its end."""
    end = len(data) if offset is None else offset
    hasher = Hasher(start)
    hasher.add(data[start:end])
    sampled = Identity.sampled(inode, end, read_in(data))
    identity = str(hasher.identity(sampled) if end > start else sampled)
    return FileRow(log, generation, 0, 0, start, end, len(data), state, str(path), identity)


def ledger_row(path: Path | str = "/nowhere/log", log: str = "log") -> LedgerRow:
    return LedgerRow(log, str(path), Position(0, 0), Position(0, 0))


def unread(
    text: bytes,
    *rows: FileRow,
    ledger: Sequence[LedgerRow] = (),
    at: tuple[int, int] = ELSEWHERE,
    waiting: Sequence[Path] = (),
) -> list[bytes]:
    """What is new in a text."""
    opened = [path.open("rb") for path in waiting]
    try:
        found = unread_of(InputFile(io.BytesIO(text), len(text), at), opened, ledger or [ledger_row()], rows)
    finally:
        for file in opened:
            file.close()
    return [text[start:end] for start, end in found]


def at(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


A, B, C, D = (lines(200, seed) for seed in range(4))


def test_what_nobody_knows_is_new() -> None:
    assert unread(A) == [A]
    assert unread(A, row(B)) == [A]
    assert unread(b"") == []


@pytest.mark.parametrize("size", [1, 2, 200, 5_000])
def test_known_files_are_found_wherever_they_are_in_another_one(size: int) -> None:
    known = [lines(size, seed) for seed in range(10, 12)]
    rows = [row(data, generation=number) for number, data in enumerate(known)]
    assert unread(known[0] + known[1], *rows) == []
    assert unread(known[1] + known[0] + known[1], *rows) == []
    assert unread(known[0] + A, *rows) == [A]
    # Of a few lines it cannot be told whether they are those of a known file.
    if size > 2:
        assert unread(A + known[1] + B + known[0], *rows) == [A, B]


def test_files_that_begin_alike_are_told_apart() -> None:
    banner = b"#Software: a server\n#Fields: time customer path status duration\n" * 40
    assert unread(banner + A, row(banner + B)) in ([banner + A], [A])
    assert unread(banner + A, row(banner + A), row(banner + B, generation=1)) == []
    assert unread(banner + A + banner + B, row(banner + A), row(banner + B, generation=1)) == []


def test_what_was_read_of_a_file_that_has_grown_is_known() -> None:
    assert unread(A + B, row(A)) == [B]
    # Of a line that was read without its newline, the rest is new.
    assert unread(A + B, row(A[:-1])) == [B]
    half = A[:-20]
    assert unread(A + B, row(half)) == [(A + B)[len(half) :]]


def test_the_beginning_of_a_known_file_is_known_as_far_as_its_marks_tell() -> None:
    for size in (3_000, 8_000, len(A) // 2):
        beginning = A[: A.rindex(b"\n", 0, size) + 1]
        found = unread(beginning, row(A))
        assert sum(map(len, found)) < size / 2
        assert all(part in A for part in found)


def test_zeros_and_empty_lines_are_no_news() -> None:
    assert unread(A + b"\0" * 200_000, row(A)) == []
    assert unread(A + b"\n\r\n", row(A)) == []
    assert unread(A + B + b"\0" * 200_000, row(A)) == [B]
    assert unread(b"\0" * 100) == []


def test_a_hole_in_a_known_file_is_the_same_in_its_copy() -> None:
    holed = b"\0" * 5_000 + A
    hasher = Hasher(0)
    hasher.skip(5_000)
    hasher.add(A)
    identity = hasher.identity(Identity.sampled(1, len(holed), read_in(holed)))
    known = FileRow("log", 0, 0, 0, 0, len(holed), len(holed), "closed", "/nowhere/log", str(identity))
    assert unread(holed, known) == []
    assert unread(B + holed, known, row(B, generation=1)) == []


def test_what_a_file_had_before_it_was_followed_is_new() -> None:
    before, after = A, B
    followed = row(before + after, start=len(before))
    assert unread(before + after, followed) == [before]
    assert unread(before + after + C, followed) == [before, C]
    assert unread(D + before + after + C, followed, row(D, generation=1)) == [before, C]
    # When it is read, too, nothing is.
    assert unread(before + after, followed, row(before, log="backfill-1")) == []


def test_a_file_that_was_only_noted_is_new() -> None:
    assert unread(A, row(A, start=len(A))) == [A]


def test_a_file_that_goes_on_under_another_number_is_known_from_where_the_first_one_began() -> None:
    first = row(A + B, offset=len(A + B), start=len(A))
    second = row(A + B + C, start=len(A + B), generation=1)
    assert unread(A + B + C, first, second) == [A]
    # It has changed in its place.
    changed = A[:-100] + b"x" * 99 + b"\n"
    assert unread(changed + C, row(A), row(changed + C, start=len(changed), generation=1)) == []


def test_rows_of_copies_and_of_files_of_which_nothing_was_read_say_nothing() -> None:
    copy = FileRow("log", 1, -1, 0, 0, 0, len(A), "copy", "/nowhere/log.1", "7-0--", 0)
    assert unread(A, copy) == [A]
    assert unread(A, row(A, offset=0)) == [A]


def test_what_waits_is_known(tmp_path: Path) -> None:
    waiting = tmp_path / "log"
    waiting.write_bytes(A)
    assert unread(A, waiting=[waiting]) == []
    assert unread(A[: len(A) // 2], waiting=[waiting]) == []
    assert unread(A + B, waiting=[waiting]) == [B]
    assert unread(B + A, waiting=[waiting]) == [B]


def test_a_file_that_is_followed_is_left_to_the_processor(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(A + B + b"half a l")
    ledger = [ledger_row(log)]
    cases: list[tuple[int, FileState]] = [(len(A), "live"), (0, "live"), (len(A), "closed")]
    for offset, state in cases:
        known = row(A + B, offset, path=log, inode=log.stat().st_ino, state=state)
        assert unread(A + B + b"half a l", known, ledger=ledger, at=at(log)) == []
        # A copy is known by its bytes.
        assert unread(A + B, known, ledger=ledger) == []
        assert unread(A + B + b"half", known, ledger=ledger) == []
        assert unread(A + B + C, known, ledger=ledger) == [C]
    # It was noted at the first start.
    noted = row(A + B, len(A), start=len(A), path=log, inode=log.stat().st_ino, state="live")
    assert unread(A + B + b"half a l", noted, ledger=ledger, at=at(log)) == [A]
    assert unread(A + B, noted, ledger=ledger) == [A]


def test_a_file_that_nobody_has_seen_yet_is_left_to_the_processor_where_it_is_a_followed_logs(tmp_path: Path) -> None:
    log, rotated, other = tmp_path / "log", tmp_path / "log.1", tmp_path / "other.log"
    for path, data in ((log, A), (rotated, B), (other, C)):
        path.write_bytes(data)
    ledger = [ledger_row(log)]
    assert unread(A, ledger=ledger, at=at(log)) == []
    assert unread(B, ledger=ledger, at=at(rotated)) == []
    assert unread(A + B, ledger=ledger) == []
    assert unread(C, ledger=ledger, at=at(other)) == [C]
    assert unread(B, ledger=[ledger_row(log, "backfill-1")], at=at(rotated)) == [B]


def test_a_rotated_file_that_was_noted_is_new_after_its_compression(tmp_path: Path) -> None:
    compressed = tmp_path / "log.2.gz"
    compressed.write_bytes(b"\x1f\x8b compressed")
    ledger = [ledger_row(tmp_path / "log")]
    noted = row(A, start=len(A), path=tmp_path / "log.1", inode=7)
    assert unread(A, noted, ledger=ledger, at=at(compressed)) == [A]
    # Or it was compressed already, and nothing of it was read.
    closed = FileRow("log", 0, -1, 0, 0, 0, 13, "closed", str(compressed), f"{compressed.stat().st_ino}-0--")
    assert unread(A, closed, ledger=ledger, at=at(compressed)) == [A]


FILES = [A, B, C, D[: D.index(b"\n", 700) + 1]]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.sets(st.integers(0, 3)), st.sampled_from([b"", b"half"]))
def test_what_is_new_and_what_is_known_make_the_whole(parts: list[int], known: set[int], end: bytes) -> None:
    rows = [row(FILES[number], generation=number) for number in sorted(known)]
    new = b"".join(unread(b"".join(map(FILES.__getitem__, parts)) + end, *rows))
    assert new == b"".join(FILES[number] for number in parts if number not in known) + end


def test_a_large_file_is_gone_through_in_little_time() -> None:
    text = lines(50_000, 5)
    rows = [row(lines(20, seed), generation=seed) for seed in range(100, 300)]
    assert unread(text, *rows) == [text]
    assert unread_of(InputFile(io.BytesIO(text), len(text), ELSEWHERE), [], [], rows) == [ByteRange(0, len(text))]
