"""Brings a store of schema 4 up to the present schema."""

import sqlite3

from rollups.counts import DailyAggregate, RollupRow
from rollups.rows import encode_daily, encode_rollup
from storage import schema_4
from storage.keys import Key
from storage.logs import Position
from storage.sqlite.schema import MAIN_WRITER, SCHEMA, TABLES, VERSION

_COPY = f"""
BEGIN IMMEDIATE;
ALTER TABLE sources RENAME TO sources_4;
ALTER TABLE requests ADD COLUMN method TEXT;
ALTER TABLE requests ADD COLUMN bytes INTEGER;
{SCHEMA}
INSERT INTO sources SELECT id, {MAIN_WRITER}, log, generation FROM sources_4;
INSERT INTO daily SELECT customer, day, {MAIN_WRITER}, daily_row(statuses, latencies) FROM customer_day;
INSERT INTO rollups
    SELECT customers, day, replace(kind, 'paths', 'endpoints'), segment, {MAIN_WRITER},
        rollup_row(names, statuses, latencies)
    FROM breakdowns;
"""
_REPLACED = ("sources_4", "customer_day", "breakdowns", "commits", "ledger", "ended_generations", "sightings")


def bring_up_from_4(connection: sqlite3.Connection, store: str) -> None:
    """Migrate in one transaction. No other process may write meanwhile.

    `store`: its name, for messages. Raises StorageRefused where its processor was not stopped cleanly.
    """
    rows = _rows_of_logs(connection, store)
    connection.create_function("daily_row", 2, _daily_row, deterministic=True)
    connection.create_function("rollup_row", 3, _rollup_row, deterministic=True)
    # The transaction that the script begins stays open.
    connection.executescript(_COPY)
    for key, row in rows:
        values = (*key, MAIN_WRITER, row)
        connection.execute(f"INSERT INTO {TABLES[type(key)]} VALUES ({', '.join('?' * len(values))})", values)
    for table in _REPLACED:
        connection.execute(f"DROP TABLE {table}")
    connection.execute(f"PRAGMA user_version={VERSION}")
    connection.commit()


def _rows_of_logs(connection: sqlite3.Connection, store: str) -> list[tuple[Key, str]]:
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    ledger = cursor.execute("SELECT * FROM ledger").fetchall()
    logs = [
        schema_4.decode_log(
            row["log"],
            {
                **row,
                "first": (row["first_generation"], row["first_offset"]),
                "position": (row["generation"], row["offset"]),
            },
        )
        for row in ledger
    ]
    applied = connection.execute("SELECT applied FROM customer_day UNION SELECT applied FROM breakdowns")
    schema_4.check_stopped(store, logs, [row["pending"] for row in ledger], (text for (text,) in applied))
    ended = connection.execute("SELECT log, generation, offset, fingerprint FROM ended_generations")
    seen = connection.execute("SELECT log, time, generation, offset, size, bytes_behind FROM sightings")
    return schema_4.rows_of_logs(
        logs,
        [schema_4.EndedFile(*row) for row in ended],
        [
            schema_4.Seen(log, time, Position(generation, offset), size, behind)
            for log, time, generation, offset, size, behind in seen
        ],
    )


def _daily_row(statuses: str, latencies: str) -> str:
    return encode_daily(DailyAggregate(statuses, latencies))


def _rollup_row(names: str, statuses: str, latencies: str) -> str:
    # The kind and the segment are in the key.
    return encode_rollup(RollupRow("hours", 0, names, statuses, latencies))
