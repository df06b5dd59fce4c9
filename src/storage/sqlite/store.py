"""The embedded store: one SQLite file in WAL mode, for one machine.

`synchronous=NORMAL`: a power cut may take the last transactions, in their order, so the log is read again from there.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from sys import intern
from typing import Any, TypeVar

import numpy as np

from request_log.line import SECONDS_A_DAY
from request_log.requests import NONE, Integers, Requests
from rollups.counts import NO_COUNTS, DailyAggregate, DailyKey, Kind, RollupKey, RollupRow
from rollups.rows import added_up, decode_daily, decode_rollup, encode_daily
from service.logs import logger
from storage import schema_4
from storage.contract import LATEST_INTENTS, MAIN, Storage
from storage.errors import StorageRefused, StorageUnavailable
from storage.keys import FileKey, Key, LogKey, ObservedKey, RolledUpKey, Rows, StateName
from storage.ledger import StoredIntent, WriterState
from storage.logs import FileRow, LedgerRow, decode_file, decode_log
from storage.observed import ObservedEnd, decode_observed_end
from storage.read_back import ReadBack
from storage.requests import OUTCOMES, FileId, LoggedRequest, OffsetRange, Outcome, StoredRequests
from storage.sqlite.lease import Lock
from storage.sqlite.migration import bring_up_from_4
from storage.sqlite.schema import OFFSET_BITS, SCHEMA, TABLES, VERSION, ZONE_BITS

log = logger(__name__)

_BUSY_SECONDS = 5.0
_QUESTION_SECONDS = 30.0
# How often SQLite looks whether a question takes too long: about every millisecond.
_STEPS_A_LOOK = 10_000
# SQLite's words for what waiting can mend (Python 3.10 has no error codes). A full disk is not among them.
_MAY_PASS = ("locked", "busy", "unable to open")
_INTERRUPTED = "interrupted"
_ALL = ""
_INTENTS_KEPT = 1_000
_ROWS_A_READ = 10_000
_ROWS_A_REMOVAL = 100_000
_OF_WRITER = "(SELECT id FROM writers WHERE name = ?)"

_BY_WRITER = "JOIN writers ON writers.id = writer ORDER BY name, log"

Answer = TypeVar("Answer")
_Identity = tuple[int, int]
"""The numbers of a file and of its device."""
_Files = tuple[_Identity | None, _Identity | None]


class SqliteStorage(Storage):
    """A connection to the file at `path`, as one writer or as a reader."""

    SENDERS = 1
    LINES_HELD = 30_000
    BYTES_HELD = 8 << 20

    def __init__(self, path: Path, writer: str = MAIN) -> None:
        self._path = path
        self._writer = writer
        self._writer_id = -1
        self._connection: sqlite3.Connection | None = None
        self._opened: _Identity | None = None
        self._lock = Lock(path, writer)
        self._one_at_a_time = threading.Lock()
        self._held: list[StoredRequests] = []
        self._sources: dict[tuple[str, int], int] = {}
        self._kept: list[tuple[sqlite3.Connection, _Files]] = []
        """Connections for the questions to come, none of which is used at the moment."""

    def set_up(self) -> None:
        with self._errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect("rwc", any_version=True)) as connection:
                if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                    if _version(connection) == schema_4.VERSION:
                        self._bring_up(connection)
                    self._check_version(connection)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")

    def _bring_up(self, connection: sqlite3.Connection) -> None:
        """From the schema before; no processor may write meanwhile."""
        self._lock.take()
        log.info("bringing_up", path=str(self._path), schema=schema_4.VERSION)
        try:
            bring_up_from_4(connection, str(self._path))
        finally:
            self._lock.release()

    # The lease: a lock on a file beside the store.

    def acquire(self) -> int:
        self._held.clear()
        with self._errors():
            self._lock.take()
            with self._transaction() as connection:
                connection.execute("INSERT OR IGNORE INTO writers (name) VALUES (?)", (self._writer,))
                (self._writer_id,) = connection.execute(f"SELECT {_OF_WRITER}", (self._writer,)).fetchone()
        return time.time_ns()

    def check_lease(self) -> None:
        with self._errors():
            self._writing()

    def close(self) -> None:
        if self._connection is not None:
            # While an api has the store open SQLite does not do it by itself, and who copies the file expects it.
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint")
            self._connection.close()
            self._connection = None
        self._lock.release()

    # Requests

    def prepare(self, parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        held = [replace(part, requests=_with_texts_once(part.requests)) for part in parts]

        def hold() -> list[int]:
            # Until they are flushed, so that a failed transaction can be tried again as a whole.
            self._held.extend(held)
            return []

        return hold

    def flush(self) -> None:
        # More may come meanwhile.
        held = self._held[:]
        try:
            with self._errors(), self._transaction() as connection:
                for batch in held:
                    self._insert(connection, batch)
        except BaseException:
            # Numbers that were given in a transaction that failed are not stored.
            self._sources.clear()
            raise
        del self._held[: len(held)]

    def read_requests(self, ranges: Sequence[OffsetRange], oldest: int, newest: int) -> Iterator[Requests]:
        for offset_range in ranges:
            yield from self._read_range(offset_range)

    def _read_range(self, offset_range: OffsetRange) -> Iterator[Requests]:
        query = f"""
