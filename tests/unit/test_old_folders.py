"""Rotated files in a folder below the log's, as logrotate's `olddir` puts them there."""

import gzip
import os
from pathlib import Path

import pytest

from following import Follower, Time, line_of

LINES = [b"%d is a line" % number for number in range(200)]
LATER = [b"%d is later" % number for number in range(50)]
NEXT = [b"%d is next" % number for number in range(30)]


def text(lines: list[bytes]) -> bytes:
    """The lines as they lie in a file."""
    return b"".join(line + b"\n" for line in lines)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The path of a log, beside a folder for rotated files."""
    (tmp_path / "old").mkdir()
    return tmp_path / "app.log"


def copy_and_truncate(log: Path, name: str = "app.log.1") -> None:
    """Copy the log into the folder, as `copytruncate` and `olddir` do, and let its writer go on."""
    (log.parent / "old" / name).write_bytes(log.read_bytes())
    os.truncate(log, 0)
    with log.open("ab") as file:
        file.write(text(NEXT))


def expect(follower: Follower, *lines: bytes) -> None:
    """Assert that exactly these lines were handed on, each once, and that there is no gap."""
    assert sorted(map(str, follower.lines.values())) == sorted(str(line_of(line)) for line in lines)
    assert follower.gaps == []
    follower.close()


def test_a_copy_in_a_folder_below_is_read_on(log: Path) -> None:
    log.write_bytes(text(LINES))
    follower = Follower(log, Time()).drain()
    with log.open("ab") as file:
        file.write(text(LATER))
    copy_and_truncate(log)
    expect(follower.pass_time(10), *LINES, *LATER, *NEXT)


def test_a_compressed_copy_is_read_on_after_a_restart(log: Path) -> None:
    log.write_bytes(text(LINES))
    follower = Follower(log, Time()).drain()
    follower.close()
    with log.open("ab") as file:
        file.write(text(LATER))
    copy_and_truncate(log)
    copy = log.parent / "old" / "app.log.1"
    copy.with_name("app.log.1.gz").write_bytes(gzip.compress(copy.read_bytes()))
    copy.unlink()
    expect(Follower(log, follower.time, follower.stored).pass_time(10), *LINES, *LATER, *NEXT)


def test_a_file_that_was_moved_while_nothing_followed_is_read_on(log: Path) -> None:
    log.write_bytes(text(LINES))
    follower = Follower(log, Time()).drain()
    follower.close()
    with log.open("ab") as file:
        file.write(text(LATER))
    log.rename(log.parent / "old" / "app.log.1")
    log.write_bytes(text(NEXT))
    expect(Follower(log, follower.time, follower.stored).pass_time(10), *LINES, *LATER, *NEXT)


@pytest.mark.parametrize("moved", ["moved", "copied"])
def test_files_that_were_there_before_the_log_began_are_not_read(log: Path, moved: str) -> None:
    old = log.parent / "old"
    (old / "app.log.1").write_bytes(text(LATER))
    (old / "app.log.2.gz").write_bytes(gzip.compress(text(LATER[:10])))
    log.write_bytes(text(LINES))
    follower = Follower(log, Time()).drain()
    (old / "app.log.2.gz").rename(old / "app.log.3.gz")
    (old / "app.log.1").rename(old / "app.log.2")
    if moved == "moved":
        log.rename(old / "app.log.1")
        log.write_bytes(text(NEXT))
    else:
        copy_and_truncate(log)
    expect(follower.pass_time(10), *LINES, *NEXT)


def test_files_that_were_there_before_the_log_began_are_not_read_where_their_folder_is_found_late(log: Path) -> None:
    archive = log.parent.parent / "archive"
    archive.mkdir()
    log.write_bytes(text(LINES))
    os.utime(log, (1_800_000_000, 1_800_000_000))
    (archive / "app.log.2").write_bytes(text(LATER))
    (archive / "app.log.3.gz").write_bytes(gzip.compress(text(LATER[:10])))
    for path in archive.iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    follower = Follower(log, Time()).drain()
    log.rename(archive / "app.log.1")
    log.write_bytes(text(NEXT))
    expect(follower.pass_time(10), *LINES, *NEXT)


def test_a_folder_with_a_log_of_the_same_name_is_another_logs(log: Path) -> None:
    old = log.parent / "old"
    (old / "app.log").write_bytes(text(LATER))
    (old / "app.log.1").write_bytes(text(LATER[:20]))
    log.write_bytes(text(LINES))
    follower = Follower(log, Time()).drain()
    with log.open("ab") as file:
        file.write(text(NEXT))
    expect(follower.pass_time(10), *LINES, *NEXT)
