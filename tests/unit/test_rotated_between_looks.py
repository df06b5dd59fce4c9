"""Files that are rotated, compressed or emptied just while they are begun, read or looked at."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from following import QUIET, Follower, Time, line_of
from log_processor.following import log_files, search
from log_processor.following.collector import READ_BYTES
from log_processor.following.present import Candidate, Decompressor, candidate_at

LINES = [b"%d is a line" % number for number in range(200)]
TEXT = b"\n".join(LINES) + b"\n"
OTHERS = [line[::-1] for line in LINES]
OTHER_TEXT = b"\n".join(OTHERS) + b"\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The path of a log."""
    return tmp_path / "app.log"


def compress(path: Path, name: str) -> Path:
    """Compress a file as gzip does."""
    compressed = path.with_name(name)
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return compressed


def expect(follower: Follower, lines: list[bytes]) -> None:
    """Assert that exactly these lines were handed on, each once, and that there is no gap."""
    assert sorted(map(str, follower.lines.values())) == sorted(str(line_of(line)) for line in lines)
    assert follower.gaps == []
    follower.close()


def begin(log: Path) -> Follower:
    """A follower that has begun a file, and has handed on none of its lines."""
    follower = Follower(log, Time())
    log.write_bytes(TEXT)
    follower.step()
    follower.commit()
    assert follower.stored.files
    assert not follower.lines
    return follower


def restart(follower: Follower, log: Path) -> Follower:
    follower.close()
    return Follower(log, follower.time, follower.stored)


def test_a_file_that_is_compressed_before_its_lines_are_handed_on(log: Path) -> None:
    follower = begin(log)
    compress(log, "app.log.1.gz")
    log.write_bytes(b"another\n")
    expect(follower.drain(), [*LINES, b"another"])


def test_a_file_that_is_compressed_before_its_lines_are_handed_on_while_it_is_not_followed(log: Path) -> None:
    follower = begin(log)
    compress(log, "app.log.1.gz")
    log.write_bytes(b"another\n")
    expect(restart(follower, log).pass_time(10), [*LINES, b"another"])


def test_a_file_that_is_copied_and_emptied_before_its_lines_are_handed_on(log: Path) -> None:
    follower = begin(log)
    log.with_name("app.log.1").write_bytes(TEXT)
    log.write_bytes(b"another\n")
    expect(follower.drain(), [*LINES, b"another"])


def test_a_compressed_file_that_was_only_begun_is_read_after_a_restart(log: Path) -> None:
    follower = Follower(log, Time())
    follower.drain()
    log.write_bytes(TEXT)
    compress(log, "app.log.1.gz")
    log.write_bytes(b"another\n")
    while len(follower.stored.files) < 2:
        follower.step(seconds=0.1)
        follower.commit()
    assert not follower.lines
    expect(restart(follower, log).pass_time(10), [*LINES, b"another"])


def test_half_a_line_that_is_compressed_is_a_line_after_a_restart(log: Path) -> None:
    log.write_bytes(TEXT + b"half")
    follower = Follower(log, Time())
    os.utime(log, (follower.time.now, follower.time.now))
    follower.drain()
    log.rename(log.with_name("app.log.1"))
    log.write_bytes(b"another\n")
    log.with_name("app.log.1.gz").write_bytes(gzip.compress(TEXT + b"half"))
    while all(row.state != "copy" for row in follower.stored.files.values()):
        follower.step(seconds=0.1)
        follower.commit()
    log.with_name("app.log.1").unlink()
    expect(restart(follower, log).pass_time(10), [*LINES, b"half", b"another"])


def test_a_log_that_is_emptied_while_its_copy_is_being_decompressed_has_no_gap(log: Path) -> None:
    log.write_bytes(TEXT)
    follower = Follower(log, Time()).drain()
    log.with_name("app.log.1").write_bytes(TEXT)
    compress(log.with_name("app.log.1"), "app.log.1.gz")
    log.write_bytes(b"another\n")
    follower.time.now += 1
    # The decompressed text is not there at once.
    follower.logs.look(follower.time.now)
    follower.logs.look_at_files()
    expect(follower.drain(), [*LINES, b"another"])


def test_a_copy_with_the_inode_of_an_earlier_copy_is_a_copy(log: Path) -> None:
    log.write_bytes(TEXT)
    follower = Follower(log, Time()).drain()
    copy = log.with_name("app.log.1")
    copy.write_bytes(TEXT)
    follower.drain()
    # The system reuses the inode after the file was compressed.
    log.with_name("app.log.2.gz").write_bytes(gzip.compress(TEXT))
    log.write_bytes(b"another\n")
    follower.drain()
    copy.write_bytes(b"another\n")
    expect(follower.drain(), [*LINES, b"another"])