SELECT requests.id - first, time, customer_id, request_path, status_code, duration, method, bytes
FROM (
    SELECT id << {OFFSET_BITS} AS first FROM sources WHERE writer = :writer AND log = :log AND generation = :generation
) JOIN requests ON requests.id >= first + :start AND requests.id < first + :end ORDER BY requests.id
"""
        file, start, end = offset_range
        values = {"writer": self._writer_id, "log": file.log, "generation": file.generation, "start": start, "end": end}
        stored = ReadBack()
        with self._errors(), self._transaction() as connection:
            cursor = connection.execute(query, values)
            while rows := cursor.fetchmany(_ROWS_A_READ):
                stored.add(rows)
        return stored.in_order()

    # Rows

    def read_daily(self, keys: Collection[DailyKey]) -> dict[DailyKey, DailyAggregate]:
        query = "SELECT row FROM daily WHERE customer = ? AND day = ? AND writer = ?"
        found = {}
        with self._errors(), self._transaction() as connection:
            for key in keys:
                row = connection.execute(query, (key.customer or _ALL, key.day, self._writer_id)).fetchone()
                if row is not None:
                    found[key] = decode_daily(row[0])
        return found

    def read_rollups(self, keys: Collection[RollupKey]) -> dict[RollupKey, RollupRow]:
        query = 'SELECT segment, row FROM rollups WHERE "group" = ? AND day = ? AND kind = ? AND writer = ?'
        query += " ORDER BY segment DESC LIMIT 1"
        found = {}
        with self._errors(), self._transaction() as connection:
            for key in keys:
                row = connection.execute(query, (*key, self._writer_id)).fetchone()
                if row is not None:
                    found[key] = decode_rollup(key.kind, *row)
        return found

    def read_state(self, name: StateName) -> str:
        return self._row("SELECT row FROM state WHERE name = ? AND writer = ?", name)

    def read_intent(self, number: int) -> str:
        return self._row("SELECT row FROM intents WHERE number = ? AND writer = ?", number)

    def read_logs(self) -> tuple[dict[str, str], dict[FileKey, str], dict[str, str]]:
        with self._errors(), self._transaction() as connection:
            logs, files, rolled_up = (
                connection.execute(
                    f"SELECT {columns}, row FROM {table} WHERE writer = ?", (self._writer_id,)
                ).fetchall()
                for table, columns in (("logs", "log"), ("files", "log, generation"), ("rolled_up", "log"))
            )
        return dict(logs), {FileKey(log, generation): row for log, generation, row in files}, dict(rolled_up)

    def remove_files(self, keys: Collection[FileKey]) -> None:
        values = [(*key, self._writer_id) for key in keys]
        with self._errors(), self._transaction() as connection:
            connection.executemany("DELETE FROM files WHERE log = ? AND generation = ? AND writer = ?", values)

    def remove_requests(self, log: str, files: Collection[FileId]) -> None:
        query = "SELECT id FROM sources WHERE writer = ? AND log = ?"
        with self._errors(), self._transaction() as connection:
            sources = [source for (source,) in connection.execute(query, (self._writer_id, log))]
        for source in sources:
            self._remove_requests(source << OFFSET_BITS, (source + 1) << OFFSET_BITS)
        statement = "DELETE FROM daily WHERE writer = ? AND substr(row, instr(row, ' ')) = ?"
        nothing = encode_daily(DailyAggregate(NO_COUNTS, NO_COUNTS)).removeprefix("0")
        with self._errors(), self._transaction() as connection:
            connection.execute(statement, (self._writer_id, nothing))

    def remove_log(self, log: str, files: Collection[FileId]) -> None:
        with self._errors(), self._transaction() as connection:
            for kind in (FileKey, RolledUpKey, ObservedKey, LogKey):
                statement = f"DELETE FROM {TABLES[kind]} WHERE log = ? AND writer = ?"
                connection.execute(statement, (log, self._writer_id))

    def _remove_requests(self, first: int, end: int) -> None:
        """Those of these places, some at a time: a transaction holds all of them in the write-ahead log."""
        query = "SELECT id FROM requests WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?"
        while first < end:
            with self._errors(), self._transaction() as connection:
                found = connection.execute(query, (first, end, _ROWS_A_REMOVAL)).fetchone()
                until = found[0] if found is not None else end
                connection.execute("DELETE FROM requests WHERE id >= ? AND id < ?", (first, until))
                connection.execute(
                    "DELETE FROM zones WHERE id >= ? AND id < ?", (first >> ZONE_BITS, until >> ZONE_BITS)
                )
                first = until

    def write(self, *groups: Rows) -> None:
        with self._errors(), self._transaction() as connection:
            for group in groups:
                for of_type, rows in groupby(group.items(), key=lambda row: type(row[0])):
                    self._replace(connection, of_type, rows)

    def remove_expired(self, oldest_day: int) -> None:
        with self._errors(), self._transaction() as connection:
            connection.execute("DELETE FROM requests WHERE time < ?", (oldest_day * SECONDS_A_DAY,))
            connection.execute("DELETE FROM zones WHERE newest < ?", (oldest_day * SECONDS_A_DAY,))
            connection.execute("DELETE FROM daily WHERE day < ?", (oldest_day,))
            connection.execute("DELETE FROM rollups WHERE day < ?", (oldest_day,))

    def compact(self) -> None:
        with self._errors(), self._transaction() as connection:
            connection.execute(
                "DELETE FROM intents WHERE writer = :writer"
                " AND number <= (SELECT max(number) FROM intents WHERE writer = :writer) - :kept",
                {"writer": self._writer_id, "kept": _INTENTS_KEPT},
            )

    def _row(self, query: str, key: str | int) -> str:
        with self._errors(), self._transaction() as connection:
            row = connection.execute(query, (key, self._writer_id)).fetchone()
        return row[0] if row is not None else ""

    def _insert(self, connection: sqlite3.Connection, batch: StoredRequests) -> None:
        """Store requests."""
        sources = [self._source(connection, file) << OFFSET_BITS for file in batch.files]
        ids = np.array(sources, np.int64)[batch.of_file] + batch.requests.offsets
        columns = _columns(batch.requests, ids)
        connection.executemany(
            f"INSERT OR REPLACE INTO requests ({', '.join(columns)}) VALUES ({_marks(columns)})",
            zip(*columns.values(), strict=True),
        )
        connection.executemany(
            "INSERT INTO zones VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET oldest = min(oldest, excluded.oldest), newest = max(newest, excluded.newest)",
            _zones(batch.requests, ids),
        )

    def _source(self, connection: sqlite3.Connection, file: FileId) -> int:
        """The number of a file, a new one where it has none."""
        key = file.log, file.generation
        if key not in self._sources:
            values = (self._writer_id, *key)
            connection.execute("INSERT OR IGNORE INTO sources (writer, log, generation) VALUES (?, ?, ?)", values)
            query = "SELECT id FROM sources WHERE writer = ? AND log = ? AND generation = ?"
            (self._sources[key],) = connection.execute(query, values).fetchone()
        return self._sources[key]

    def _replace(self, connection: sqlite3.Connection, of_type: type[Key], rows: Iterable[tuple[Key, str]]) -> None:
        columns = [*of_type._fields, "writer", "row"]
        names = ", ".join(f'"{column}"' for column in columns)
        statement = f"INSERT OR REPLACE INTO {TABLES[of_type]} ({names}) VALUES ({', '.join('?' * len(columns))})"
        writer = self._writer_id
        connection.executemany(
            statement,
            ((key.customer or _ALL, key.day, writer, row) for key, row in rows if isinstance(key, DailyKey))
            if of_type is DailyKey
            else ((*key, writer, row) for key, row in rows),
        )

    # Asking

    async def ping(self) -> None:
        await self._ask(lambda connection: connection.execute("SELECT 1 FROM state LIMIT 1").fetchone())

    async def days(self, customer: str | None, first: int, last: int) -> dict[int, DailyAggregate]:
        query = "SELECT day, row FROM daily WHERE customer = ? AND day BETWEEN ? AND ?"
        return _by_day(await self._rows(query, customer or _ALL, first, last))

    async def rollups(self, group: int, kinds: Collection[Kind], first: int, last: int) -> dict[int, list[RollupRow]]:
        query = f'SELECT day, kind, segment, row FROM rollups WHERE "group" = ? AND kind IN ({_marks(kinds)})'
        found: dict[int, list[RollupRow]] = {}
        for day, kind, segment, row in await self._rows(
            f"{query} AND day BETWEEN ? AND ? ORDER BY day, segment", group, *kinds, first, last
        ):
            found.setdefault(day, []).append(decode_rollup(kind, segment, row))
        return found

    async def requests(self, customer: str, start: int, end: int, outcome: Outcome, limit: int) -> list[LoggedRequest]:
        query = f"""
