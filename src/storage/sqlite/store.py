"""The embedded store: one SQLite file in WAL mode, for one machine.

With `synchronous=NORMAL`, a power cut may undo the last transactions, in their order. The log is then read again from
there.
"""

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from request_log.line import SECONDS_A_DAY
from service.logs import logger
from storage import schema_4
from storage.contract import Storage
from storage.sqlite.connection import OF_WRITER
from storage.sqlite.counts import SqliteCounts
from storage.sqlite.lease import Lease
from storage.sqlite.ledger import SqliteLedger, check_writer
from storage.sqlite.migration import bring_up_from_4
from storage.sqlite.requests import SqliteRequests
from storage.sqlite.rows import SqliteRows
from storage.sqlite.schema import SCHEMA, VERSION, version_of
from storage.writers import MAIN

log = logger(__name__)


class SqliteStorage(SqliteRequests, SqliteRows, SqliteCounts, SqliteLedger, Storage):
    """A connection to the file at `path`, as one writer or as a reader."""

    SENDERS = 1
    LINES_HELD = 30_000
    READS_BY_TIME = False
    BYTES_HELD = 8 << 20

    def __init__(self, path: Path, writer: str = MAIN) -> None:
        super().__init__(path, writer)
        self._lease = Lease(path, writer)

    def set_up(self) -> None:
        with self._errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect("rwc", any_version=True)) as connection:
                if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                    if version_of(connection) == schema_4.VERSION:
                        self._bring_up(connection)
                    self._check_version(connection)
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")

    def _bring_up(self, connection: sqlite3.Connection) -> None:
        """Bring the store up from schema 4, under the lease: no processor may write meanwhile."""
        self._lease.acquire()
        log.info("bringing_up", path=str(self._path), schema=schema_4.VERSION)
        try:
            bring_up_from_4(connection, str(self._path))
        finally:
            self._lease.release()

    def acquire(self) -> int:
        self._held.clear()
        with self._errors():
            self._lease.acquire()
        with self._transaction() as connection:
            # A writer whose name is damaged would begin anew, and count its logs a second time.
            for number, name in connection.execute("SELECT id, name FROM writers"):
                check_writer(number, name)
            connection.execute("INSERT OR IGNORE INTO writers (name) VALUES (?)", (self._writer,))
            (self._writer_id,) = connection.execute(f"SELECT {OF_WRITER}", (self._writer,)).fetchone()
        return time.time_ns()

    def check_lease(self) -> None:
        with self._errors():
            self._writing()

    def close(self) -> None:
        if self._connection is not None:
            # While an api has the store open, SQLite does not do this by itself. Whoever copies the file expects it.
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint")
            self._connection.close()
            self._connection = None
        self._lease.release()

    def abandon(self) -> None:
        # The lock is this process's own, so whoever has the lease has it after this.
        self.close()

    def remove_expired(self, oldest_day: int, oldest_counted_day: int) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM requests WHERE time < ?", (oldest_day * SECONDS_A_DAY,))
            connection.execute("DELETE FROM zones WHERE newest < ?", (oldest_day * SECONDS_A_DAY,))
            connection.execute("DELETE FROM daily WHERE day < ?", (oldest_counted_day,))
            connection.execute("DELETE FROM rollups WHERE day < ?", (oldest_counted_day,))
