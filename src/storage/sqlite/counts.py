"""Daily aggregates and roll-ups: a writer's own, and those of all writers together."""

import sqlite3
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import groupby
from operator import itemgetter

from rollups.counts import DailyAggregate, DailyKey, RollupKey, RollupKind, RollupRow, RollupSegmentKey
from storage.counts import daily_row, rollup_row, sums_by_day
from storage.sqlite.connection import SqliteConnection, marks
from storage.sqlite.schema import ALL_CUSTOMERS

# Names of customers that one query reads: each row takes more memory than its name.
_NAMES_A_QUERY = 10_000
# Bound of the customers that one query reads, in characters of their rows, and what each counts beside them: to decode
# a short row takes as long as to read these characters.
_CHARACTERS_A_PART = 1 << 20
_CHARACTERS_A_CUSTOMER = 400


class SqliteCounts(SqliteConnection):
    def read_daily(self, keys: Collection[DailyKey]) -> dict[DailyKey, DailyAggregate]:
        query = "SELECT row FROM daily WHERE customer = ? AND day = ? AND writer = ?"
        found = {}
        with self._transaction() as connection:
            for key in keys:
                row = connection.execute(query, (key.customer or ALL_CUSTOMERS, key.day, self._writer_id)).fetchone()
                if row is not None:
                    found[key] = daily_row(row[0], *key)
        return found

    def read_days(self, customers: Collection[str]) -> dict[str, dict[int, DailyAggregate]]:
        query = f"SELECT customer, day, row FROM daily WHERE customer IN ({marks(customers)}) AND writer = ?"
        found: dict[str, list[tuple[int, str]]] = {}
        with self._transaction() as connection:
            for customer, day, row in connection.execute(query, (*customers, self._writer_id)):
                found.setdefault(customer, []).append((day, row))
        return {customer: sums_by_day(customer, rows) for customer, rows in found.items()}

    def read_customers(self) -> Iterator[Sequence[tuple[str, int]]]:
        query = "SELECT customer, min(day) FROM daily WHERE customer > ? AND writer = ?"
        query += f" GROUP BY customer ORDER BY customer LIMIT {_NAMES_A_QUERY}"
        after = ALL_CUSTOMERS
        while True:
            with self._transaction() as connection:
                found = connection.execute(query, (after, self._writer_id)).fetchall()
            if not found:
                return
            yield found
            after = found[-1][0]

    def count_new_customers(self, day: int) -> int:
        query = (
            "SELECT count(*) FROM daily AS of_day WHERE day = ? AND writer = ? AND customer > '' AND NOT EXISTS"
            " (SELECT 1 FROM daily WHERE customer = of_day.customer AND writer = of_day.writer AND day < of_day.day)"
        )
        with self._transaction() as connection:
            (count,) = connection.execute(query, (day, self._writer_id)).fetchone()
        return int(count)

    def read_rollups(self, keys: Collection[RollupKey]) -> dict[RollupKey, RollupRow]:
        query = 'SELECT segment, row FROM rollups WHERE "group" = ? AND day = ? AND kind = ? AND writer = ?'
        query += " ORDER BY segment DESC LIMIT 1"
        found = {}
        with self._transaction() as connection:
            for key in keys:
                row = connection.execute(query, (*key, self._writer_id)).fetchone()
                if row is not None:
                    segment, text = row
                    found[key] = rollup_row(text, *key, segment)
        return found

    def counted_days(self) -> list[int]:
        query = "SELECT day FROM daily WHERE customer = ? AND writer = ? ORDER BY day"
        with self._transaction() as connection:
            return [day for (day,) in connection.execute(query, (ALL_CUSTOMERS, self._writer_id))]

    def read_day(self, day: int) -> tuple[dict[DailyKey, DailyAggregate], dict[RollupSegmentKey, RollupRow]]:
        daily: dict[DailyKey, DailyAggregate] = {}
        rollups: dict[RollupSegmentKey, RollupRow] = {}
        of_day = "WHERE day = ? AND writer = ?"
        with self._transaction() as connection:
            for customer, row in connection.execute(
                f"SELECT customer, row FROM daily {of_day}", (day, self._writer_id)
            ):
                key = DailyKey(customer or None, day)
                daily[key] = daily_row(row, *key)
            for group, kind, segment, row in connection.execute(
                f'SELECT "group", kind, segment, row FROM rollups {of_day}', (day, self._writer_id)
            ):
                of_segment = RollupSegmentKey(group, day, kind, segment)
                rollups[of_segment] = rollup_row(row, *of_segment)
        return daily, rollups

    async def daily_of_customer(self, customer: str | None, first: int, last: int) -> dict[int, DailyAggregate]:
        query = "SELECT day, row FROM daily WHERE customer = ? AND day BETWEEN ? AND ?"
        return sums_by_day(customer, await self._rows(query, customer or ALL_CUSTOMERS, first, last))

    async def rollups(
        self, group: int, kinds: Collection[RollupKind], first: int, last: int
    ) -> dict[int, list[RollupRow]]:
        query = f'SELECT day, kind, segment, row FROM rollups WHERE "group" = ? AND kind IN ({marks(kinds)})'
        found: dict[int, list[RollupRow]] = {}
        for day, kind, segment, row in await self._rows(
            f"{query} AND day BETWEEN ? AND ? ORDER BY day, segment", group, *kinds, first, last
        ):
            found.setdefault(day, []).append(rollup_row(row, group, day, kind, segment))
        return found

    async def rollups_of_groups(self, groups: Sequence[int], kind: RollupKind, day: int) -> list[RollupRow]:
        query = f'SELECT "group", segment, row FROM rollups WHERE "group" IN ({marks(groups)}) AND kind = ? AND day = ?'
        return [
            rollup_row(row, group, day, kind, segment)
            for group, segment, row in await self._rows(query, *groups, kind, day)
        ]

    async def knows(self, customer: str) -> bool:
        return bool(await self._rows("SELECT 1 FROM daily WHERE customer = ? LIMIT 1", customer))

    async def customer_names(self) -> list[str]:
        query = f"SELECT DISTINCT customer FROM daily WHERE customer > ? ORDER BY customer LIMIT {_NAMES_A_QUERY}"
        names = [ALL_CUSTOMERS]
        while rows := await self._rows(query, names[-1]):
            names += [name for (name,) in rows]
        return names[1:]

    async def daily_of_customers(
        self, customers: Sequence[str], first: int, last: int
    ) -> dict[str, dict[int, DailyAggregate]]:
        query = f"SELECT customer, day, row FROM daily WHERE customer IN ({marks(customers)}) AND day BETWEEN ? AND ?"
        rows = await self._rows(f"{query} ORDER BY customer", *customers, first, last)
        return dict(_by_customer(rows))

    async def daily_of_all_customers(
        self, first: int, last: int
    ) -> AsyncIterator[dict[str, dict[int, DailyAggregate]]]:
        query = "SELECT customer, day, row FROM daily WHERE customer > ? AND day BETWEEN ? AND ? ORDER BY customer"
        found: dict[str, dict[int, DailyAggregate]] = {ALL_CUSTOMERS: {}}
        while found := await self._ask(partial(_some, query, (next(reversed(found)), first, last))):
            yield found


def _some(
    query: str, values: Sequence[str | int], connection: sqlite3.Connection
) -> dict[str, dict[int, DailyAggregate]]:
    """The first customers that a query finds, in its order."""
    found: dict[str, dict[int, DailyAggregate]] = {}
    size = 0
    with closing(connection.execute(query, values)) as rows:
        for customer, days in _by_customer(rows):
            found[customer] = days
            size += sum(len(row.latencies) for row in days.values()) + _CHARACTERS_A_CUSTOMER
            if size > _CHARACTERS_A_PART:
                break
    return found


def _by_customer(rows: Iterable[tuple[str, int, str]]) -> Iterator[tuple[str, dict[int, DailyAggregate]]]:
    """`rows`: customer, day and text, in the order of customers."""
    for customer, of_customer in groupby(rows, key=itemgetter(0)):
        yield customer, sums_by_day(customer, ((day, row) for _, day, row in of_customer))