SELECT requests.time, millisecond, request_path, status_code, duration, method, bytes FROM zones
JOIN requests ON requests.id >= zones.id << {ZONE_BITS} AND requests.id < (zones.id + 1) << {ZONE_BITS}
WHERE newest >= :start AND oldest < :end
AND customer_id = :customer AND requests.time >= :start AND requests.time < :end{OUTCOMES[outcome]}
ORDER BY requests.time DESC, millisecond DESC, requests.id & {(1 << OFFSET_BITS) - 1} DESC LIMIT :limit
"""
        values = {"customer": customer, "start": start, "end": end, "limit": limit}
        rows = await self._ask(lambda connection: connection.execute(query, values).fetchall())
        return [LoggedRequest(*row) for row in rows]

    async def knows(self, customer: str) -> bool:
        return bool(await self._rows("SELECT 1 FROM daily WHERE customer = ? LIMIT 1", customer))

    async def customer_names(self) -> list[str]:
        return [name for (name,) in await self._rows("SELECT DISTINCT customer FROM daily WHERE customer > ''")]

    async def customers(
        self, customers: Sequence[str] | None, first: int, last: int
    ) -> dict[str, dict[int, DailyAggregate]]:
        of_these = "customer > ''" if customers is None else f"customer IN ({_marks(customers)})"
        query = f"SELECT customer, day, row FROM daily WHERE {of_these} AND day BETWEEN ? AND ? ORDER BY customer"
        rows = await self._rows(query, *(customers or ()), first, last)
        return {
            customer: _by_day((day, row) for _, day, row in of_customer)
            for customer, of_customer in groupby(rows, key=lambda row: row[0])
        }

    async def states(self) -> list[WriterState]:
        found: dict[str, dict[str, str]] = {}
        # The intent is of all logs, and may be long.
        query = "SELECT writers.name, state.name, row FROM state JOIN writers ON writers.id = writer"
        query += " WHERE state.name <> 'rollups_intent'"
        for writer, name, row in await self._rows(query):
            found.setdefault(writer, {})[name] = row
        return [WriterState.of(writer, rows) for writer, rows in sorted(found.items())]

    async def intents(self, since: Mapping[str, int | None]) -> list[StoredIntent]:
        found: list[StoredIntent] = []
        for writer, place in since.items():
            query = f"SELECT number, row FROM intents WHERE writer = {_OF_WRITER} AND number >= ? ORDER BY number DESC"
            query += f" LIMIT {LATEST_INTENTS}" if place is None else ""
            rows = await self._rows(query, writer, place or 0)
            found += [StoredIntent(writer, number, number, row) for number, row in reversed(rows)]
        return found

    async def logs(self) -> list[tuple[str, LedgerRow]]:
        rows = await self._rows(f"SELECT name, log, row FROM logs {_BY_WRITER}")
        return [(writer, decode_log(log, row)) for writer, log, row in rows]

    async def observed_ends(self) -> list[tuple[str, ObservedEnd]]:
        rows = await self._rows(f"SELECT name, log, row FROM observed {_BY_WRITER}")
        return [(writer, decode_observed_end(log, row)) for writer, log, row in rows]

    async def files(self) -> list[tuple[str, FileRow]]:
        rows = await self._rows(f"SELECT name, log, generation, row FROM files {_BY_WRITER}, generation")
        return [(writer, decode_file(log, generation, row)) for writer, log, generation, row in rows]

    async def aclose(self) -> None:
        while self._kept:
            self._kept.pop()[0].close()

    async def _rows(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        return await self._ask(lambda connection: connection.execute(query, values).fetchall())

    # Connecting

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
        version = _version(connection)
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
            known = self._connection.execute(f"SELECT {_OF_WRITER}", (self._writer,)).fetchone()
            self._writer_id = known[0] if known[0] is not None else -1
        # What is written to a file that was deleted is lost.
        if self._opened is None or _identity(self._path) != self._opened:
            raise StorageRefused(f"The store {self._path} was deleted or replaced while it was written: start again.")
        return self._connection

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


def _identity(path: Path) -> _Identity | None:
    """Tells a file that is open from every other; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_dev


