"""Connections to the file: one that writes, and a pool for the api's questions."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from storage import schema_4
from storage.errors import StorageRefused, StorageUnavailable
from storage.sqlite.schema import VERSION, version_of

# Seconds to wait for another connection's lock.
_BUSY_SECONDS = 5.0
# Seconds that a question may take.
_QUESTION_SECONDS = 30.0
# Memory (KiB) for pages that a writer has changed. The lines of many logs change some 600 pages in a commit; beyond the
# default of 2,000 KiB SQLite writes them out before the transaction ends, and reads them again.
_CACHE_KIB = 4_000
# Threads for the progress of writers, and for searches among requests. A poll never waits for other questions, and no
# other question for searches, which may take long. A thread starts with the first question that it answers.
_POLL_THREADS = 2
_SEARCH_THREADS = 2
# Steps of SQLite's machine between two checks of that limit: about a millisecond.
_STEPS_A_CHECK = 10_000
# SQLite's words for errors that waiting can mend (Python 3.10 has no error codes). A full disk is not among them.
_MAY_PASS = ("locked", "busy", "unable to open")
_INTERRUPTED = "interrupted"
# A writer's number, by its name.
OF_WRITER = "(SELECT id FROM writers WHERE name = ?)"

Answer = TypeVar("Answer")
_Identity = tuple[int, int]
"""The inode and the device of a file."""
_Files = tuple[_Identity | None, _Identity | None]
"""The identities of the database and of the index of its write-ahead log; None where the file is absent."""


class SqliteConnection:
    """The connections to the file at `path`, as one writer or as a reader."""

    def __init__(self, path: Path, writer: str) -> None:
        self._path = path
        self._writer = writer
        self._writer_id = -1
        self._connection: sqlite3.Connection | None = None
        self._opened: _Identity | None = None
        self._one_at_a_time = threading.Lock()
        self._poll_threads = ThreadPoolExecutor(_POLL_THREADS, "poll")
        self._search_threads = ThreadPoolExecutor(_SEARCH_THREADS, "search")
        self._kept: list[tuple[sqlite3.Connection, _Files]] = []
        """The pool: connections that no question uses at the moment, with the files that they have open."""

    def _connect(self, mode: str, any_version: bool = False) -> sqlite3.Connection:
        uri = f"{self._path.as_uri()}?mode={mode}"
        # One thread at a time uses a connection, but not always the thread that opened it.
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, check_same_thread=False)
        if not any_version:
            try:
                self._check_version(connection)
            except BaseException:
                connection.close()
                raise
        return connection

    def _check_version(self, connection: sqlite3.Connection) -> None:
        version = version_of(connection)
        if version != VERSION:
            what_to_do = (
                "`python -m storage setup` brings it up to that."
                if version == schema_4.VERSION
                else f"run the setup of a release of schema {schema_4.VERSION} first."
                if version in schema_4.BEFORE
                else "move the file away, and have the log read again from its beginning."
            )
            raise StorageRefused(
                f"The store {self._path} has schema {version}, and this program's is {VERSION}: {what_to_do}"
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection of the synchronous half, in a transaction. Other threads wait."""
        with self._errors(), self._one_at_a_time, self._writing() as connection:
            yield connection

    def _writing(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect("rw")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            # Other writers may write to the file. A transaction that reads first could not wait for them.
            self._connection.isolation_level = "IMMEDIATE"
            self._opened = _identity(self._path)
            # A reader never acquires the lease, which gives a writer its number.
            known = self._connection.execute(f"SELECT {OF_WRITER}", (self._writer,)).fetchone()
            self._writer_id = known[0] if known[0] is not None else -1
        # A write to a deleted file would be lost.
        if self._opened is None or _identity(self._path) != self._opened:
            raise StorageRefused(f"The store {self._path} was deleted or replaced while it was written: start again.")
        return self._connection

    def _row(self, query: str, key: str | int) -> str:
        with self._transaction() as connection:
            row = connection.execute(query, (key, self._writer_id)).fetchone()
        return row[0] if row is not None else ""

    async def _rows(
        self, query: str, *values: str | int, threads: ThreadPoolExecutor | None = None
    ) -> list[tuple[Any, ...]]:
        return await self._ask(lambda connection: connection.execute(query, values).fetchall(), threads)

    async def _ask(
        self, ask: Callable[[sqlite3.Connection], Answer], threads: ThreadPoolExecutor | None = None
    ) -> Answer:
        """The answer to a question, which runs in one of these threads (None: those of the event loop).

        It ends within milliseconds when its caller is cancelled.
        """
        is_wanted = True

        def work() -> Answer:
            with self._errors(), self._asking() as connection:
                deadline = time.monotonic() + _QUESTION_SECONDS
                connection.set_progress_handler(lambda: not is_wanted or time.monotonic() > deadline, _STEPS_A_CHECK)
                return ask(connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(threads, work)
        except asyncio.CancelledError:
            is_wanted = False
            raise

    @contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        """A connection for one question, which returns to the pool if the question succeeds.

        To open a connection takes longer than most questions, and ten times as long while no processor runs but its
        write-ahead log is there.
        """
        connection, files = self._take_kept() or self._open_to_ask()
        try:
            # Setup may have brought the store up to another schema since the connection was opened.
            self._check_version(connection)
            yield connection
        except BaseException:
            connection.close()
            raise
        self._kept.append((connection, files))

    def _take_kept(self) -> tuple[sqlite3.Connection, _Files] | None:
        """A connection from the pool that has the present files open; None where there is none."""
        while True:
            try:
                connection, files = self._kept.pop()
            except IndexError:
                return None
            if files == self._files():
                return connection, files
            connection.close()

    def _open_to_ask(self) -> tuple[sqlite3.Connection, _Files]:
        """A new connection and the files that it has open: the old database if that is replaced meanwhile."""
        database, _ = self._files()
        # Connecting reads the schema's number, which makes the index where there was none.
        connection = self._connect("ro")
        _, index = self._files()
        return connection, (database, index)

    def _files(self) -> _Files:
        """What distinguishes the database from one that replaces it. Whoever puts a copy back into the same file has to
        delete the index of the write-ahead log."""
        return _identity(self._path), _identity(self._path.with_name(f"{self._path.name}-shm"))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            if str(error) == _INTERRUPTED:
                message = f"SQLite store {self._path.name}: no answer within {_QUESTION_SECONDS:g} s"
                raise StorageUnavailable(message) from error
            may_pass = any(word in str(error) for word in _MAY_PASS)
            kind = StorageUnavailable if may_pass else StorageRefused
            raise kind(f"SQLite store {self._path.name}: {error}") from error

    async def ping(self) -> None:
        await self._rows("SELECT 1 FROM state LIMIT 1", threads=self._poll_threads)

    async def aclose(self) -> None:
        for threads in (self._poll_threads, self._search_threads):
            threads.shutdown(wait=False, cancel_futures=True)
        while self._kept:
            self._kept.pop()[0].close()


def _identity(path: Path) -> _Identity | None:
    """Distinguishes a file from one that replaces it; None where there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_dev


def marks(values: Collection[str | int]) -> str:
    return ", ".join("?" * len(values))
