"""A full disk ends the processor with a sentence; when there is space again, all is stored, once."""

import gzip
import json
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import oracle
from lines import valid_lines
from pipeline import Pipeline
from storage.sqlite import SqliteStorage

pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

DISK_BYTES = 300 << 10


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that is soon full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"this user cannot mount a small disk: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def make_space(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)


def start_and_follow(pipeline: Pipeline, **environment: str) -> None:
    pipeline.start(**environment)
    pipeline.until(lambda: "event=following" in pipeline.said(), "it follows")


def forbid_larger_files(pipeline: Pipeline, bytes_: int) -> None:
    """As a disk that is full, but only for the processor, and whoever runs the test."""
    assert pipeline._process is not None
    resource.prlimit(pipeline._process.pid, resource.RLIMIT_FSIZE, (bytes_, bytes_))


def assert_it_ends_with_a_sentence(pipeline: Pipeline, event: str, *told: str) -> None:
    assert pipeline.wait() == 1
    said = pipeline.said()
    assert "Traceback" not in said
    assert "panicked" not in said
    last = said.splitlines()[-1]
    assert f"level=error service=log_processor event={event}" in last
    for words in told:
        assert words in last


def bad_lines(many: int) -> bytes:
    return b"".join(b"this is no request %d\n" % n for n in range(many))


def dead_letters(path: Path) -> list[str]:
    return [json.loads(line)["line"] for line in path.read_text().splitlines()]


def test_the_disk_of_the_store(pipeline: Pipeline, small_disk: Path) -> None:
    path = small_disk / "requests.sqlite"
    pipeline.open_storage = lambda: SqliteStorage(path)
    pipeline.open_storage().set_up()
    start_and_follow(pipeline, SQLITE_PATH=str(path))
    parts = [valid_lines(100), valid_lines(5_000, seed=2), valid_lines(100, seed=3)]
    pipeline.append(parts[0])
    pipeline.until_stored()
    pipeline.append(parts[1])
    full = f"SQLite store {path.name}: database or disk is full"
    assert_it_ends_with_a_sentence(pipeline, "store_refused", full)
    # It cannot do better on the next start, and says so again.
    pipeline.start(SQLITE_PATH=str(path))
    assert_it_ends_with_a_sentence(pipeline, "store_refused", full)
    pipeline.append(parts[2])
    make_space(small_disk)
    pipeline.start(SQLITE_PATH=str(path))
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(b"".join(parts))
    assert [(row.read, row.stored) for row in pipeline.ledger()] == [(5_200, 5_200)]


def test_the_disk_of_the_dead_letters(pipeline: Pipeline, small_disk: Path) -> None:
    path = small_disk / "dead_letters.jsonl"
    start_and_follow(pipeline, DEAD_LETTERS_PATH=str(path))
    good = valid_lines(200)
    pipeline.append(good + bad_lines(100))
    pipeline.until_stored()
    bad = bad_lines(4_000)
    pipeline.append(bad)
    assert_it_ends_with_a_sentence(pipeline, "dead_letters_failed", "No space left on device", str(path))
    pipeline.start(DEAD_LETTERS_PATH=str(path))
    assert_it_ends_with_a_sentence(pipeline, "dead_letters_failed", "No space left on device", str(path))
    make_space(small_disk)
    pipeline.start(DEAD_LETTERS_PATH=str(path))
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(good)
    assert [(row.read, row.stored) for row in pipeline.ledger()] == [(4_300, 200)]
    assert dead_letters(path) == (bad_lines(100) + bad).decode().splitlines()


def test_a_limit_on_the_size_of_the_stores_file(pipeline: Pipeline) -> None:
    start_and_follow(pipeline)
    forbid_larger_files(pipeline, DISK_BYTES)
    lines = valid_lines(5_000)
    pipeline.append(lines)
    assert_it_ends_with_a_sentence(pipeline, "store_refused", "SQLite store ", "disk I/O error")
    pipeline.start()
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines)
    assert [(row.read, row.stored) for row in pipeline.ledger()] == [(5_000, 5_000)]


def test_a_limit_on_the_size_of_the_dead_letters_file(pipeline: Pipeline) -> None:
    start_and_follow(pipeline)
    forbid_larger_files(pipeline, DISK_BYTES)
    bad = bad_lines(4_000)
    pipeline.append(bad)
    assert_it_ends_with_a_sentence(pipeline, "dead_letters_failed", "File too large", "dead_letters.jsonl")
    pipeline.start()
    pipeline.until_stored()
    assert [(row.read, row.stored) for row in pipeline.ledger()] == [(4_000, 0)]
    assert dead_letters(pipeline.output.with_name("dead_letters.jsonl")) == bad.decode().splitlines()


def test_a_heartbeat_that_cannot_be_written_does_not_keep_it_from_storing(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    start_and_follow(pipeline, HEARTBEAT_PATH=str(folder / "heartbeat"))
    pipeline.until((folder / "heartbeat").exists, "it beats")
    (folder / "heartbeat").unlink()
    folder.rmdir()
    folder.touch()
    pipeline.until(lambda: "event=heartbeat_failed" in pipeline.said(), "it says so")
    lines = valid_lines(50)
    pipeline.append(lines)
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines)
    assert pipeline.said().count("event=heartbeat_failed") == 1
    folder.unlink()
    pipeline.until((folder / "heartbeat").exists, "it beats again")


def test_the_text_of_a_small_compressed_log_leaves_room_for_the_store(
    pipeline: Pipeline, small_disk: Path, tmp_path: Path
) -> None:
    make_space(small_disk)
    path = small_disk / "requests.sqlite"
    pipeline.open_storage = lambda: SqliteStorage(path)
    pipeline.open_storage().set_up()
    pipeline.environment |= {"SQLITE_PATH": str(path), "BACKFILL_FOLDER": str(small_disk / "backfill")}
    start_and_follow(pipeline)
    text, bomb = tmp_path / "text", tmp_path / "bomb"
    text.write_bytes(valid_lines(1) * 2_000_000)
    bomb.write_bytes(gzip.compress(text.read_bytes()))
    os.link(bomb, pipeline.log.with_name("api_requests.log.1.gz"))
    pipeline.until_said("it cannot be decompressed for now: No space left on device", 1)
    for old in (bomb, text):
        refused = pipeline.run("backfill", str(old))
        said = f"{small_disk}/backfill cannot be used: No space left on device.\n"
        assert (refused.returncode, refused.stdout.splitlines(True)[-1]) == (1, said)
    lines = valid_lines(100, seed=2)
    pipeline.append(lines)
    pipeline.until_stored(len(lines))
    assert pipeline.stored() == oracle.days_of(lines)