def test_a_file_that_was_moved_to_another_folder_and_compressed_there_is_found(log: Path) -> None:
    log.write_bytes(TEXT)
    follower = Follower(log, Time()).drain()
    folder = log.with_name("old")
    folder.mkdir()
    compress(log.rename(folder / "app.log-20261128"), "app.log-20261128.gz")
    log.write_bytes(b"another\n")
    follower.drain()
    compress(log.rename(folder / "app.log-20261129"), "app.log-20261129.gz")
    log.write_bytes(b"a third\n")
    expect(restart(follower, log).pass_time(10), [*LINES, b"another", b"a third"])


def test_a_rotated_file_that_was_read_may_go_and_give_its_inode_to_another(log: Path) -> None:
    log.write_bytes(TEXT)
    follower = Follower(log, Time()).drain()
    rotated = log.rename(log.with_name("app.log.1"))
    log.write_bytes(b"another\n")
    follower.drain()
    follower.close()
    rotated.write_bytes(b"a third\n")
    follower = restart(follower, log).pass_time(10)
    expect(follower, [*LINES, b"another", b"a third"])


def test_a_log_that_begins_like_a_file_that_was_compressed_just_before(log: Path) -> None:
    follower = begin(log).drain()
    compress(log, "app.log.1.gz")
    follower.drain()
    log.write_bytes(LINES[0] + b"\n")
    expect(follower.drain(), [*LINES, LINES[0]])


def test_an_archive_to_which_the_log_is_added_before_it_is_emptied(log: Path) -> None:
    follower = Follower(log, Time())
    texts = []
    for number in range(4):
        texts += [line + b" of %d" % number for line in LINES[:20]]
        log.write_bytes(b"\n".join(texts[-20:]) + b"\n")
        follower.pass_time(QUIET)
        with log.with_name("app.log.gz").open("ab") as archive:
            archive.write(gzip.compress(log.read_bytes()))
        follower.drain()
        log.write_bytes(b"")
        follower.pass_time(QUIET)
    assert sorted(map(str, follower.lines.values())) == sorted(str(line_of(line)) for line in texts)
    follower.close()


def test_names_that_are_shifted_before_a_file_is_decompressed(tmp_path: Path) -> None:
    """The path has another file by now."""
    path = tmp_path / "app.log.1.gz"
    path.write_bytes(gzip.compress(TEXT))
    candidate = candidate_at(path, is_live=False, is_rotated=True)
    assert candidate is not None
    path.rename(tmp_path / "app.log.2.gz")
    path.write_bytes(gzip.compress(b"another\n"))
    decompressor = Decompressor(tmp_path / "scratch")
    with pytest.raises(FileNotFoundError):
        decompressor.text(candidate)
    decompressor.close()


@pytest.mark.parametrize("header", [[], [b"#" * 1500]], ids=["no header", "header"])
def test_another_compressed_file_with_the_inode_and_the_size_of_a_file_that_was_read(
    log: Path, header: list[bytes]
) -> None:
    """The system gives the inode of a deleted file to the next file."""
    texts = [b"".join(line + b"\n" for line in [*header, *lines]) for lines in (LINES, OTHERS)]
    follower = Follower(log, Time()).drain()
    compressed = log.with_name("app.log.1.gz")
    # Without compression equal lengths give equal sizes.
    compressed.write_bytes(gzip.compress(texts[0], 0))
    follower = restart(follower.pass_time(QUIET), log)
    follower.pass_time(QUIET)
    compressed.write_bytes(gzip.compress(texts[1], 0))
    expect(restart(follower, log).pass_time(QUIET), [*header, *LINES, *header, *OTHERS])


@pytest.mark.parametrize("has_read", [False, True])
def test_another_file_with_the_inode_of_a_compressed_file_whose_text_is_being_read(log: Path, has_read: bool) -> None:
    lines = [b"%d %s" % (number, b"x" * 1000) for number in range(3000)]
    compressed = log.with_name("app.log.1.gz")
    follower = Follower(log, Time()).drain()
    compressed.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    while not (follower.lines if has_read else follower.stored.files):
        follower.step(seconds=0.1)
        follower.commit()
    assert len(follower.lines) < len(lines)
    # The system gives the inode of a deleted file to the next file. The follower reads the text, which is a file of its
    # own.
    compressed.write_bytes(b"another\n")
    compressed.rename(log.with_name("app.log.2"))
    expect(follower.drain(), [*lines, b"another"])


