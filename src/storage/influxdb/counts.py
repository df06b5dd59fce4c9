"""Daily aggregates and roll-ups: a writer's own, and those of all writers together."""

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence

from rollups.counts import DailyAggregate, DailyKey, RollupKey, RollupKind, RollupRow, RollupSegmentKey
from storage.counts import daily_row, rollup_row, sums_by_day
from storage.influxdb.client import Row, latest
from storage.influxdb.connection import IN_RANGE, time_range
from storage.influxdb.line_protocol import AFTER_ALL_LINES, DAY, tag
from storage.influxdb.rows import InfluxRows

# Keys that one question names.
_KEYS_A_QUESTION = 200
# Days since 1970-01-01: the last one that a request can have.
_LAST_DAY = AFTER_ALL_LINES // DAY - 1
# To name one customer in a question takes as long as to read the rows of this many customers.
_CUSTOMERS_A_NAME = 3
# The question for the rows of all customers in a range of days.
_ALL = f'SELECT "name", row FROM daily WHERE {IN_RANGE}'
_BY_CUSTOMER = "GROUP BY customer, writer"
# Conditions that divide all customers, by the first digit of their hashes: InfluxDB takes 4 KB of memory for each
# customer of a question.
_PARTS_OF_ALL = [f"customer =~ /^{digit}/" for digit in "0123456789abcdef"]


