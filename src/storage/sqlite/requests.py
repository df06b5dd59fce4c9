"""Requests: their table, and the zones that narrow a question about a time down to parts of it."""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np

from request_log.requests import NONE, Integers, Requests
from rollups.counts import NO_COUNTS, DailyAggregate
from rollups.rows import encode_daily
from storage.damage import damaged_row, readable
from storage.read_back import ReadBack, StoredRow
from storage.requests import MOST_OF_PATH, OUTCOMES, FileId, LoggedRequest, OffsetRange, Outcome, StoredRequests
from storage.sqlite.connection import SqliteConnection, marks
from storage.sqlite.schema import OFFSET_BITS, ZONE_BITS

# Rows that are fetched at once.
_ROWS_A_READ = 10_000
# Rows that one transaction reads back: they are in memory together.
_ROWS_A_PAGE = 100_000
# Of the columns of a StoredRow.
_TYPES: list[set[type]] = [
    {int},
    {int},
    {str},
    {str},
    {int},
    {float, type(None)},
    {str, type(None)},
    {int, type(None)},
]
# What fits into the columns of what is read back.
_MOST_STATUS = 0x7FFF
_MOST_SECONDS = 0x7FFFFFFF // 1_000
# Rows that one transaction removes: the write-ahead log holds all of them.
_ROWS_A_REMOVAL = 100_000