def test_a_file_is_known_whose_inode_an_earlier_file_has_had(log: Path) -> None:
    """A system reuses inodes. An unknown file would be read twice after a move to the folder of another log."""
    log.write_bytes(TEXT)
    follower = Follower(log, Time()).drain()
    log.write_bytes(b"another\n" + TEXT)
    candidate = candidate_at(log, is_live=False, is_rotated=True)
    assert candidate is not None
    follower = restart(follower.drain(), log)
    (family,) = follower.logs._families.values()
    assert family.knows(candidate)
    candidate.close()
    follower.close()


def test_a_compressed_file_for_whose_text_there_is_no_room_at_first(log: Path) -> None:
    follower = Follower(log, Time()).drain()
    # A file at this path prevents a folder there.
    scratch = log.with_name("spool")
    scratch.write_bytes(b"")
    log.with_name("app.log.1.gz").write_bytes(gzip.compress(TEXT))
    log.write_bytes(b"another\n")
    for _ in range(20):
        follower.step()
        follower.commit()
    assert list(follower.lines.values()) == [b"another"]
    scratch.unlink()
    expect(follower.pass_time(QUIET), [*LINES, b"another"])


def test_texts_of_files_that_change_after_they_were_decompressed_are_closed(log: Path) -> None:
    """Such a change comes from gzip, which sets the time of its file last."""
    follower = Follower(log, Time()).drain()
    compressed = log.with_name("app.log.1.gz")
    compressed.write_bytes(gzip.compress(TEXT))
    is_open = len(list(Path("/proc/self/fd").iterdir()))
    for second in range(20):
        follower.thread()
        os.utime(compressed, (second, second))
        follower.time.now += 1
        follower.look()
    assert len(list(Path("/proc/self/fd").iterdir())) < is_open + 5
    expect(follower.drain(), LINES)


def test_a_file_of_a_log_with_the_inode_of_a_file_that_was_another_logs(tmp_path: Path) -> None:
    """A system reuses inodes. The other log gets its look later, and only then knows that its file is gone."""
    for name, text in (("a.log", b""), ("z.log", TEXT), ("z.log.1", OTHER_TEXT)):
        (tmp_path / name).write_bytes(text)
    follower = Follower(tmp_path / "*.log", Time(), start="end").drain()
    rotated = tmp_path / "z.log.1"
    rotated.write_bytes(b"another\n")
    rotated.rename(tmp_path / "a.log.1")
    expect(follower.drain(), [b"another"])


