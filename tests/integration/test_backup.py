"""`python -m storage backup` and `restore`, beside a real processor."""

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline import Pipeline
from storage.sqlite.backup import back_up
from storage_command import assert_failed, run
from stores import Store

FIRST = b"".join(b"2026-11-25 12:00:%02d cust_%d /api 200 0.5\n" % (number % 60, number % 7) for number in range(5_000))
LATER = b"".join(b"2026-11-25 13:00:%02d cust_%d /api 500 0.5\n" % (number % 60, number % 7) for number in range(700))


@pytest.fixture
def pipeline(sqlite: Store, tmp_path: Path) -> Iterator[Pipeline]:
    """A processor that has stored the first lines, and runs."""
    folder = tmp_path / "logs"
    folder.mkdir()
    running = Pipeline(folder, sqlite.environment, sqlite.open)
    running.append(FIRST)
    running.start(RETENTION_DAYS="3650")
    running.until_stored()
    yield running
    running.close()


def storage(pipeline: Pipeline, command: str, copy: Path) -> None:
    """The command ends well."""
    ended = run(command, str(copy), **store(pipeline))
    assert ended.returncode == 0, ended


def store(pipeline: Pipeline) -> dict[str, object]:
    return {"SQLITE_PATH": pipeline.environment["SQLITE_PATH"]}


def requests_in(path: Path | str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (requests,) = connection.execute("SELECT count(*) FROM requests").fetchone()
        return int(requests)


def test_what_came_after_the_backup_is_read_from_the_log_again(pipeline: Pipeline, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    storage(pipeline, "backup", copy)
    assert requests_in(copy) == 5_000
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    pipeline.append(LATER)
    pipeline.until_stored()
    assert pipeline.end() == 0

    storage(pipeline, "restore", copy)
    (replaced,) = Path(pipeline.environment["SQLITE_PATH"]).parent.glob("*.replaced-*Z")
    assert requests_in(replaced) == 5_700
    pipeline.start(RETENTION_DAYS="3650")
    pipeline.until_stored()
    pipeline.until_rolled_up()
    verified = pipeline.run("verify", RETENTION_DAYS="3650")
    assert verified.stdout == "All agree: lines 5,700, requests 5,700, rejected 0, customers 7, days 1.\n"


def test_a_store_that_is_gone_is_restored(pipeline: Pipeline, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    storage(pipeline, "backup", copy)
    assert pipeline.end() == 0
    path = Path(pipeline.environment["SQLITE_PATH"])
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()
    storage(pipeline, "restore", copy)
    assert requests_in(path) == 5_000
    assert not list(path.parent.glob("*.replaced-*"))


def test_nothing_is_restored_while_a_processor_runs(pipeline: Pipeline, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    storage(pipeline, "backup", copy)
    assert_failed(run("restore", str(copy), **store(pipeline)), "is written by process")
    pipeline.append(LATER)
    pipeline.until_stored()
    assert requests_in(pipeline.environment["SQLITE_PATH"]) == 5_700


def test_no_file_is_overwritten(pipeline: Pipeline, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    copy.write_text("another's")
    assert_failed(run("backup", str(copy), **store(pipeline)), "is not overwritten")
    assert copy.read_text() == "another's"


def test_a_link_that_leads_nowhere_is_named_and_stays(pipeline: Pipeline, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    copy.symlink_to(tmp_path / "nowhere")
    assert_failed(run("backup", str(copy), **store(pipeline)), f"{copy} cannot be used: File exists.")
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == ["copy.sqlite"]
    assert copy.is_symlink()


def test_a_copy_is_made_where_files_have_no_hard_links(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    copy = tmp_path / "copy.sqlite"
    back_up(Path(pipeline.environment["SQLITE_PATH"]), copy)
    assert requests_in(copy) == 5_000


def test_what_is_no_store_or_is_damaged_is_not_restored(pipeline: Pipeline, tmp_path: Path) -> None:
    copy = tmp_path / "copy.sqlite"
    storage(pipeline, "backup", copy)
    assert pipeline.end() == 0
    text = tmp_path / "text"
    text.write_text("no store " * 1_000)
    assert_failed(run("restore", str(text), **store(pipeline)), "is no store")
    assert_failed(run("restore", str(tmp_path / "nothing"), **store(pipeline)), "There is no store at")
    data = bytearray(copy.read_bytes())
    for page in range(8, len(data) // 4096, 2):
        data[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    copy.write_bytes(data)
    assert_failed(run("restore", str(copy), **store(pipeline)), "is damaged")
    assert requests_in(pipeline.environment["SQLITE_PATH"]) == 5_000


@pytest.mark.parametrize(
    "change", ["UPDATE writers SET name = '../../x'", "UPDATE writers SET name = char(0)", "DROP TABLE writers"]
)
def test_a_copy_that_somebody_has_changed_is_refused_with_a_sentence(
    sqlite: Store, tmp_path: Path, change: str
) -> None:
    sqlite.fill(FIRST)
    copy = tmp_path / "copy.sqlite"
    assert run("backup", str(copy), SQLITE_PATH=sqlite.environment["SQLITE_PATH"]).returncode == 0
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(change)
    before = sorted(tmp_path.rglob("*"))
    assert_failed(run("restore", str(copy), SQLITE_PATH=tmp_path / "new.sqlite"), "cannot be copied")
    assert sorted(tmp_path.rglob("*")) == before


def test_influxdb_has_a_command_of_its_own(tmp_path: Path) -> None:
    ended = run("backup", str(tmp_path / "copy"), STORAGE="influxdb")
    assert ended.returncode == 78
    assert ended.stderr == (
        "STORAGE=influxdb: only a SQLite store is copied by this command: InfluxDB has `influx backup`\n"
    )