class InfluxCounts(InfluxRows):
    _customers = sys.maxsize
    """The number of customers, or a number below it, as far as is known."""

    def read_daily(self, keys: Collection[DailyKey]) -> dict[DailyKey, DailyAggregate]:
        places = self._places()
        found: dict[DailyKey, DailyAggregate] = {}
        for day in {key.day for key in keys if key.customer is None}:
            query = f"SELECT row FROM daily_all WHERE writer = $writer AND {IN_RANGE}"
            for row in self._ask(query, **time_range(day, day)):
                key = DailyKey(None, day)
                found[key] = daily_row(self._read_to_replace(places.place(key), row), *key)
        tags = {places.customer_tag(key.customer): key.customer for key in keys if key.customer is not None}
        of_customers = [(places.customer_tag(key.customer), key.day) for key in keys if key.customer is not None]
        for day, row in self._rows_of_days("daily", "customer", of_customers):
            key = DailyKey(tags[row["customer"]], day)
            found[key] = daily_row(self._read_to_replace(places.place(key), row), *key)
        return found

    def read_days(self, customers: Collection[str]) -> dict[str, dict[int, DailyAggregate]]:
        tags = {self._places().customer_tag(customer): customer for customer in customers}
        found: dict[str, list[Row]] = {}
        for part in _parts(list(tags)):
            query, parameters = _rows_of("daily", "customer", part, 0, _LAST_DAY, " AND writer = $writer")
            for row in self._ask(query, **parameters):
                found.setdefault(tags[row["customer"]], []).append(row)
        return {customer: _by_day(customer, rows) for customer, rows in found.items()}

    def read_customers(self) -> Iterator[Sequence[tuple[str, int]]]:
        for part in _PARTS_OF_ALL:
            query = f'SELECT first("name") FROM daily WHERE writer = $writer AND {part} GROUP BY customer'
            for rows in self._client.ask_in_parts(self._counts, query, {"writer": tag(self._writer)}):
                yield [(row["first"], row["time"] // DAY) for row in rows]

    def count_new_customers(self, day: int) -> int:
        count = 0
        for part in _PARTS_OF_ALL:
            if of_day := self._customers_in(part, day, day):
                count += len(of_day - self._customers_before(part, of_day, day))
        return count

    def _customers_before(self, part: str, customers: Collection[str], day: int) -> set[str]:
        """The hashes of those of these customers that have a row of an earlier day, and perhaps of others of the
        part."""
        most = len(customers) * _CUSTOMERS_A_NAME
        found = self._customers_in(part, 0, day - 1, f"SLIMIT {most + 1}")
        if len(found) > most:
            found.clear()
            for some in _parts(list(customers)):
                found |= self._customers_in(_any_of([f"customer = '{one}'" for one in some]), 0, day - 1)
        return found

    def _customers_in(self, condition: str, first: int, last: int, limit: str = "") -> set[str]:
        """The hashes of customers that have a row in a range of days."""
        query = f"SELECT count(row) FROM daily WHERE writer = $writer AND {IN_RANGE} AND {condition} GROUP BY customer"
        return {row["customer"] for row in self._ask(f"{query} {limit}", **time_range(first, last))}

    def read_rollups(self, keys: Collection[RollupKey]) -> dict[RollupKey, RollupRow]:
        places = self._places()
        found: dict[RollupKey, RollupRow] = {}
        for day, row in self._rows_of_days("rollups", "customers", {(str(key.group), key.day): None for key in keys}):
            key = RollupKey(int(row["customers"]), day, row["kind"])
            segment = int(row["segment"])
            if key in keys and (key not in found or segment >= found[key].segment):
                place = places.place(RollupSegmentKey(*key, segment))
                found[key] = rollup_row(self._read_to_replace(place, row), *key, segment)
        return found

    def counted_days(self) -> list[int]:
        rows = self._ask(f"SELECT row FROM daily_all WHERE writer = $writer AND time < {AFTER_ALL_LINES}")
        return sorted({row["time"] // DAY for row in rows})

    def read_day(self, day: int) -> tuple[dict[DailyKey, DailyAggregate], dict[RollupSegmentKey, RollupRow]]:
        condition = f"WHERE writer = $writer AND {IN_RANGE}"
        times = time_range(day, day)
        daily: dict[DailyKey, DailyAggregate] = {}
        rollups: dict[RollupSegmentKey, RollupRow] = {}
        rows = self._ask(f'SELECT "name", row FROM daily {condition} GROUP BY customer', **times)
        for row in latest(rows, lambda row: row["name"]).values():
            daily[DailyKey(row["name"], day)] = daily_row(row["row"], row["name"], day)
        for row in self._ask(f"SELECT row FROM daily_all {condition}", **times):
            daily[DailyKey(None, day)] = daily_row(row["row"], None, day)
        for row in self._ask(f"SELECT row FROM rollups {condition} GROUP BY customers, kind, segment", **times):
            key = RollupSegmentKey(int(row["customers"]), day, row["kind"], int(row["segment"]))
            rollups[key] = rollup_row(row["row"], *key)
        return daily, rollups

    def _rows_of_days(self, measurement: str, by: str, keys: Iterable[tuple[str, int]]) -> Iterator[tuple[int, Row]]:
        """The points of these values of the tag `by` and days, each with its day. Those of a series are in the order
        of time: that with the highest fencing token is the last."""
        by_day: dict[int, dict[str, None]] = {}
        for value, day in keys:
            by_day.setdefault(day, {})[value] = None
        for day, of_day in by_day.items():
            for part in _parts(list(of_day)):
                query, parameters = _rows_of(measurement, by, part, day, day, " AND writer = $writer")
                yield from ((day, row) for row in self._ask(query, **parameters))

    async def daily_of_customer(self, customer: str | None, first: int, last: int) -> dict[int, DailyAggregate]:
        if customer is None:
            rows = await self._ask_async(
                f"SELECT row FROM daily_all WHERE {IN_RANGE} GROUP BY writer", **time_range(first, last)
            )
        else:
            query = f"SELECT row FROM daily WHERE customer = $customer AND {IN_RANGE} GROUP BY writer"
            rows = await self._ask_async(query, **time_range(first, last), customer=await self._customer_tag(customer))
        return _by_day(customer, rows)

    async def rollups(
        self, group: int, kinds: Collection[RollupKind], first: int, last: int
    ) -> dict[int, list[RollupRow]]:
        named = {f"kind{place}": kind for place, kind in enumerate(kinds)}
        query = f"SELECT row FROM rollups WHERE customers = $customers AND {_one_of('kind', named)} AND {IN_RANGE}"
        parameters = {**time_range(first, last), "customers": str(group), **named}
        rows = await self._ask_async(f"{query} GROUP BY kind, segment, writer", **parameters)
        segments = latest(rows, lambda row: (row["time"] // DAY, row["kind"], row["segment"], row["writer"]))
        found: dict[int, list[RollupRow]] = {}
        for (day, *_), row in segments.items():
            found.setdefault(day, []).append(rollup_row(row["row"], group, day, row["kind"], int(row["segment"])))
        return found

    async def rollups_of_groups(self, groups: Sequence[int], kind: RollupKind, day: int) -> list[RollupRow]:
        named = {f"c{place}": str(group) for place, group in enumerate(groups)}
        query = f"SELECT row FROM rollups WHERE {_one_of('customers', named)} AND kind = $kind AND {IN_RANGE}"
        rows = await self._ask_async(
            f"{query} GROUP BY customers, segment, writer", **time_range(day, day), **named, kind=kind
        )
        segments = latest(rows, lambda row: (row["customers"], row["segment"], row["writer"]))
        return [rollup_row(row["row"], group, day, kind, int(segment)) for (group, segment, _), row in segments.items()]

    async def knows(self, customer: str) -> bool:
        query = "SELECT row FROM daily WHERE customer = $customer LIMIT 1"
        return bool(await self._ask_async(query, customer=await self._customer_tag(customer)))

    async def customer_names(self) -> list[str]:
        names: list[str] = []
        for part in _PARTS_OF_ALL:
            query = f'SELECT last("name") FROM daily WHERE {part} GROUP BY customer'
            async for rows in self._client.ask_in_parts_async(self._counts, query, {}):
                names += [row["last"] for row in rows]
        return names

    async def daily_of_customers(
        self, customers: Sequence[str], first: int, last: int
    ) -> dict[str, dict[int, DailyAggregate]]:
        most = len(customers) * _CUSTOMERS_A_NAME
        if self._customers <= most:
            # Thousands may have come since.
            rows = await self._ask_async(f"{_ALL} {_BY_CUSTOMER} SLIMIT {most + 1}", **time_range(first, last))
            series = {(row["customer"], row["writer"]) for row in rows}
            if len(series) <= most:
                wanted = frozenset(customers)
                return _by_customer(row for row in rows if row["name"] in wanted)
            self._customers = most + 1
        tags = {await self._customer_tag(customer): customer for customer in customers}
        query, parameters = _rows_of("daily", "customer", tags, first, last)
        found: dict[str, list[Row]] = {}
        for row in await self._ask_async(query, **parameters):
            found.setdefault(tags[row["customer"]], []).append(row)
        return {customer: _by_day(customer, rows) for customer, rows in found.items()}

    async def daily_of_all_customers(
        self, first: int, last: int
    ) -> AsyncIterator[dict[str, dict[int, DailyAggregate]]]:
        customers = 0
        for part in _PARTS_OF_ALL:
            query = f"{_ALL} AND {part} {_BY_CUSTOMER}"
            held: list[Row] = []
            async for some in self._client.ask_in_parts_async(self._counts, query, time_range(first, last)):
                rows = held + some
                # The next part may have the rows of its other writers.
                last_customer = rows[-1]["customer"]
                held = [row for row in rows if row["customer"] == last_customer]
                found = await asyncio.to_thread(_by_customer, rows[: len(rows) - len(held)])
                customers += len(found)
                yield found
            customers += bool(held)
            yield _by_customer(held)
        self._customers = customers


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """The values, as many at once as a question names."""
    for first in range(0, len(values), _KEYS_A_QUESTION):
        yield values[first : first + _KEYS_A_QUESTION]


def _by_customer(rows: Iterable[Row]) -> dict[str, dict[int, DailyAggregate]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        # Of a point that is being written, a question may find one field alone.
        if row["name"] is not None and row["row"] is not None:
            found.setdefault(row["name"], []).append(row)
    return {customer: _by_day(customer, of_customer) for customer, of_customer in found.items()}


def _by_day(customer: str | None, rows: Iterable[Row]) -> dict[int, DailyAggregate]:
    of_writers = latest(rows, lambda row: (row["time"] // DAY, row["writer"]))
    return sums_by_day(customer, ((day, row["row"]) for (day, _), row in of_writers.items()))


def _rows_of(
    measurement: str, by: str, values: Iterable[str], first: int, last: int, more: str = ""
) -> tuple[str, dict[str, int | str]]:
    """A question and its parameters: for the rows in a range of days whose tag `by` has one of these values. `more`: a
    further condition."""
    named = {f"c{place}": value for place, value in enumerate(values)}
    query = f"SELECT row FROM {measurement} WHERE {_one_of(by, named)} AND {IN_RANGE}{more} GROUP BY *"
    return query, {**time_range(first, last), **named}


def _one_of(name: str, named: Collection[str]) -> str:
    """The condition that a tag has one of the values of these parameters."""
    return _any_of([f"{name} = ${parameter}" for parameter in named])


def _any_of(conditions: Sequence[str]) -> str:
    """The disjunction of these conditions, as a balanced tree: for a chain InfluxDB takes quadratic time."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return f"({_any_of(conditions[:half])} OR {_any_of(conditions[half:])})"
