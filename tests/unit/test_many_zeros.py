"""Very many zeros in one file do not hold up another file."""

import os
from pathlib import Path

import pytest

from following import Follower, Time
from log_processor.following import reader

MIB = 1 << 20


def follow(folder: Path) -> Follower:
    """A follower of a log that has a line after zeros, or zeros alone, and rotated files."""
    return Follower(folder / "app.log", Time())


def test_a_hole_of_a_tebibyte_holds_up_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(b"the first\n")
    follower = follow(tmp_path).drain()
    sparse = tmp_path / "app.log.1"
    sparse.write_bytes(b"before the hole\n")
    os.truncate(sparse, 1 << 40)
    with (tmp_path / "app.log").open("ab") as log:
        log.write(b"the second\n")
    assert sorted(follower.pass_time(5).lines.values(), key=str) == [b"before the hole", b"the first", b"the second"]
    with sparse.open("ab") as file:
        file.write(b"after the hole\n")
    assert b"after the hole" in follower.pass_time(5).lines.values()
    assert follower.gaps == []
    # Neither does it after a restart, where what was read is recognised.
    with sparse.open("ab") as file:
        file.write(b"after a restart\n")
    follower.commit()
    follower = follower.successor()
    assert b"after a restart" in follower.pass_time(5).lines.values()
    assert follower.gaps == []


def test_zeros_are_read_in_steps_while_another_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_ZEROS_BYTES", MIB)
    (tmp_path / "app.log").write_bytes(b"the first\n")
    follower = follow(tmp_path).drain()
    (tmp_path / "app.log.1").write_bytes(b"before zeros\n" + bytes(20 * MIB) + b"after zeros\n")
    with (tmp_path / "app.log").open("ab") as log:
        log.write(b"the second\n")
    while b"the second" not in follower.lines.values():
        follower.step(seconds=0.1)
    assert b"after zeros" not in follower.lines.values()
    assert b"after zeros" in follower.drain().lines.values()
    assert len(follower.lines) == 4
    assert follower.gaps == []


def test_what_is_written_over_zeros_that_were_read_is_read(tmp_path: Path) -> None:
    reserved = tmp_path / "app.log"
    reserved.write_bytes(b"the first\n" + bytes(3 * MIB))
    follower = follow(tmp_path).drain()
    with reserved.open("r+b") as log:
        log.seek(len(b"the first\n"))
        log.write(b"the second\n")
    assert list(follower.pass_time(5).lines.values()) == [b"the first", b"the second"]
