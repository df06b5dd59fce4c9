"""The embedded store: one SQLite file in WAL mode, for one machine.

Counts and ledger are one transaction, short of very many counts, so after a crash both are there or neither is. Of a
backlog the requests are stored before them, under the numbers that they have when they are read again.
`synchronous=NORMAL`: a power cut may take the last transactions, and then their ledger as well, so the log is read
again from there.
"""

import asyncio
import fcntl
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from sys import intern
from typing import Any, TypeVar

import numpy as np

from request_log.line import SECONDS_A_DAY
from request_log.requests import NONE, Requests
from rollups.counters import unpack
from rollups.counts import (
    OUTCOMES,
    Breakdown,
    BreakdownKey,
    CountsKey,
    DayCounts,
    Kind,
    Outcome,
    PackedCounts,
    Position,
)
from rollups.groups import group_of
from storage.changes import Changes, Commit, Mark, changes, encode_changed
from storage.contract import (
    EndedGeneration,
    LedgerRow,
    LoggedRequest,
    Sighting,
    Storage,
    StorageHeld,
    StorageRefused,
    StorageUnavailable,
    StoredRequests,
    Stretch,
)
from storage.holder import Holder
from storage.ledger_text import (
    decode_gaps,
    decode_rejected,
    decode_stretch,
    encode_gaps,
    encode_rejected,
    encode_stretch,
)
from storage.stored import Stored

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sources (
    id INTEGER PRIMARY KEY,
    log TEXT NOT NULL,
    generation INTEGER NOT NULL,
    UNIQUE (log, generation)
);
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY,          -- sources.id << 40 | offset: in the order of the log, which is the cheapest
    time INTEGER NOT NULL,           -- Unix time, seconds
    customer_id TEXT NOT NULL,
    request_path TEXT NOT NULL,
    status_code INTEGER NOT NULL,
    duration REAL,                   -- seconds; NULL: none was logged
    millisecond INTEGER              -- of that second; NULL: the time was logged without a fraction
);
CREATE TABLE IF NOT EXISTS zones (   -- where the requests of a time are
    id INTEGER PRIMARY KEY,          -- of these requests, without the lowest 18 bits
    oldest INTEGER NOT NULL,         -- Unix time, seconds
    newest INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS customer_day (
    customer TEXT NOT NULL,          -- '' for all together
    day INTEGER NOT NULL,            -- UTC, since 1970-01-01
    statuses TEXT NOT NULL,          -- requests by HTTP status, see rollups/counters.py
    latencies TEXT NOT NULL,         -- requests by milliseconds, see rollups/counters.py
    applied TEXT NOT NULL,           -- JSON: log -> [generation, offset]
    PRIMARY KEY (customer, day)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS breakdowns (
    customers INTEGER NOT NULL,      -- the number of their group, see rollups/groups.py
    kind TEXT NOT NULL,              -- by what: hours or paths
    day INTEGER NOT NULL,            -- UTC, since 1970-01-01
    segment INTEGER NOT NULL,
    names TEXT NOT NULL,             -- customers and paths, see rollups/groups.py
    statuses TEXT NOT NULL,          -- requests by customer, part and HTTP status, see rollups/groups.py
    latencies TEXT NOT NULL,         -- requests by customer, part and milliseconds, see rollups/groups.py
    applied TEXT NOT NULL,           -- JSON: log -> [generation, offset]
    PRIMARY KEY (customers, kind, day, segment)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commits (
    number INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    customers TEXT NOT NULL          -- JSON: theirs and of which days, see changes.py
);
CREATE TABLE IF NOT EXISTS ledger (
    log TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    first_generation INTEGER NOT NULL,
    first_offset INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    read INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    rejected TEXT NOT NULL,          -- JSON: reason -> lines
    gaps TEXT NOT NULL,              -- JSON: [[generation, offset, reason], ...]
    newest INTEGER NOT NULL,         -- Unix time, seconds
    pending TEXT NOT NULL DEFAULT '' -- JSON: what the breakdowns lack, see ledger_text.py
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ended_generations (
    log TEXT NOT NULL,
    generation INTEGER NOT NULL,
    offset INTEGER NOT NULL,         -- how far it was read
    fingerprint TEXT NOT NULL,
    PRIMARY KEY (log, generation)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sightings (
    log TEXT PRIMARY KEY,
    time REAL NOT NULL,              -- Unix time, seconds
    generation INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    size INTEGER NOT NULL,
    bytes_behind INTEGER NOT NULL
) WITHOUT ROWID;
"""
# Changes with the schema: a store of another one is refused, but for those that setup can bring up to it.
_VERSION = 4
_ZONE_BITS = 18
_MIGRATIONS = {
    2: f"""
ALTER TABLE ledger ADD COLUMN pending TEXT NOT NULL DEFAULT '';
INSERT INTO zones SELECT id >> {_ZONE_BITS}, min(time), max(time) FROM requests GROUP BY id >> {_ZONE_BITS};
""",
    3: f"""
ALTER TABLE requests RENAME TO requests_3;
{_SCHEMA}
INSERT INTO requests SELECT *, NULL FROM requests_3;
DROP TABLE requests_3;
DROP TABLE IF EXISTS customer_breakdown;
""",
}
"""What setup does, by the schema that a store has, when it has made the tables that are missing: that one's step and
those after it."""
_OFFSET_BITS = 40
_BUSY_SECONDS = 5.0
_QUESTION_SECONDS = 30.0
# How often SQLite looks whether a question takes too long: about every millisecond.
_STEPS_A_LOOK = 10_000
# SQLite's words for what waiting can mend (Python 3.10 has no error codes). A full disk is not among them.
_MAY_PASS = ("locked", "busy", "unable to open")
_INTERRUPTED = "interrupted"
_ALL = ""
_COMMITS_KEPT = 1_000
_ROWS_A_READ = 10_000

Answer = TypeVar("Answer")
_Identity = tuple[int, int]
"""The numbers of a file and of its device."""
_Files = tuple[_Identity | None, _Identity | None]


class SqliteStorage(Storage):
    """A connection to the file at `path`."""

    SENDERS = 1
    LINES_HELD = 30_000
    BYTES_HELD = 8 << 20

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._opened: _Identity | None = None
        self._lock: int | None = None
        self._one_at_a_time = threading.Lock()
        self._uncommitted: list[StoredRequests] = []
        self._kept: list[tuple[sqlite3.Connection, _Files]] = []
        """Connections for the questions to come, none of which is used at the moment."""
        self._run = random.getrandbits(62)

    # Writing

    def set_up(self) -> None:
        with self._errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect("rwc", any_version=True)) as connection:
                migration = ""
                if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                    version = _version(connection)
                    if version not in _MIGRATIONS:
                        self._check_version(connection)
                    migration = "".join(step for schema, step in _MIGRATIONS.items() if schema >= version)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(f"BEGIN; {_SCHEMA} {migration} PRAGMA user_version={_VERSION}; COMMIT;")

    def begin(self) -> list[LedgerRow]:
        self._uncommitted.clear()
        with self._errors():
            self._take_lock()
            return _ledger(self._writing())

    def prepare(self, parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        held = [replace(part, requests=_with_texts_once(part.requests)) for part in parts]

        def hold() -> list[int]:
            # Until the commit, so that a failed transaction can be tried again as a whole.
            self._uncommitted.extend(held)
            return []

        return hold

    def read_counts(self, keys: Collection[CountsKey]) -> dict[CountsKey, PackedCounts]:
        query = "SELECT statuses, latencies, applied FROM customer_day WHERE customer = ? AND day = ?"
        found = {}
        with self._errors(), self._transaction() as connection:
            for customer, day in keys:
                row = connection.execute(query, (customer or _ALL, day)).fetchone()
                if row is not None:
                    found[customer, day] = PackedCounts(*row)
        return found

    def commit(self, counts: Mapping[CountsKey, PackedCounts], ledger: Sequence[LedgerRow]) -> None:
        # More may come meanwhile.
        batches = self._uncommitted[:]
        with self._errors(), self._transaction() as connection:
            for batch in batches:
                source = _source(connection, batch.log, batch.generation)
                rows = _rows(batch.requests, source << _OFFSET_BITS)
                connection.executemany("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                connection.executemany(
                    "INSERT INTO zones VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE "
                    "SET oldest = min(oldest, excluded.oldest), newest = max(newest, excluded.newest)",
                    _zones(batch.requests, source << _OFFSET_BITS),
                )
            connection.executemany(
                "INSERT OR REPLACE INTO customer_day VALUES (?, ?, ?, ?, ?)",
                ((customer or _ALL, day, *row) for (customer, day), row in counts.items()),
            )
            if counts:
                commit = (self._run, encode_changed(counts))
                connection.execute("INSERT INTO commits (run, customers) VALUES (?, ?)", commit)
                connection.execute("DELETE FROM commits WHERE number <= last_insert_rowid() - ?", (_COMMITS_KEPT,))
            connection.executemany(
                f"INSERT OR REPLACE INTO ledger VALUES ({', '.join('?' * 13)})",
                (
                    (
                        row.log,
                        row.path,
                        *row.first,
                        *row.position,
                        row.fingerprint,
                        row.read,
                        row.stored,
                        encode_rejected(row.rejected),
                        encode_gaps(row.gaps),
                        row.newest,
                        encode_stretch(row.pending),
                    )
                    for row in ledger
                ),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO ended_generations VALUES (?, ?, ?, ?)",
                ((ended.log, *ended.end, ended.fingerprint) for row in ledger for ended in row.ended),
            )
        del self._uncommitted[: len(batches)]

    def read_breakdowns(self, keys: Collection[BreakdownKey]) -> dict[BreakdownKey, Breakdown]:
        query = "SELECT segment, names, statuses, latencies, applied FROM breakdowns"
        query += " WHERE customers = ? AND day = ? AND kind = ? ORDER BY segment DESC LIMIT 1"
        found = {}
        with self._errors(), self._transaction() as connection:
            for key in keys:
                row = connection.execute(query, key).fetchone()
                if row is not None:
                    found[key] = Breakdown(*row)
        return found

    def write_breakdowns(self, rows: Mapping[BreakdownKey, Breakdown]) -> None:
        with self._errors(), self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO breakdowns VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                ((group, kind, day, *row) for (group, day, kind), row in rows.items()),
            )

    def read_requests(self, log: str, stretch: Stretch, end: Position) -> Iterator[StoredRequests]:
        query = "SELECT id, time, customer_id, request_path, status_code, duration FROM requests"
        query += " WHERE id >= ? AND id < ? ORDER BY id"
        with self._errors(), self._transaction() as connection:
            for generation, offsets in stretch.generations(end):
                first_id = _source(connection, log, generation) << _OFFSET_BITS
                cursor = connection.execute(query, (first_id + offsets.start, first_id + offsets.stop))
                stored = Stored()
                while rows := cursor.fetchmany(_ROWS_A_READ):
                    stored.add((number - first_id, *values) for number, *values in rows)
                yield from (StoredRequests(log, generation, requests) for requests in stored.in_order())

    def report(self, sightings: Sequence[Sighting]) -> None:
        with self._errors(), self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO sightings VALUES (?, ?, ?, ?, ?, ?)",
                ((row.log, row.time, *row.position, row.size, row.bytes_behind) for row in sightings),
            )

    def remove_expired(self, oldest_day: int) -> None:
        with self._errors(), self._transaction() as connection:
            connection.execute("DELETE FROM requests WHERE time < ?", (oldest_day * SECONDS_A_DAY,))
            connection.execute("DELETE FROM zones WHERE newest < ?", (oldest_day * SECONDS_A_DAY,))
            connection.execute("DELETE FROM customer_day WHERE day < ?", (oldest_day,))
            connection.execute("DELETE FROM breakdowns WHERE day < ?", (oldest_day,))

    def close(self) -> None:
        if self._connection is not None:
            # While an api has the store open SQLite does not do it by itself, and who copies the file expects it.
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint")
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> None:
        """Hold the lock of the file beside the store, which says who has it. The system frees it when we die."""
        if self._lock is not None:
            return
        path = self._path.resolve()
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # It writes its name a moment after it has the lock.
            name = os.read(lock, 1_000).decode()
            holder = Holder.decode(name).named() if name else "another process"
            os.close(lock)
            raise StorageHeld(f"The store {self._path} is written by {holder}: only one can.") from None
        os.truncate(lock, 0)
        os.write(lock, str(Holder.this_process()).encode())
        self._lock = lock

    # Asking

    async def ping(self) -> None:
        await self._ask(lambda connection: connection.execute("SELECT 1 FROM ledger LIMIT 1").fetchone())

    async def days(self, customer: str | None, first: int, last: int) -> dict[int, DayCounts]:
        return {day: unpack(row) for day, row in (await self.packed_days(customer, first, last)).items()}

    async def packed_days(self, customer: str | None, first: int, last: int) -> dict[int, PackedCounts]:
        query = "SELECT day, statuses, latencies, applied FROM customer_day WHERE customer = ? AND day BETWEEN ? AND ?"
        rows = await self._ask(lambda connection: connection.execute(query, (customer or _ALL, first, last)).fetchall())
        return {day: PackedCounts(*counts) for day, *counts in rows}

    async def breakdowns(self, customer: str, kind: Kind, first: int, last: int) -> dict[int, list[Breakdown]]:
        query = "SELECT day, segment, names, statuses, latencies, applied FROM breakdowns"
        query += " WHERE customers = ? AND kind = ? AND day BETWEEN ? AND ? ORDER BY day, segment"
        found: dict[int, list[Breakdown]] = {}
        rows = await self._ask(
            lambda connection: connection.execute(query, (group_of(customer), kind, first, last)).fetchall()
        )
        for day, *row in rows:
            found.setdefault(day, []).append(Breakdown(*row))
        return found

    async def requests(self, customer: str, start: int, end: int, outcome: Outcome, limit: int) -> list[LoggedRequest]:
        query = f"""
SELECT requests.time, millisecond, request_path, status_code, duration FROM zones
JOIN requests ON requests.id >= zones.id << {_ZONE_BITS} AND requests.id < (zones.id + 1) << {_ZONE_BITS}
WHERE newest >= :start AND oldest < :end
AND customer_id = :customer AND requests.time >= :start AND requests.time < :end{OUTCOMES[outcome]}
ORDER BY requests.time DESC, millisecond DESC, requests.id & {(1 << _OFFSET_BITS) - 1} DESC LIMIT :limit
"""
        values = {"customer": customer, "start": start, "end": end, "limit": limit}
        rows = await self._ask(lambda connection: connection.execute(query, values).fetchall())
        return [LoggedRequest(*row) for row in rows]

    async def knows(self, customer: str) -> bool:
        query = "SELECT 1 FROM customer_day WHERE customer = ? LIMIT 1"
        return await self._ask(lambda connection: connection.execute(query, (customer,)).fetchone() is not None)

    async def customers(self, first: int, last: int) -> dict[str, DayCounts]:
        query = "SELECT customer, statuses, latencies, applied FROM customer_day"
        query += " WHERE customer > '' AND day BETWEEN ? AND ?"

        def ask(connection: sqlite3.Connection) -> dict[str, DayCounts]:
            totals: dict[str, DayCounts] = {}
            for customer, *row in connection.execute(query, (first, last)):
                totals.setdefault(customer, DayCounts()).add(unpack(PackedCounts(*row)))
            return totals

        return await self._ask(ask)

    async def customer_names(self) -> list[str]:
        query = "SELECT DISTINCT customer FROM customer_day WHERE customer > ''"
        return [name for (name,) in await self._ask(lambda connection: connection.execute(query).fetchall())]

    async def packed_customers(
        self, customers: Sequence[str], first: int, last: int
    ) -> dict[str, dict[int, PackedCounts]]:
        one_of_them = ",".join("?" * len(customers))
        query = (
            f"SELECT customer, day, statuses, latencies, applied FROM customer_day WHERE customer IN ({one_of_them})"
            " AND day BETWEEN ? AND ?"
        )

        def ask(connection: sqlite3.Connection) -> dict[str, dict[int, PackedCounts]]:
            found: dict[str, dict[int, PackedCounts]] = {}
            for customer, day, *counts in connection.execute(query, (*customers, first, last)).fetchall():
                found.setdefault(customer, {})[day] = PackedCounts(*counts)
            return found

        return await self._ask(ask)

    async def changes(self, since: Mark | None) -> Changes:
        query = "SELECT run, number, customers FROM commits WHERE number >= "
        query += "(SELECT max(number) FROM commits)" if since is None else "? ORDER BY number"
        rows = await self._ask(lambda connection: connection.execute(query, since[1:] if since else ()).fetchall())
        return changes([Commit(*row) for row in rows], since)

    async def ledger(self) -> list[LedgerRow]:
        return await self._ask(_ledger)

    async def progress(self) -> tuple[list[LedgerRow], list[Sighting]]:
        query = "SELECT log, time, generation, offset, size, bytes_behind FROM sightings ORDER BY log"

        def ask(connection: sqlite3.Connection) -> tuple[list[LedgerRow], list[Sighting]]:
            rows = connection.execute(query)
            return _ledger(connection), [
                Sighting(log, time, Position(generation, offset), size, behind)
                for log, time, generation, offset, size, behind in rows
            ]

        return await self._ask(ask)

    async def ended_generations(self) -> list[EndedGeneration]:
        query = "SELECT log, generation, offset, fingerprint FROM ended_generations ORDER BY log, generation"
        rows = await self._ask(lambda connection: connection.execute(query).fetchall())
        return [
            EndedGeneration(log, Position(generation, offset), fingerprint)
            for log, generation, offset, fingerprint in rows
        ]

    async def aclose(self) -> None:
        while self._kept:
            self._kept.pop()[0].close()

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
        if version != _VERSION:
            what_to_do = (
                "`python -m storage setup` brings it up to that."
                if version in _MIGRATIONS
                else "move the file away, and have the log read again from its beginning."
            )
            raise StorageRefused(
                f"The store {self._path} has schema {version}, and this program's is {_VERSION}: {what_to_do}"
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


def _source(connection: sqlite3.Connection, log: str, generation: int) -> int:
    """The number of a log's generation, a new one where it has none."""
    connection.execute("INSERT OR IGNORE INTO sources (log, generation) VALUES (?, ?)", (log, generation))
    query = "SELECT id FROM sources WHERE log = ? AND generation = ?"
    (source,) = connection.execute(query, (log, generation)).fetchone()
    return int(source)


def _with_texts_once(requests: Requests) -> Requests:
    """The same, with each text that repeats once in memory."""
    return replace(
        requests,
        path_texts=list(map(intern, requests.path_texts)),
        durations=list(map(intern, requests.durations)),
    )


def _rows(requests: Requests, first_id: int) -> Iterable[tuple[int, int, str, str, int, float | None, int | None]]:
    """The rows of the table `requests`. `first_id`: of an offset of 0."""
    return zip(
        (first_id + requests.offsets).tolist(),
        requests.seconds.tolist(),
        requests.customer_ids(),
        requests.request_paths(),
        requests.statuses.tolist(),
        map(float, requests.durations)
        if all(requests.durations)
        else (float(duration) if duration else None for duration in requests.durations),
        repeat(None, len(requests))
        if (requests.milliseconds == NONE).all()
        else (None if millisecond == NONE else millisecond for millisecond in requests.milliseconds.tolist()),
        strict=True,
    )


def _zones(requests: Requests, first_id: int) -> list[tuple[int, int, int]]:
    """The zones of some requests, and the earliest and latest of their times. `first_id`: of an offset of 0."""
    if not requests:
        return []
    zones = (first_id + requests.offsets) >> _ZONE_BITS
    starts = np.flatnonzero(np.diff(zones, prepend=-1))
    oldest, newest = np.minimum.reduceat(requests.seconds, starts), np.maximum.reduceat(requests.seconds, starts)
    return list(zip(zones[starts].tolist(), oldest.tolist(), newest.tolist(), strict=True))


def _dicts(cursor: sqlite3.Cursor) -> Iterator[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    return (dict(zip(names, row, strict=True)) for row in cursor)


def _ledger(connection: sqlite3.Connection) -> list[LedgerRow]:
    return [
        LedgerRow(
            log=row["log"],
            path=row["path"],
            first=Position(row["first_generation"], row["first_offset"]),
            position=Position(row["generation"], row["offset"]),
            fingerprint=row["fingerprint"],
            read=row["read"],
            stored=row["stored"],
            rejected=decode_rejected(row["rejected"]),
            gaps=decode_gaps(row["gaps"]),
            newest=row["newest"],
            pending=decode_stretch(row["pending"]),
        )
        for row in _dicts(connection.execute("SELECT * FROM ledger ORDER BY log"))
    ]
