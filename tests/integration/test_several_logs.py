"""Several logs: each is followed, and recovered, on its own."""

import os
import random
import resource
import signal
import time
from itertools import count
from pathlib import Path

import pytest

import oracle
from lines import valid_lines
from pipeline import Pipeline
from service.settings import EXIT_CONFIG

on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def write(path: Path, lines: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        log.write(lines)
    return path


def until_read(pipeline: Pipeline, *logs: Path, generation: int = 0) -> None:
    """Wait until the ledger is at the end of each of these logs, and has no other."""
    names = {"api_requests" if log == pipeline.log else str(log): (generation, log.stat().st_size) for log in logs}
    pipeline.until(lambda: {row.log: row.position for row in pipeline.ledger()} == names, f"the ledger is at {names}")


def until_followed(pipeline: Pipeline, logs: int) -> None:
    pipeline.until(lambda: pipeline.said().count("event=following") >= logs, f"{logs} logs are followed")


def test_paths_and_globs_are_followed_each_under_its_name(pipeline: Pipeline, tmp_path: Path) -> None:
    parts = [valid_lines(100, seed=seed) for seed in range(4)]
    write(pipeline.log, parts[0])
    logs = [
        pipeline.log,
        write(tmp_path / "by path", parts[1]),
        write(tmp_path / "shops/one/access.log", parts[2]),
        write(tmp_path / "shops/deep/er/access.log", parts[3]),
    ]
    write(tmp_path / "shops/one/error.txt", b"not to be followed\n")
    pipeline.start(LOG_FILES=f"{pipeline.log}, {logs[1]},{tmp_path}/shops/**/*.log")
    until_read(pipeline, *logs)
    assert pipeline.stored() == oracle.days_of(b"".join(parts))
    rows = {row.log: row for row in pipeline.ledger()}
    assert [(row.path, row.stored, row.rejected) for row in rows.values()] == [
        (str(pipeline.log) if name == "api_requests" else name, 100, {}) for name in rows
    ]


def test_the_same_bytes_in_two_logs_are_two_sets_of_requests(pipeline: Pipeline, tmp_path: Path) -> None:
    lines = valid_lines(200)
    logs = [write(tmp_path / name, lines) for name in ("a.log", "b.log")]
    pipeline.start(LOG_FILES=f"{tmp_path}/*.log")
    until_read(pipeline, *logs)
    assert pipeline.stored() == oracle.days_of(lines + lines)


@on_sqlite
def test_logs_that_change_their_names_while_they_are_not_followed(pipeline: Pipeline, tmp_path: Path) -> None:
    parts = [valid_lines(50, seed=seed) for seed in range(4)]
    logs = [write(tmp_path / name, part) for name, part in zip(("a.log", "b.log"), parts, strict=False)]
    pipeline.start(LOG_FILES=",".join(map(str, logs)))
    until_read(pipeline, *logs)
    assert pipeline.end() == 0
    for log, part in zip(logs, parts[2:], strict=True):
        write(log, part)
    logs[0].rename(tmp_path / "other")
    logs[1].rename(logs[0])
    (tmp_path / "other").rename(logs[1])
    pipeline.start(LOG_FILES=",".join(map(str, logs)))
    pipeline.until(lambda: sum(row.read for row in pipeline.ledger()) >= 200, "all lines are read")
    pipeline.until(pipeline.is_committed, "the commit has ended")
    assert pipeline.stored() == oracle.days_of(b"".join(parts))


@on_sqlite
def test_rotated_names_never_become_logs(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    parts = [valid_lines(50, seed=seed) for seed in range(4)]
    log = write(folder / "shop.log", parts[0])
    old = valid_lines(10, seed=9)
    for name in ("shop.log.2.gz", "shop.log.3", "shop-20261123.log", "error.log.2.gz"):
        write(folder / name, old)
    pipeline.start(LOG_FILES=f"{folder}/*")
    until_read(pipeline, log)
    # For a while there is a shop.log.1 and no shop.log.
    log.rename(folder / "shop.log.1")
    new = write(folder / "other.log", parts[1])
    pipeline.until(lambda: str(new) in {row.log for row in pipeline.ledger()}, "a new log is found")
    write(folder / "shop.log.1", parts[2])
    write(log, parts[3])
    at = {str(new): (0, new.stat().st_size), str(log): (3, log.stat().st_size)}
    pipeline.until(lambda: {row.log: row.position for row in pipeline.ledger()} == at, f"the ledger is at {at}")
    assert pipeline.stored() == oracle.days_of(b"".join(parts))


@on_sqlite
@pytest.mark.parametrize("follow", ["events", "poll"])
def test_a_new_file_is_picked_up_from_its_beginning(pipeline: Pipeline, tmp_path: Path, follow: str) -> None:
    parts = [valid_lines(50, seed=seed) for seed in range(3)]
    logs = [write(tmp_path / "a/shop.log", valid_lines(50, seed=9))]
    pipeline.start(LOG_FILES=f"{tmp_path}/*/*.log", START_POSITION="end", FOLLOW=follow)
    until_followed(pipeline, 1)
    write(logs[0], parts[0])
    logs.append(write(tmp_path / "a/new.log", parts[1]))
    logs.append(write(tmp_path / "new/shop.log", parts[2]))
    until_read(pipeline, *logs)
    assert pipeline.stored() == oracle.days_of(b"".join(parts))


@on_sqlite
def test_a_file_that_a_glob_finds_after_a_pause_is_read_from_its_beginning(pipeline: Pipeline, tmp_path: Path) -> None:
    old, named = valid_lines(50, seed=8), valid_lines(50, seed=9)
    parts = [valid_lines(50, seed=seed) for seed in range(4)]
    first = write(tmp_path / "first.log", old)
    settings = {"LOG_FILES": f"{tmp_path}/*.log,{tmp_path}/named", "START_POSITION": "end"}
    pipeline.start(**{**settings, "LOG_FILES": f"{tmp_path}/*.log"})
    until_followed(pipeline, 1)
    pipeline.end()
    second = write(tmp_path / "second.log", parts[0])
    write(first, parts[1])
    # This one is given by its path, and the store has never seen it: START_POSITION says where it begins.
    by_path = write(tmp_path / "named", named)
    pipeline.start(**settings)
    until_followed(pipeline, 4)
    write(by_path, parts[2])
    write(second, parts[3])
    until_read(pipeline, first, second, by_path)
    assert pipeline.stored() == oracle.days_of(b"".join(parts))


@on_sqlite
def test_a_path_without_a_file_is_waited_for(pipeline: Pipeline, tmp_path: Path) -> None:
    lines = valid_lines(50)
    later = tmp_path / "later.log"
    pipeline.start(LOG_FILES=str(later), START_POSITION="end")
    until_followed(pipeline, 1)
    write(later, lines)
    until_read(pipeline, later)
    assert pipeline.stored() == oracle.days_of(lines)


def test_each_is_recovered_on_its_own(pipeline: Pipeline, tmp_path: Path) -> None:
    pick = random.Random(5)
    folder = tmp_path / "logs"
    folder.mkdir()
    written: dict[Path, bytes] = {}
    for run in range(4):
        pipeline.start(LOG_FILES=f"{folder}/*.log", START_POSITION="end" if written else "beginning")
        begun = pipeline.said().count("event=started")
        # A log more each time, made while the processor is starting or not there.
        written[write(folder / f"shop_{run}.log", b"")] = b""
        pipeline.until_said("event=started", begun + 1)
        end = time.monotonic() + pick.uniform(0.2, 0.8)
        for part in count():
            log = pick.choice(list(written))
            lines = valid_lines(pick.randrange(1, 200), seed=1000 * run + part)
            written[write(log, lines)] += lines
            if time.monotonic() > end:
                break
        pipeline.end(pick.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
    pipeline.start(LOG_FILES=f"{folder}/*.log", START_POSITION="end")
    until_read(pipeline, *written)
    assert pipeline.stored() == oracle.days_of(b"".join(written.values()))
    assert {row.log: row.stored for row in pipeline.ledger()} == {
        str(log): lines.count(b"\n") for log, lines in written.items()
    }


@on_sqlite
@pytest.mark.parametrize("name", ["LOG_FILE_PATH", "LOG_FILES"])
def test_a_folder_that_is_not_there_is_told_with_the_variable(pipeline: Pipeline, tmp_path: Path, name: str) -> None:
    end = pipeline.run(**{name: f"{tmp_path}/nowhere/api.log"})
    assert end.returncode == EXIT_CONFIG
    assert end.stderr == f"{name}={tmp_path}/nowhere/api.log: there is no folder {tmp_path}/nowhere\n"


@on_sqlite
def test_what_cannot_be_followed_does_not_keep_the_others_from_it(pipeline: Pipeline, tmp_path: Path) -> None:
    lines = valid_lines(50)
    folder = tmp_path / "logs"
    log = write(folder / "shop.log", lines)
    (folder / "folder.log").mkdir()
    (folder / "missing.log").symlink_to(folder / "nothing")
    pipeline.start(LOG_FILES=f"{folder}/*")
    until_read(pipeline, log)
    assert pipeline.stored() == oracle.days_of(lines)


@on_sqlite
def test_more_logs_than_a_program_may_open_files_unless_it_asks(pipeline: Pipeline, tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 < hard < 2_000:
        pytest.skip(f"this user may open {hard} files")
    logs = [write(tmp_path / f"shops/{number}.log", valid_lines(1, seed=number)) for number in range(200)]
    before = resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE, (150, hard))
    try:
        pipeline.start(LOG_FILES=str(tmp_path / "shops/*.log"))
    finally:
        resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE, before)
    until_read(pipeline, *logs)
    assert "Too many open files" not in pipeline.said()
