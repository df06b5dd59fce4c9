"""Rows by key, each in the table of its kind: writes and compaction."""

import sqlite3
from collections.abc import Iterable
from itertools import groupby

from typing_extensions import Self

from rollups.counts import DailyKey
from storage.contract import INTENTS_KEPT
from storage.keys import Key, Rows
from storage.sqlite.connection import SqliteConnection
from storage.sqlite.schema import ALL_CUSTOMERS, TABLES


class SqliteRows(SqliteConnection):
    def write(self, *groups: Rows) -> None:
        with self._transaction() as connection:
            for group in groups:
                for of_type, rows in groupby(group.items(), key=lambda row: type(row[0])):
                    self._replace(connection, of_type, rows, self._writer_id)

    def write_both(self, rows: Rows, other: Self, of_other: Rows) -> None:
        other_id = other._writer_id
        with self._transaction() as connection:
            for writer, group in ((self._writer_id, rows), (other_id, of_other)):
                for of_type, of_kind in groupby(group.items(), key=lambda row: type(row[0])):
                    self._replace(connection, of_type, of_kind, writer)

    def remove_day(self, day: int) -> None:
        with self._transaction() as connection:
            for table in ("daily", "rollups"):
                connection.execute(f"DELETE FROM {table} WHERE day = ? AND writer = ?", (day, self._writer_id))

    def _replace(
        self, connection: sqlite3.Connection, of_type: type[Key], rows: Iterable[tuple[Key, str]], writer: int
    ) -> None:
        columns = [*of_type._fields, "writer", "row"]
        names = ", ".join(f'"{column}"' for column in columns)
        statement = f"INSERT OR REPLACE INTO {TABLES[of_type]} ({names}) VALUES ({', '.join('?' * len(columns))})"
        connection.executemany(
            statement,
            ((key.customer or ALL_CUSTOMERS, key.day, writer, row) for key, row in rows if isinstance(key, DailyKey))
            if of_type is DailyKey
            else ((*key, writer, row) for key, row in rows),
        )

    def compact(self) -> None:
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM intents WHERE writer = :writer"
                " AND number <= (SELECT max(number) FROM intents WHERE writer = :writer) - :kept",
                {"writer": self._writer_id, "kept": INTENTS_KEPT},
            )