class SqliteRequests(SqliteConnection):
    """Requests, under integer keys in the order of their log."""

    def __init__(self, path: Path, writer: str) -> None:
        super().__init__(path, writer)
        self._held: list[StoredRequests] = []
        """Requests that the next flush stores."""
        self._file_numbers: dict[tuple[str, int], int] = {}
        """(log, generation) -> the number of the file, which the table `sources` has."""

    def prepare(self, parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        held = [replace(part, requests=_with_texts_once(part.requests)) for part in parts]

        def hold() -> list[int]:
            # They are held until the flush, so that a failed transaction can be tried again as a whole.
            self._held.extend(held)
            return []

        return hold

    def flush(self) -> None:
        # More requests may come meanwhile.
        held = self._held[:]
        try:
            with self._transaction() as connection:
                for batch in held:
                    self._insert(connection, batch)
        except BaseException:
            # The failed transaction has not stored the numbers that it gave.
            self._file_numbers.clear()
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
LIMIT {_ROWS_A_PAGE}
"""
        file, start, end = offset_range
        while start < end:
            stored, found, last = ReadBack(), 0, start
            with self._transaction() as connection:
                values = {"writer": self._writer_id, "log": file.log, "generation": file.generation}
                cursor = connection.execute(query, {**values, "start": start, "end": end})
                while rows := cursor.fetchmany(_ROWS_A_READ):
                    _add(stored, rows, file)
                    found, last = found + len(rows), rows[-1][0]
            yield from stored.in_order()
            start = last + 1 if found == _ROWS_A_PAGE else end

    def reads_all_requests(self) -> bool:
        return True

    def remove_requests(self, log: str, files: Collection[FileId]) -> None:
        query = "SELECT id FROM sources WHERE writer = ? AND log = ?"
        with self._transaction() as connection:
            numbers = [number for (number,) in connection.execute(query, (self._writer_id, log))]
        for number in numbers:
            self._remove_requests(number << OFFSET_BITS, (number + 1) << OFFSET_BITS)
        statement = "DELETE FROM daily WHERE writer = ? AND substr(row, instr(row, ' status=')) = ?"
        nothing = encode_daily(DailyAggregate(NO_COUNTS, NO_COUNTS)).removeprefix("0")
        with self._transaction() as connection:
            connection.execute(statement, (self._writer_id, nothing))

    def _remove_requests(self, first: int, end: int) -> None:
        """Remove the requests with keys from `first` until before `end`, a transaction at a time."""
        query = "SELECT id FROM requests WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?"
        while first < end:
            with self._transaction() as connection:
                found = connection.execute(query, (first, end, _ROWS_A_REMOVAL)).fetchone()
                until = found[0] if found is not None else end
                connection.execute("DELETE FROM requests WHERE id >= ? AND id < ?", (first, until))
                connection.execute(
                    "DELETE FROM zones WHERE id >= ? AND id < ?", (first >> ZONE_BITS, until >> ZONE_BITS)
                )
                first = until

    async def requests(
        self, customer: str, start: int, end: int, outcome: Outcome, limit: int, part: str = ""
    ) -> list[LoggedRequest]:
        of_path = " AND instr(request_path, :part) > 0" if part else ""
        # NOT INDEXED, or SQLite would read all requests first, for an index of its own on their customers.
        query = f"""
SELECT requests.id, requests.time, customer_id, request_path, status_code, duration, method, bytes, millisecond
FROM zones
JOIN requests NOT INDEXED ON requests.id >= zones.id << {ZONE_BITS} AND requests.id < (zones.id + 1) << {ZONE_BITS}
WHERE newest >= :start AND oldest < :end
AND requests.time >= :start AND requests.time < :end AND customer_id = :customer{OUTCOMES[outcome]}{of_path}
ORDER BY requests.time DESC, millisecond DESC, requests.id & {(1 << OFFSET_BITS) - 1} DESC LIMIT :limit
"""
        values = {"customer": customer, "start": start, "end": end, "limit": limit, "part": part}
        return await self._ask(
            lambda connection: readable(connection.execute(query, values), _logged), self._search_threads
        )

    def _insert(self, connection: sqlite3.Connection, batch: StoredRequests) -> None:
        first_ids = [self._file_number(connection, file) << OFFSET_BITS for file in batch.files]
        ids = np.array(first_ids, np.int64)[batch.of_file] + batch.requests.offsets
        columns = _columns(batch.requests, ids)
        connection.executemany(
            f"INSERT OR REPLACE INTO requests ({', '.join(columns)}) VALUES ({marks(columns)})",
            zip(*columns.values(), strict=True),
        )
        connection.executemany(
            "INSERT INTO zones VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET oldest = min(oldest, excluded.oldest), newest = max(newest, excluded.newest)",
            _zones(batch.requests, ids),
        )

    def _file_number(self, connection: sqlite3.Connection, file: FileId) -> int:
        """The number of a file. A new file gets one."""
        key = file.log, file.generation
        if key not in self._file_numbers:
            values = (self._writer_id, *key)
            connection.execute("INSERT OR IGNORE INTO sources (writer, log, generation) VALUES (?, ?, ?)", values)
            query = "SELECT id FROM sources WHERE writer = ? AND log = ? AND generation = ?"
            (self._file_numbers[key],) = connection.execute(query, values).fetchone()
        return self._file_numbers[key]


def _add(stored: ReadBack, rows: list[StoredRow], file: FileId) -> None:
    """Add rows. Raises DamagedRow. There may be millions, so their columns are looked at as a whole."""
    columns = zip(*rows, strict=True)
    with suppress(ValueError, ArithmeticError):
        if all(types.issuperset(map(type, column)) for column, types in zip(columns, _TYPES, strict=True)):
            stored.add(rows)
            return
    name = f"of a request of {file.log} {file.generation}"
    for row in rows:
        _sound(row, f"{name} at offset {row[0]}")
    raise damaged_row(name, str(rows))


def _sound(row: StoredRow, name: str) -> StoredRow:
    """The row. Raises DamagedRow where it cannot be one that was stored."""
    status, duration = row[4:6]
    if (
        not all(type(value) in types for value, types in zip(row, _TYPES, strict=True))
        or not 0 <= status <= _MOST_STATUS
        or not (duration is None or 0 <= duration <= _MOST_SECONDS)
    ):
        raise damaged_row(name, str(row))
    return row


def _logged(row: tuple[Any, ...]) -> LoggedRequest:
    """A request of its row. Raises DamagedRow."""
    name = f"of the request {row[0]}"
    _, second, _, path, status, duration, method, size = _sound(row[:-1], name)
    millisecond = row[-1]
    if not (millisecond is None or (type(millisecond) is int and 0 <= millisecond < 1_000)):
        raise damaged_row(name, str(row))
    return LoggedRequest(second, millisecond, path[:MOST_OF_PATH], status, duration, method, size)


def _with_texts_once(requests: Requests) -> Requests:
    """The requests with each repeated text once in memory."""
    return replace(
        requests, path_texts=list(map(intern, requests.path_texts)), durations=list(map(intern, requests.durations))
    )


def _columns(requests: Requests, ids: Integers) -> dict[str, Iterable[int | float | str | None]]:
    """Name -> values of the columns of the table `requests`, without columns in which no request has a value."""
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
    """(zone, earliest, latest Unix time in s) of each zone of these requests. The keys are ascending in runs."""
    if not requests:
        return []
    zones = ids >> ZONE_BITS
    starts = np.flatnonzero(np.diff(zones, prepend=-1))
    oldest, newest = np.minimum.reduceat(requests.seconds, starts), np.maximum.reduceat(requests.seconds, starts)
    return list(zip(zones[starts].tolist(), oldest.tolist(), newest.tolist(), strict=True))
