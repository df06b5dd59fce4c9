"""What only the SQLite store promises: its tables, and its file."""

import asyncio
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from request_log.formats.simple import parse
from rollups.counts import DailyKey
from storage.errors import StorageRefused
from storage.requests import FileId, StoredRequests
from storage.sqlite import SqliteStorage
from stored_rows import TODAY, counts
from stores import ask, write_daily


def test_the_tables_have_every_field_of_a_request_once(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    lines = b'2026-11-23 16:15:35 cu"s /a"b\\c 200 0.7720\n2026-11-23 16:15:36 other /d 404 12\n'
    writing = SqliteStorage(path)
    writing.set_up()
    writing.acquire()
    for log, generation in (("log", 0), ("log", 1), ("other", 0), ("log", 0)):
        requests, *_ = parse(lines, offset=1_000)
        file = FileId(log, generation, 0, 0)
        writing.prepare([StoredRequests([file], requests.offsets * 0, requests)])()
        writing.flush()
    writing.close()
    query = """
        SELECT log, generation, requests.id & ((1 << 40) - 1), time, customer_id, request_path, status_code, duration
        FROM requests JOIN sources ON sources.id = requests.id >> 40
    """
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(query).fetchall()
    requests_of_file = [
        (1_000, 1_795_450_535, 'cu"s', '/a"b\\c', 200, 0.772),
        (1_000 + lines.index(b"\n") + 1, 1_795_450_536, "other", "/d", 404, 12.0),
    ]
    sources = [("log", 0), ("log", 1), ("other", 0)]
    assert sorted(rows) == [(*source, *request) for source in sources for request in requests_of_file]


def test_a_search_for_requests_reads_only_the_zones_of_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = SqliteStorage(tmp_path / "requests.sqlite")
    storage.set_up()
    asked: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **named)
        connection.set_trace_callback(asked.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    ask(storage, lambda asking: asking.requests("cust_0", 0, 3_600, "all", 10))
    (search,) = [statement for statement in asked if "FROM zones" in statement]
    with closing(connect(tmp_path / "requests.sqlite")) as connection:
        plan = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {search}")]
    assert "SEARCH requests USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in plan


def test_a_store_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE requests (log TEXT, generation INTEGER, offset INTEGER)")
    storage = SqliteStorage(path)
    for action in (storage.set_up, storage.acquire, lambda: asyncio.run(storage.states())):
        with pytest.raises(StorageRefused, match="has schema 0"):
            action()
    storage.close()


@pytest.fixture
def asked_sqlite(tmp_path: Path) -> Iterator[SqliteStorage]:
    """A reader of a store of one customer, which it has asked before."""
    storage = SqliteStorage(tmp_path / "requests.sqlite")
    storage.set_up()
    write_customer(tmp_path, "earlier")
    assert asyncio.run(storage.customer_names()) == ["earlier"]
    yield storage
    asyncio.run(storage.aclose())


def write_customer(folder: Path, customer: str) -> None:
    """Store a request of a customer, as a processor that begins and ends."""
    writing = SqliteStorage(folder / "requests.sqlite")
    writing.acquire()
    write_daily(writing, {DailyKey(customer, TODAY): counts({200: 1}, {7: 1})})
    writing.close()


@pytest.mark.parametrize("how", ["by another file", "into the same file"])
def test_a_reader_finds_a_store_that_was_put_back(asked_sqlite: SqliteStorage, tmp_path: Path, how: str) -> None:
    path, copy = tmp_path / "requests.sqlite", tmp_path / "copy"
    # By another program: one that closes the file releases all of its own locks on it.
    subprocess.run(["cp", path, copy], check=True)
    write_customer(tmp_path, "later")
    assert asyncio.run(asked_sqlite.customer_names()) == ["earlier", "later"]
    subprocess.run(["mv" if how == "by another file" else "cp", copy, path], check=True)
    for name in ("requests.sqlite-wal", "requests.sqlite-shm"):
        (tmp_path / name).unlink()
    assert asyncio.run(asked_sqlite.customer_names()) == ["earlier"]
    write_customer(tmp_path, "at last")
    assert asyncio.run(asked_sqlite.customer_names()) == ["at last", "earlier"]


def test_a_reader_refuses_a_store_that_was_brought_up_to_another_schema(
    asked_sqlite: SqliteStorage, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "requests.sqlite")) as connection:
        connection.execute("PRAGMA user_version=1000")
    with pytest.raises(StorageRefused, match="has schema 1000"):
        asyncio.run(asked_sqlite.customer_names())


def test_the_file_alone_is_the_store_when_its_processor_has_ended(asked_sqlite: SqliteStorage, tmp_path: Path) -> None:
    write_customer(tmp_path, "later")
    subprocess.run(["cp", tmp_path / "requests.sqlite", tmp_path / "copy"], check=True)
    copied = SqliteStorage(tmp_path / "copy")
    assert asyncio.run(copied.customer_names()) == ["earlier", "later"]
    asyncio.run(copied.aclose())


@pytest.mark.parametrize("writer", ["main", "web-1"])
@pytest.mark.parametrize("is_link", [True, False])
def test_a_lock_file_overwrites_nothing(tmp_path: Path, writer: str, is_link: bool) -> None:
    storage = SqliteStorage(tmp_path / "requests.sqlite", writer)
    storage.set_up()
    lock = tmp_path / ("requests.sqlite.lock" if writer == "main" else f"requests.sqlite.{writer}.lock")
    foreign = tmp_path / "foreign" if is_link else lock
    foreign.write_text("of somebody else")
    if is_link:
        lock.symlink_to(foreign)
    with pytest.raises(StorageRefused, match="a lock file"):
        storage.acquire()
    assert foreign.read_text() == "of somebody else"
    lock.unlink()
    storage.acquire()
    assert lock.stat().st_mode & 0o777 == 0o600
    storage.close()