def _version(connection: sqlite3.Connection) -> int:
    """The number of a store's schema."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


def _by_day(rows: Iterable[tuple[int, str]]) -> dict[int, DailyAggregate]:
    """The rows of one customer, of all writers added up."""
    found: dict[int, list[DailyAggregate]] = {}
    for day, row in rows:
        found.setdefault(day, []).append(decode_daily(row))
    return {day: added_up(of_day) for day, of_day in found.items()}


def _with_texts_once(requests: Requests) -> Requests:
    """The same, with each text that repeats once in memory."""
    return replace(
        requests,
        path_texts=list(map(intern, requests.path_texts)),
        durations=list(map(intern, requests.durations)),
    )


def _columns(requests: Requests, ids: Integers) -> dict[str, Iterable[int | float | str | None]]:
    """The columns of the table `requests`, by their names, but for those in which no request has a value."""
    columns: dict[str, Iterable[int | float | str | None]] = {
        "id": ids.tolist(),
        "time": requests.seconds.tolist(),
        "customer_id": requests.customer_ids(),
        "request_path": requests.request_paths(),
        "status_code": requests.statuses.tolist(),
        "duration": map(float, requests.durations)
        if all(requests.durations)
        else [float(duration) if duration else None for duration in requests.durations],
    }
    if any(requests.method_texts):
        methods = [method or None for method in requests.method_texts]
        columns["method"] = map(methods.__getitem__, requests.methods.tolist())
    for name, numbers in (("millisecond", requests.milliseconds), ("bytes", requests.sizes)):
        is_known = numbers != NONE
        if is_known.all():
            columns[name] = numbers.tolist()
        elif is_known.any():
            columns[name] = [None if number == NONE else number for number in numbers.tolist()]
    return columns


def _zones(requests: Requests, ids: Integers) -> list[tuple[int, int, int]]:
    """The zones of some requests, and the earliest and latest of their times."""
    if not requests:
        return []
    zones = ids >> ZONE_BITS
    starts = np.flatnonzero(np.diff(zones, prepend=-1))
    oldest, newest = np.minimum.reduceat(requests.seconds, starts), np.maximum.reduceat(requests.seconds, starts)
    return list(zip(zones[starts].tolist(), oldest.tolist(), newest.tolist(), strict=True))
