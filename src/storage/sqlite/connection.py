"""Connections to the file: one that writes, and some that are kept for questions."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from storage import schema_4
from storage.errors import StorageRefused, StorageUnavailable
from storage.sqlite.schema import VERSION, version_of

_BUSY_SECONDS = 5.0
_QUESTION_SECONDS = 30.0
# How often SQLite looks whether a question takes too long: about every millisecond.
_STEPS_A_LOOK = 10_000
# SQLite's words for what waiting can mend (Python 3.10 has no error codes). A full disk is not among them.
_MAY_PASS = ("locked", "busy", "unable to open")
_INTERRUPTED = "interrupted"
OF_WRITER = "(SELECT id FROM writers WHERE name = ?)"

Answer = TypeVar("Answer")
_Identity = tuple[int, int]
"""The numbers of a file and of its device."""
_Files = tuple[_Identity | None, _Identity | None]


class SqliteConnection:
    """The connections to the file at `path`, as one writer or as a reader."""

    def __init__(self, path: Path, writer: str) -> None:
        self._path = path
        self._writer = writer
        self._writer_id = -1
        self._connection: sqlite3.Connection | None = None
        self._opened: _Identity | None = None
        self._one_at_a_time = threading.Lock()
        self._kept: list[tuple[sqlite3.Connection, _Files]] = []
        """Connections for the questions to come, none of which is used at the moment."""

    def _connect(self, mode: str, any_version: bool = False) -> sqlite3.Connection:
        uri = f"{self._path.as_uri()}?mode={mode}"
        # Used by one thread at a time, but not always by the one that opened it.
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
        """What is done with the connection of the synchronous half, all or nothing of it; other threads wait."""
        with self._one_at_a_time, self._writing() as connection:
            yield connection

    def _writing(self) -> sqlite3.Connection:
        """The connection of the synchronous half."""
        if self._connection is None:
            self._connection = self._connect("rw")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._opened = _identity(self._path)
            # Who only reads never takes the lease, which gives a writer its number.
            known = self._connection.execute(f"SELECT {OF_WRITER}", (self._writer,)).fetchone()
            self._writer_id = known[0] if known[0] is not None else -1
        # What is written to a file that was deleted is lost.
        if self._opened is None or _identity(self._path) != self._opened:
            raise StorageRefused(f"The store {self._path} was deleted or replaced while it was written: start again.")
        return self._connection

    def _row(self, query: str, key: str | int) -> str:
        with self._errors(), self._transaction() as connection:
            row = connection.execute(query, (key, self._writer_id)).fetchone()
        return row[0] if row is not None else ""

    async def _rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        return await self._ask(lambda connection: connection.execute(query, values).fetchall())

    async def _ask(self, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Ask in a thread of its own."""

        def work() -> Answer:
            with self._errors(), self._asking() as connection:
                deadline = time.monotonic() + _QUESTION_SECONDS
                connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_A_LOOK)
                return ask(connection)

        return await asyncio.to_thread(work)

    @contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        """A connection for one question; it is kept for the next one if that succeeds. To open one takes longer than
        most questions, and ten times as long while no processor runs but its write-ahead log is there."""
        connection, files = self._take_kept() or self._open_to_ask()
        try:
            # Setup may have brought the store up to another one since it was opened.
            self._check_version(connection)
            yield connection
        except BaseException:
            connection.close()
            raise
        self._kept.append((connection, files))

    def _take_kept(self) -> tuple[sqlite3.Connection, _Files] | None:
        """A connection that was kept and has the files open that are there now, None where there is none."""
        while True:
            try:
                connection, files = self._kept.pop()
            except IndexError:
                return None
            if files == self._files():
                return connection, files
            connection.close()

    def _open_to_ask(self) -> tuple[sqlite3.Connection, _Files]:
        """A new connection, and the files that it has open: of one that is replaced meanwhile, the old one."""
        database, _ = self._files()
        # This reads the schema's number, and so makes the index where there was none.
        connection = self._connect("ro")
        _, index = self._files()
        return connection, (database, index)

    def _files(self) -> _Files:
        """What tells the database from one that replaces it. Where it is put back into the same file, the index of its
        write-ahead log has to be deleted."""
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
        await self._ask(lambda connection: connection.execute("SELECT 1 FROM state LIMIT 1").fetchone())

    async def aclose(self) -> None:
        while self._kept:
            self._kept.pop()[0].close()


def _identity(path: Path) -> _Identity | None:
    """Tells a file that is open from every other; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_dev


def marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))
