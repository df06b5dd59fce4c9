"""The ledgers, intents, logs and files of writers: a writer's own, and those of all writers."""

from collections.abc import Collection, Mapping

from storage.contract import LATEST_INTENTS
from storage.damage import damaged_row, readable
from storage.keys import FileKey, IntentKey, JournalKey, LogKey, ObservedKey, RolledUpKey, StateName
from storage.ledger import StoredIntent, WriterState
from storage.logs import FileRow, LedgerRow, decode_file, decode_log
from storage.observed import ObservedEnd, decode_observed_end
from storage.requests import FileId
from storage.sqlite.connection import OF_WRITER, SqliteConnection
from storage.sqlite.schema import MAIN_WRITER, TABLES
from storage.writers import MAIN

_BY_WRITER = "JOIN writers ON writers.id = writer ORDER BY name, log"


class SqliteLedger(SqliteConnection):
    def read_state(self, name: StateName) -> str:
        return self._row("SELECT row FROM state WHERE name = ? AND writer = ?", name)

    def read_intent(self, number: int) -> str:
        return self._row("SELECT row FROM intents WHERE number = ? AND writer = ?", number)

    def read_journal(self, slots: Collection[int]) -> dict[JournalKey, str]:
        query = "SELECT part, row FROM journal WHERE slot = ? AND writer = ?"
        with self._transaction() as connection:
            return {
                JournalKey(slot, part): row
                for slot in slots
                for part, row in connection.execute(query, (slot, self._writer_id))
            }

    def read_logs(self) -> tuple[dict[str, str], dict[FileKey, str], dict[str, str]]:
        with self._transaction() as connection:
            logs, files, rolled_up = (
                connection.execute(
                    f"SELECT {columns}, row FROM {table} WHERE writer = ?", (self._writer_id,)
                ).fetchall()
                for table, columns in (("logs", "log"), ("files", "log, generation"), ("rolled_up", "log"))
            )
        return dict(logs), {FileKey(log, generation): row for log, generation, row in files}, dict(rolled_up)

    def remove_files(self, keys: Collection[FileKey]) -> None:
        values = [(*key, self._writer_id) for key in keys]
        with self._transaction() as connection:
            connection.executemany("DELETE FROM files WHERE log = ? AND generation = ? AND writer = ?", values)

    def remove_log(self, log: str, files: Collection[FileId]) -> None:
        with self._transaction() as connection:
            for kind in (FileKey, RolledUpKey, ObservedKey, LogKey):
                statement = f"DELETE FROM {TABLES[kind]} WHERE log = ? AND writer = ?"
                connection.execute(statement, (log, self._writer_id))

    def remove_writer(self) -> None:
        with self._transaction() as connection:
            for kind in (LogKey, FileKey, RolledUpKey, ObservedKey, IntentKey, JournalKey):
                connection.execute(f"DELETE FROM {TABLES[kind]} WHERE writer = ?", (self._writer_id,))
            connection.execute("DELETE FROM state WHERE writer = ? AND name <> 'retired'", (self._writer_id,))

    async def states(self) -> list[WriterState]:
        found: dict[str, dict[str, str]] = {}
        # The latest intent of roll-ups names all logs, and may be long. Retired writers may be many.
        query = "SELECT writers.id, writers.name, state.name, row FROM state JOIN writers ON writers.id = writer"
        query += " WHERE state.name IN ('counts', 'rollups', 'report', 'requests')"
        for number, writer, name, row in await self._rows(query, threads=self._poll_threads):
            check_writer(number, writer)
            found.setdefault(writer, {})[name] = row
        return [WriterState.of(writer, rows) for writer, rows in sorted(found.items())]

    async def intents(self, since: Mapping[str, int | None]) -> list[StoredIntent]:
        found: list[StoredIntent] = []
        for writer, place in since.items():
            query = f"SELECT number, row FROM intents WHERE writer = {OF_WRITER} AND number >= ? ORDER BY number DESC"
            query += f" LIMIT {LATEST_INTENTS}" if place is None else ""
            rows = await self._rows(query, writer, place or 0, threads=self._poll_threads)
            found += readable(reversed(rows), lambda row, writer=writer: _intent(writer, *row))  # type: ignore[misc]
        return found

    async def logs(self) -> list[tuple[str, LedgerRow]]:
        rows = await self._rows(f"SELECT name, log, row FROM logs {_BY_WRITER}", threads=self._poll_threads)
        return readable(rows, lambda row: (row[0], decode_log(*row[1:])))

    async def observed_ends(self) -> list[tuple[str, ObservedEnd]]:
        rows = await self._rows(f"SELECT name, log, row FROM observed {_BY_WRITER}", threads=self._poll_threads)
        return readable(rows, lambda row: (row[0], decode_observed_end(*row[1:])))

    async def files(self) -> list[tuple[str, FileRow]]:
        rows = await self._rows(
            f"SELECT name, log, generation, row FROM files {_BY_WRITER}, generation", threads=self._poll_threads
        )
        return readable(rows, lambda row: (row[0], decode_file(*row[1:])))


def check_writer(number: int, name: object) -> None:
    """Raise DamagedRow where a row of the table `writers` has another name than any it was given."""
    if not isinstance(name, str) or (number == MAIN_WRITER) != (name == MAIN):
        raise damaged_row(f"of the writer {number}", str(name))


def _intent(writer: str, number: object, row: str) -> StoredIntent:
    # A text is higher than all numbers, so a query for the latest ones finds it.
    if not isinstance(number, int):
        raise damaged_row(f"of an intent of {writer}", str(number))
    return StoredIntent(writer, number, number, row)
