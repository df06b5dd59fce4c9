"""The embedded store: one SQLite file in WAL mode, for one machine.

Requests, counts and ledger of an epoch are one transaction, so after a crash they are all there or none is.
`synchronous=NORMAL`: a power cut may take the last transactions, and then their ledger as well, so the log is read
again from there.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from request_log.line import SECONDS_A_DAY, Reason
from storage.contract import LedgerRow, Storage, StorageRefused, StorageUnavailable, StoredRequests
from storage.counts import CountsKey, DayCounts, Position, decode_counter, encode_counter

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    log TEXT NOT NULL,
    generation INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    time INTEGER NOT NULL,           -- Unix time, seconds
    customer_id TEXT NOT NULL,
    request_path TEXT NOT NULL,
    status_code INTEGER NOT NULL,
    duration REAL NOT NULL,          -- seconds
    PRIMARY KEY (log, generation, offset)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS customer_day (
    customer TEXT NOT NULL,          -- '' for all together
    day INTEGER NOT NULL,            -- UTC, since 1970-01-01
    statuses TEXT NOT NULL,          -- HTTP status:count,...
    latencies TEXT NOT NULL,         -- milliseconds:count,...
    applied TEXT NOT NULL,           -- JSON: log -> [generation, offset]
    PRIMARY KEY (customer, day)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger (
    log TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    read INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    rejected TEXT NOT NULL,          -- JSON: reason -> lines
    newest INTEGER NOT NULL              -- Unix time, seconds
) WITHOUT ROWID;
"""
_BUSY_SECONDS = 5.0
_ALL = ""

Answer = TypeVar("Answer")


class SqliteStorage(Storage):
    """A connection to the file at `path`."""

    SENDERS = 1

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._uncommitted: list[StoredRequests] = []

    # Writing

    def set_up(self) -> None:
        with self._errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect("rwc")) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(_SCHEMA)

    def begin(self) -> list[LedgerRow]:
        self._uncommitted.clear()
        with self._errors():
            return _ledger(self._writing())

    def store_requests(self, batch: StoredRequests) -> None:
        # Held until the commit, so that a failed transaction can be tried again as a whole.
        self._uncommitted.append(batch)

    def read_counts(self, keys: Collection[CountsKey]) -> dict[CountsKey, DayCounts]:
        query = "SELECT statuses, latencies, applied FROM customer_day WHERE customer = ? AND day = ?"
        found = {}
        with self._errors():
            for customer, day in keys:
                row = self._writing().execute(query, (customer or _ALL, day)).fetchone()
                if row is not None:
                    applied = {log: Position(*position) for log, position in json.loads(row[2]).items()}
                    found[customer, day] = DayCounts(decode_counter(row[0]), decode_counter(row[1]), applied)
        return found

    def commit(self, counts: Mapping[CountsKey, DayCounts], ledger: Sequence[LedgerRow]) -> None:
        with self._errors(), self._writing() as connection:
            for batch in self._uncommitted:
                connection.executemany("INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _rows(batch))
            connection.executemany(
                "INSERT OR REPLACE INTO customer_day VALUES (?, ?, ?, ?, ?)",
                (
                    (
                        customer or _ALL,
                        day,
                        encode_counter(row.statuses),
                        encode_counter(row.latencies),
                        json.dumps(row.applied),
                    )
                    for (customer, day), row in counts.items()
                ),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        row.log,
                        *row.position,
                        row.fingerprint,
                        row.read,
                        row.stored,
                        json.dumps(row.rejected),
                        row.newest,
                    )
                    for row in ledger
                ),
            )
        self._uncommitted.clear()

    def remove_expired(self, oldest_day: int) -> None:
        with self._errors(), self._writing() as connection:
            connection.execute("DELETE FROM requests WHERE time < ?", (oldest_day * SECONDS_A_DAY,))
            connection.execute("DELETE FROM customer_day WHERE day < ?", (oldest_day,))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # Asking

    async def ping(self) -> None:
        await self._ask(lambda connection: connection.execute("SELECT 1 FROM ledger LIMIT 1").fetchone())

    async def days(self, customer: str | None, first: int, last: int) -> dict[int, DayCounts]:
        query = "SELECT day, statuses, latencies FROM customer_day WHERE customer = ? AND day BETWEEN ? AND ?"

        def ask(connection: sqlite3.Connection) -> dict[int, DayCounts]:
            rows = connection.execute(query, (customer or _ALL, first, last))
            return {row[0]: DayCounts(decode_counter(row[1]), decode_counter(row[2])) for row in rows}

        return await self._ask(ask)

    async def knows(self, customer: str) -> bool:
        query = "SELECT 1 FROM customer_day WHERE customer = ? LIMIT 1"
        return await self._ask(lambda connection: connection.execute(query, (customer,)).fetchone() is not None)

    async def customers(self, first: int, last: int) -> dict[str, DayCounts]:
        query = "SELECT customer, statuses, latencies FROM customer_day WHERE customer > '' AND day BETWEEN ? AND ?"

        def ask(connection: sqlite3.Connection) -> dict[str, DayCounts]:
            totals: dict[str, DayCounts] = {}
            for customer, statuses, latencies in connection.execute(query, (first, last)):
                day = DayCounts(decode_counter(statuses), decode_counter(latencies))
                if customer in totals:
                    totals[customer].add(day)
                else:
                    totals[customer] = day
            return totals

        return await self._ask(ask)

    async def ledger(self) -> list[LedgerRow]:
        return await self._ask(_ledger)

    async def aclose(self) -> None:
        return

    # Connecting

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"{self._path.as_uri()}?mode={mode}"
        # Used by one thread at a time, but not always by the one that opened it.
        return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, check_same_thread=False)

    def _writing(self) -> sqlite3.Connection:
        """The connection of the synchronous half."""
        if self._connection is None:
            self._connection = self._connect("rw")
            self._connection.execute("PRAGMA synchronous=NORMAL")
        return self._connection

    async def _ask(self, ask: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Ask in a thread of its own. A connection a question: it costs a fifth of a millisecond, and a file that was
        replaced is noticed."""

        def work() -> Answer:
            with self._errors(), closing(self._connect("ro")) as connection:
                return ask(connection)

        return await asyncio.to_thread(work)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise StorageUnavailable(f"SQLite store {self._path.name}: {error}") from error
        except sqlite3.DatabaseError as error:
            raise StorageRefused(f"SQLite store {self._path.name}: {error}") from error


def _rows(batch: StoredRequests) -> Iterator[tuple[str, int, int, int, str, str, int, str]]:
    """The rows of the table `requests`; the column's type makes the duration a number."""
    requests = batch.requests
    for offset, second, customer, path, status, duration in zip(
        requests.offsets,
        requests.seconds,
        requests.customers,
        requests.paths,
        requests.statuses,
        requests.durations,
        strict=True,
    ):
        yield batch.log, batch.generation, offset, second, customer, path, status, duration


def _ledger(connection: sqlite3.Connection) -> list[LedgerRow]:
    columns = "log, generation, offset, fingerprint, read, stored, rejected, newest"
    return [
        LedgerRow(
            log=row[0],
            position=Position(row[1], row[2]),
            fingerprint=row[3],
            read=row[4],
            stored=row[5],
            rejected={Reason(reason): lines for reason, lines in json.loads(row[6]).items()},
            newest=row[7],
        )
        for row in connection.execute(f"SELECT {columns} FROM ledger ORDER BY log")
    ]