def test_names_that_are_shifted_after_they_were_listed_at_the_first_start(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that are there at the beginning are not read, whatever they are called just then."""
    log.write_bytes(TEXT)
    rotated = log.with_name("app.log.1")
    rotated.write_bytes(OTHER_TEXT)

    def names_in(folder: Path) -> list[str]:
        names = sorted(path.name for path in folder.iterdir())
        if rotated.exists() and log.exists():
            rotated.rename(log.with_name("app.log.2"))
            log.rename(rotated)
        return names

    monkeypatch.setattr(log_files, "names_in", names_in)
    follower = Follower(log, Time(), start="end").drain()
    log.write_bytes(b"another\n")
    expect(follower.drain(), [b"another"])


def test_a_log_with_the_header_and_the_inode_of_its_oldest_file(log: Path) -> None:
    """Rotation deletes the oldest file, and the system gives its inode to the next file."""
    header = b"#Fields: date time cs-uri-stem sc-status\n"
    log.write_bytes(header + TEXT)
    follower = Follower(log, Time()).drain()
    oldest = log.rename(log.with_name("app.log.1"))
    log.write_bytes(header + b"of the second file\n")
    follower.pass_time(QUIET)
    log.rename(log.with_name("app.log.2"))
    oldest.write_bytes(header + OTHER_TEXT)
    oldest.rename(log)
    expect(follower.pass_time(QUIET), [header[:-1]] * 3 + [*LINES, b"of the second file", *OTHERS])


def test_a_log_with_the_header_and_the_inode_of_a_rotated_file_that_was_deleted_while_it_was_not_followed(
    log: Path,
) -> None:
    header = b"# Logfile created on 2026-11-28\n"
    log.write_bytes(header + TEXT)
    follower = Follower(log, Time()).drain()
    rotated = log.rename(log.with_name("app.log.1"))
    follower.drain()
    follower.close()
    rotated.write_bytes(header + OTHER_TEXT)
    rotated.rename(log)
    expect(restart(follower, log).pass_time(QUIET), [header[:-1]] * 2 + [*LINES, *OTHERS])


def test_lines_after_a_hole_that_were_read_before_the_log_was_copied_and_emptied(log: Path) -> None:
    follower = Follower(log, Time())
    log.write_bytes(b"\0" * 5000 + b"one\ntwo\n")
    follower.step()
    follower.commit()
    # The zeros are skipped, and the lines wait in memory.
    follower.step()
    follower.step()
    assert not follower.lines
    size = log.stat().st_size
    log.with_name("app.log.1").write_bytes(log.read_bytes())
    log.write_bytes(b"\0" * size + b"three\n")
    follower.time.now += 1
    follower.look()
    follower.hand_on()
    expect(follower.drain(), [b"one", b"two", b"three"])


def test_lines_that_were_read_before_the_log_was_copied_and_written_over(log: Path) -> None:
    follower = begin(log)
    follower.step()
    with log.open("r+b") as file:
        log.with_name("app.log.1").write_bytes(log.read_bytes())
        file.write(OTHER_TEXT)
    follower.look()
    follower.hand_on()
    expect(follower.drain(), [*LINES, *OTHERS])


@pytest.mark.parametrize("is_read", [False, True])
def test_a_log_that_is_copied_and_emptied_after_its_folder_was_listed(
    log: Path, monkeypatch: pytest.MonkeyPatch, is_read: bool
) -> None:
    follower = begin(log)
    if is_read:
        follower.drain()
    copy = log.with_name("app.log.1")

    def names_in(folder: Path) -> list[str]:
        names = sorted(path.name for path in folder.iterdir())
        if not copy.exists():
            copy.write_bytes(log.read_bytes())
            log.write_bytes(b"another\n")
        return names

    monkeypatch.setattr(log_files, "names_in", names_in)
    for family in follower.logs._families.values():
        family.is_dirty = True
    expect(follower.drain(), [*LINES, b"another"])


@pytest.mark.parametrize("is_restarted", [False, True])
@pytest.mark.parametrize("has_read", ["nothing", "the hole"])
def test_a_log_that_begins_with_a_hole_is_known_before_any_of_its_lines_is_read(
    log: Path, has_read: str, is_restarted: bool
) -> None:
    log.write_bytes(b"")
    follower = Follower(log, Time())
    # So many zeros are all that a step reads.
    log.write_bytes(b"\0" * READ_BYTES + TEXT)
    offset = 0 if has_read == "nothing" else READ_BYTES
    while not any(row.offset >= offset for row in follower.stored.files.values()):
        follower.step()
        follower.commit()
    assert not follower.lines
    if is_restarted:
        follower.close()
    size = log.stat().st_size
    log.with_name("app.log.1").write_bytes(log.read_bytes())
    log.write_bytes(b"")
    if is_restarted:
        follower = Follower(log, follower.time, follower.stored)
    # Longer than for a copy, or for the next name of a missing file, is waited.
    follower.pass_time(10)
    log.write_bytes(b"\0" * size + b"another\n")
    expect(follower.pass_time(10), [*LINES, b"another"])


def test_a_copy_that_grows_while_it_is_compared_is_a_copy(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_bytes(TEXT)
    follower = Follower(log, Time()).drain()
    copy = log.with_name("app.log.1")
    copy.write_bytes(TEXT[:100])
    follower.time.now += 1

    def candidate(path: Path, *others: Any) -> Candidate | None:
        found = candidate_at(path, *others)
        if path == copy:
            copy.write_bytes(TEXT)
        return found

    monkeypatch.setattr(search, "candidate_at", candidate)
    for family in follower.logs._families.values():
        family.is_dirty = True
    expect(follower.drain(), LINES)


def test_a_copy_that_is_renamed_in_each_of_two_looks_is_not_missed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write_bytes(TEXT)
    follower = Follower(log, Time()).drain()
    copies = [log.with_name(f"app.log.{number}") for number in range(1, 5)]
    copies[0].write_bytes(TEXT)
    log.write_bytes(b"another\n")
    follower.time.now += 1

    def candidate(path: Path, *others: Any) -> Candidate | None:
        if path in copies[:3] and path.exists():
            path.rename(copies[copies.index(path) + 1])
        return candidate_at(path, *others)

    monkeypatch.setattr(search, "candidate_at", candidate)
    expect(follower.drain(), [*LINES, b"another"])
