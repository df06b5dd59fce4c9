"""The InfluxDB backend: requests in one bucket, rows and leases in another one beside it.

Rows at lower slots are removed little by little. Rows at a slot without a claim were written after the store was
emptied, or put back to an older state, under a running processor: the next start removes them.
"""

import secrets
import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from itertools import groupby
from typing import Any
from urllib.parse import unquote

import numpy as np

from request_log.requests import Integers, Requests
from rollups.counts import NO_COUNTS, DailyAggregate, DailyKey, Kind, RollupKey, RollupRow, RollupSegmentKey
from rollups.groups import ALL_CUSTOMERS
from rollups.rows import added_up, decode_daily, decode_rollup
from storage import schema_4
from storage.contract import LATEST_INTENTS, MAIN, Storage
from storage.errors import StorageRefused
from storage.influxdb import migration
from storage.influxdb.client import BadRequest, Client, Row
from storage.influxdb.lease import Lease
from storage.influxdb.line_protocol import (
    AFTER_ALL_LINES,
    CELL_BYTES,
    DAY,
    NANOSECONDS,
    cell_of,
    request_lines,
    shard,
    string_field,
    tag,
)
from storage.influxdb.places import MEASUREMENTS, Place, Places, predicate, row_line
from storage.keys import FileKey, IntentKey, Key, LogKey, ObservedKey, RolledUpKey, Rows, StateName
from storage.ledger import StoredIntent, WriterState, decode_intent
from storage.logs import FileRow, LedgerRow, decode_file, decode_log
from storage.observed import ObservedEnd, decode_observed_end
from storage.read_back import ReadBack, StoredRow
from storage.requests import OUTCOMES, FileId, LoggedRequest, OffsetRange, Outcome, StoredRequests

SCHEMA = 7
"""Changes with what is stored, see docs/storage-format.md: a store of another schema is refused."""
COUNTS = "_counts"
"""Ends the name of the bucket of rows, which is that of the requests else."""
_SECRET_BYTES = 16
_LINES_A_WRITE = 2_500
_REMOVALS_AT_ONCE = 10
_KEYS_A_QUESTION = 200
_INTENTS_KEPT = 1_000
# How often old intents are removed, in commits: a delete costs as much as several commits.
_INTENTS_A_REMOVAL = 500
# To name a customer in a question takes as long as to read the rows of so many.
_ROWS_A_NAME = 3
_IN_RANGE = "time >= $start AND time < $end"
# Without the time InfluxDB looks into the files of all days.
_AFTER = f"time >= {AFTER_ALL_LINES}"
# The intent is of all logs, and may be long.
_STATES = f"SELECT row FROM state WHERE {_AFTER} AND state != 'rollups_intent' GROUP BY state, writer"


class InfluxStorage(Storage):
    """A connection as one writer, or as a reader, of a bucket and the one beside it.

    `url` is the server's, `token` reads the buckets and, for a writer, writes them; an answer may take `timeout` s.
    """

    # One request in flight leaves a third of the server's speed unused, two leave a twentieth.
    SENDERS = 3
    LINES_HELD = BYTES_HELD = sys.maxsize

    def __init__(self, url: str, org: str, bucket: str, token: str, timeout: float = 10.0, writer: str = MAIN) -> None:
        self._bucket = bucket
        self._counts = f"{bucket}{COUNTS}"
        self._writer = writer
        self._client = Client(url, org, token, timeout)
        self._lease = Lease(self._client, self._counts, writer)
        self._known_places: Places | None = None
        self._outdated: set[Place] = set()
        """Places of rows that were read at another slot than the one at which they will be written."""
        self._written: set[Place] = set()
        """Places after all lines that were written since the lease was taken."""
        self._removable: list[tuple[Place, int]] = []
        self._intents: deque[int] = deque()
        """The times of the intents that are stored (Unix, ns)."""
        self._last_intent = -1
        self._customers = sys.maxsize
        """How many there are, as far as is known: on all days, or on those that were asked for last."""
        self._senders = ThreadPoolExecutor(self.SENDERS, thread_name_prefix="rows")

    def set_up(self, oldest_day: int = 0) -> None:
        """Write down the schema, and the key of the hash that customers are found by; a store of the schema before is
        brought up, but for days before `oldest_day` (since 1970-01-01): InfluxDB takes nothing that has expired.

        The buckets are made by `python -m storage setup`, with a token that the services do not have."""
        is_of_before = migration.has_rows(self._client, self._bucket)
        if not self._client.ask(self._counts, _STORE, {}):
            secret = string_field(secrets.token_hex(_SECRET_BYTES))
            schema = schema_4.VERSION if is_of_before else SCHEMA
            self._write_store(f"schema={schema}i,secret={secret}")
        (row,) = self._client.ask(self._counts, _STORE, {})
        if row["schema"] == schema_4.VERSION:
            places = Places(MAIN, bytes.fromhex(row["secret"]))
            migration.copy_rows(self._client, self._bucket, self._counts, places, oldest_day)
            self._write_store(f"schema={SCHEMA}i")
        # With another schema it ends here.
        self._places()
        if is_of_before:
            migration.remove_rows(self._client, self._bucket)

    def _write_store(self, fields: str) -> None:
        self._client.write(self._counts, f"store {fields} {AFTER_ALL_LINES}".encode())

    # The lease

    def acquire(self) -> int:
        self._places()
        self._lease.wait()
        self._remove_unclaimed_rows()
        return self._lease.begin()

    def check_lease(self) -> None:
        self._lease.check()

    def close(self) -> None:
        try:
            self._lease.release()
        finally:
            self._senders.shutdown()
            self._client.close()

    # Requests

    def prepare(self, parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        writer_tag = "" if self._writer == MAIN else f",writer={tag(self._writer)}"
        lines: list[bytes] = []
        places: list[Integers] = []
        before = 0
        for part in parts:
            if part.requests:
                of_part, order = request_lines(part, writer_tag)
                lines.append(of_part)
                places.append(before + order)
                before += len(order)
        return partial(self._store, b"\n".join(lines), places)

    def _store(self, lines: bytes, places: Sequence[Integers]) -> list[int]:
        try:
            self._client.write(self._bucket, lines)
        except BadRequest:
            # Nothing of it was stored: a line is bad, or the whole is too large.
            refused = self._store_parts(lines.split(b"\n"), 0)
            return [int(place) for place in np.concatenate(places)[refused]]
        return []

    def _store_parts(self, lines: list[bytes], place: int) -> list[int]:
        """Store lines by halves, down to those that are refused by themselves: their places, the first is `place`."""
        if len(lines) == 1:
            return [place]
        refused = []
        half = len(lines) // 2
        for start, part in ((place, lines[:half]), (place + half, lines[half:])):
            try:
                self._client.write(self._bucket, b"\n".join(part))
            except BadRequest:
                refused += self._store_parts(part, start)
        return refused

    def flush(self) -> None:
        """None are held."""

    def read_requests(self, ranges: Sequence[OffsetRange], oldest: int, newest: int) -> Iterator[Requests]:
        for _, of_lane in groupby(sorted(ranges, key=_place), key=lambda offset_range: offset_range.file.lane):
            # One question for all of them: each goes through all requests of the lane in this time.
            yield from self._read_lane(list(of_lane), oldest, newest)

    def _read_lane(self, ranges: Sequence[OffsetRange], oldest: int, newest: int) -> Iterator[Requests]:
        """The requests of ranges of one lane, which are in its order."""
        query = 'SELECT part, customer_id, request_path, status_code, "duration", method, bytes FROM api_requests'
        query += f" WHERE lane = $lane AND writer = $writer AND {_IN_RANGE}"
        parameters = {
            "lane": str(ranges[0].file.lane),
            "writer": "" if self._writer == MAIN else tag(self._writer),
            "start": oldest * NANOSECONDS,
            "end": (newest + 1) * NANOSECONDS,
        }
        # The line that begins at the end is no longer of a offset_range, and in its cell no line before it begins.
        cells = [
            range((file.base + start) // CELL_BYTES, (file.base + end) // CELL_BYTES) for file, start, end in ranges
        ]
        starts = [of_range.start for of_range in cells]
        stored = [ReadBack() for _ in ranges]
        for rows in self._client.ask_in_parts(self._bucket, query, parameters):
            found: list[list[StoredRow]] = [[] for _ in ranges]
            for row in rows:
                cell = cell_of(row["time"], row["part"], starts[0])
                place = bisect_right(starts, cell) - 1
                if cell in cells[place]:
                    found[place].append(
                        (
                            cell * CELL_BYTES + CELL_BYTES - 1 - ranges[place].file.base,
                            row["time"] // NANOSECONDS,
                            row["customer_id"],
                            row["request_path"],
                            row["status_code"],
                            row["duration"],
                            row["method"],
                            row["bytes"],
                        )
                    )
            for of_range, some in zip(stored, found, strict=True):
                of_range.add(some)
        for of_range in stored:
            yield from of_range.in_order()

    # Rows

    def read_daily(self, keys: Collection[DailyKey]) -> dict[DailyKey, DailyAggregate]:
        places = self._places()
        found: dict[DailyKey, DailyAggregate] = {}
        for day in {key.day for key in keys if key.customer is None}:
            query = f"SELECT row FROM daily_all WHERE writer = $writer AND {_IN_RANGE}"
            for row in self._ask(query, **_range(day, day)):
                key = DailyKey(None, day)
                found[key] = decode_daily(self._to_replace(places.place(key), row))
        tags = {places.customer_tag(key.customer): key.customer for key in keys if key.customer is not None}
        of_customers = [(places.customer_tag(key.customer), key.day) for key in keys if key.customer is not None]
        for day, row in self._rows_of_days("daily", "customer", of_customers):
            key = DailyKey(tags[row["customer"]], day)
            found[key] = decode_daily(self._to_replace(places.place(key), row))
        return found

    def read_rollups(self, keys: Collection[RollupKey]) -> dict[RollupKey, RollupRow]:
        places = self._places()
        found: dict[RollupKey, RollupRow] = {}
        for day, row in self._rows_of_days("rollups", "customers", {(str(key.group), key.day): None for key in keys}):
            key = RollupKey(int(row["customers"]), day, row["kind"])
            segment = int(row["segment"])
            if key in keys and (key not in found or segment >= found[key].segment):
                place = places.place(RollupSegmentKey(*key, segment))
                found[key] = decode_rollup(key.kind, segment, self._to_replace(place, row))
        return found

    def _rows_of_days(self, measurement: str, by: str, keys: Iterable[tuple[str, int]]) -> Iterator[tuple[int, Row]]:
        """The rows of these values of the tag `by` and days, each with its day. Those of a series are in the order of
        time: the highest slot is the last."""
        by_day: dict[int, dict[str, None]] = {}
        for value, day in keys:
            by_day.setdefault(day, {})[value] = None
        for day, of_day in by_day.items():
            values = list(of_day)
            for first in range(0, len(values), _KEYS_A_QUESTION):
                part = values[first : first + _KEYS_A_QUESTION]
                query, parameters = _rows_of(measurement, by, part, day, day, " AND writer = $writer")
                yield from ((day, row) for row in self._ask(query, **parameters))

    def _to_replace(self, place: Place, row: Row) -> str:
        """What is in a row that is written again; at another slot, unless it is at this one already."""
        if row["time"] - place.time != self._lease.slot:
            self._outdated.add(place)
        return str(row["row"])

    def read_state(self, name: StateName) -> str:
        query = f"SELECT row FROM state WHERE {_AFTER} AND writer = $writer AND state = $name"
        # In the order of time: the highest slot is the last.
        rows = self._ask(query, name=name)
        return str(rows[-1]["row"]) if rows else ""

    def read_intent(self, number: int) -> str:
        rows = self._ask(f"SELECT row FROM intents WHERE {_AFTER} AND writer = $writer")
        texts = [row["row"] for row in rows if decode_intent(row["row"]).number == number]
        return str(texts[-1]) if texts else ""

    def read_logs(self) -> tuple[dict[str, str], dict[FileKey, str], dict[str, str]]:
        query = f"SELECT row FROM logs, files, rolled_up WHERE {_AFTER} AND writer = $writer GROUP BY log, generation"
        logs: dict[str, str] = {}
        files: dict[FileKey, str] = {}
        rolled_up: dict[str, str] = {}
        for row in self._ask(query):
            log = unquote(row["log"])
            if row["measurement"] == "files":
                files[FileKey(log, int(row["generation"]))] = row["row"]
            else:
                (logs if row["measurement"] == "logs" else rolled_up)[log] = row["row"]
        return logs, files, rolled_up

    def remove_files(self, keys: Collection[FileKey]) -> None:
        places = self._places()
        for place in map(places.place, keys):
            self._delete(place.series, place.time, place.time + DAY - 1)

    def remove_requests(self, log: str, files: Collection[FileId]) -> None:
        for lane in {file.lane for file in files if file.lane >= 0}:
            self._remove_lane(lane)
        self._remove_empty_days()

    def remove_log(self, log: str, files: Collection[FileId]) -> None:
        places = self._places()
        keys: list[Key] = [FileKey(log, file.generation) for file in files]
        for key in (*keys, RolledUpKey(log), ObservedKey(log), LogKey(log)):
            self._delete(places.place(key).series, AFTER_ALL_LINES, AFTER_ALL_LINES + DAY)

    def _remove_lane(self, lane: int) -> None:
        """Those of a lane. A delete cannot name what is without a tag, as the requests of the main writer are."""
        query = "SELECT status_code FROM api_requests WHERE lane = $lane AND writer != $writer LIMIT 1"
        own = "" if self._writer == MAIN else tag(self._writer)
        if self._writer == MAIN and self._client.ask(self._bucket, query, {"lane": str(lane), "writer": own}):
            raise StorageRefused(f"Requests of another writer lie in lane {lane}, and would be removed, too.")
        of_writer = f",writer={own}" if own else ""
        self._client.delete(self._bucket, predicate(f"api_requests,lane={lane}{of_writer}"), 0, AFTER_ALL_LINES)

    def _remove_empty_days(self) -> None:
        query = (
            f"SELECT row FROM daily, daily_all WHERE time < {AFTER_ALL_LINES} AND writer = $writer GROUP BY customer"
        )
        days: dict[tuple[str, str, int], str] = {}
        for row in self._ask(query):
            # In the order of time: the highest slot of a day is the last.
            days[row["measurement"], row["customer"], row["time"] // DAY] = row["row"]
        for (measurement, customer, day), text in days.items():
            if decode_daily(text).statuses == NO_COUNTS:
                of_customer = f",customer={customer}" if customer else ""
                series = f"{measurement}{of_customer},writer={tag(self._writer)}"
                self._delete(series, day * DAY, (day + 1) * DAY - 1)

    def write(self, *groups: Rows) -> None:
        places = self._places()
        for group in groups:
            if not group:
                continue
            of_keys = list(map(places.place, group))
            with self._lease.writing() as slot:
                self._write_at_once(
                    [
                        row_line(key, place, row, self._slot_of(key, slot))
                        for (key, row), place in zip(group.items(), of_keys, strict=True)
                    ]
                )
            self._replaced(of_keys, slot)

    def _slot_of(self, key: object, slot: int) -> int:
        """The slot at which a row is written. The intents of a slot follow it, one by one."""
        if isinstance(key, IntentKey):
            slot = self._last_intent + 1 if self._last_intent >= slot else slot
            self._last_intent = slot
            self._intents.append(AFTER_ALL_LINES + slot)
        return slot

    def _replaced(self, places: Iterable[Place], slot: int) -> None:
        """These rows were written at this slot: those at lower ones can go."""
        for place in places:
            if place.time < AFTER_ALL_LINES:
                if place not in self._outdated:
                    continue
                self._outdated.remove(place)
            elif place in self._written or place.series.startswith(MEASUREMENTS[IntentKey]):
                continue
            else:
                self._written.add(place)
            self._removable.append((place, slot))

    def _write_at_once(self, lines: Sequence[bytes]) -> None:
        """Write lines, in whatever order."""
        parts = [lines[first : first + _LINES_A_WRITE] for first in range(0, len(lines), _LINES_A_WRITE)]
        wait(writes := [self._senders.submit(self._client.write_in_halves, self._counts, part) for part in parts])
        for write in writes:
            write.result()

    def remove_expired(self, oldest_day: int) -> None:
        """InfluxDB does it by itself: the buckets' retention."""

    def compact(self) -> None:
        if len(self._intents) >= _INTENTS_KEPT + _INTENTS_A_REMOVAL:
            while len(self._intents) > _INTENTS_KEPT:
                self._intents.popleft()
            self._delete(self._place_of_intents(), AFTER_ALL_LINES, self._intents[0] - 1)
        for _ in range(min(_REMOVALS_AT_ONCE, len(self._removable))):
            place, slot = self._removable.pop()
            # If it fails, the rows stay, and are not asked for.
            self._delete(place.series, place.time, place.time + slot - 1)

    def _remove_unclaimed_rows(self) -> None:
        """Remove the rows at slots that the store has no claim of. Every day that has rows has some of all customers
        together, which are written first.

        Only of these slots, whatever comes after them: this process may be stopped meanwhile, and be succeeded.
        """
        query = "SELECT row FROM daily_all, state WHERE writer = $writer"
        times = [row["time"] for row in self._ask(query)]
        query = f"SELECT row FROM rollups WHERE writer = $writer AND customers = '{ALL_CUSTOMERS}'"
        times += [row["time"] for row in self._ask(query)]
        query = f"SELECT row FROM intents WHERE {_AFTER} AND writer = $writer"
        tokens = {row["time"]: decode_intent(row["row"]).token for row in self._ask(query)}
        claims = self._lease.claims()
        self._intents = deque(time for time, token in tokens.items() if token in claims)
        for time in tokens.keys() - set(self._intents):
            self._delete(self._place_of_intents(), time, time)
        for time in sorted({time for time in times if time % DAY not in claims}):
            for measurement in ("daily", "daily_all", "rollups", *MEASUREMENTS.values()):
                self._delete(f"{measurement},writer={tag(self._writer)}", time, time)

    def _place_of_intents(self) -> str:
        return self._places().place(IntentKey(0)).series

    def _delete(self, series: str, first: int, last: int) -> None:
        self._client.delete(self._counts, predicate(series), first, last)

    def _ask(self, query: str, **parameters: Any) -> list[Row]:
        """A question about this writer's rows."""
        return self._client.ask(self._counts, query, {"writer": tag(self._writer), **parameters})

    def _places(self) -> Places:
        if self._known_places is None:
            self._known_places = self._places_of(self._client.ask(self._counts, _STORE, {}))
        return self._known_places

    def _places_of(self, rows: Sequence[Row]) -> Places:
        schema = rows[0]["schema"] if rows else "none"
        if schema != SCHEMA:
            what_to_do = (
                "`python -m storage setup` brings it up to that."
                if schema in ("none", schema_4.VERSION)
                else "use the release that made it."
            )
            raise StorageRefused(
                f"The bucket {self._counts} has schema {schema}, and this program's is {SCHEMA}: {what_to_do}"
            )
        return Places(self._writer, bytes.fromhex(rows[0]["secret"]))

    # Asking

    async def ping(self) -> None:
        await self._ask_async("SELECT slot FROM tokens LIMIT 1")

    async def days(self, customer: str | None, first: int, last: int) -> dict[int, DailyAggregate]:
        if customer is None:
            rows = await self._ask_async(
                f"SELECT row FROM daily_all WHERE {_IN_RANGE} GROUP BY writer", **_range(first, last)
            )
        else:
            query = f"SELECT row FROM daily WHERE customer = $customer AND {_IN_RANGE} GROUP BY writer"
            rows = await self._ask_async(query, **_range(first, last), customer=await self._customer_tag(customer))
        return _by_day(rows)

    async def rollups(self, group: int, kinds: Collection[Kind], first: int, last: int) -> dict[int, list[RollupRow]]:
        named = {f"kind{place}": kind for place, kind in enumerate(kinds)}
        query = f"SELECT row FROM rollups WHERE customers = $customers AND {_one_of('kind', named)} AND {_IN_RANGE}"
        parameters = {**_range(first, last), "customers": str(group), **named}
        found: dict[int, dict[tuple[str, ...], RollupRow]] = {}
        for row in await self._ask_async(f"{query} GROUP BY kind, segment, writer", **parameters):
            # In the order of time: the highest slot of a segment is the last.
            segment = decode_rollup(row["kind"], int(row["segment"]), row["row"])
            found.setdefault(row["time"] // DAY, {})[row["kind"], row["segment"], row["writer"]] = segment
        return {day: list(rows.values()) for day, rows in found.items()}

    async def requests(self, customer: str, start: int, end: int, outcome: Outcome, limit: int) -> list[LoggedRequest]:
        # Of requests that the schema before stored, the tag is called `bucket`.
        query = 'SELECT part, request_path, status_code, "duration", method, bytes FROM api_requests'
        query += ' WHERE ("shard" = $shard OR bucket = $shard)'
        query += f" AND customer_id = $customer AND {_IN_RANGE}{OUTCOMES[outcome]} ORDER BY time DESC LIMIT {limit}"
        parameters = {
            "shard": str(shard(customer)),
            "customer": customer,
            "start": start * NANOSECONDS,
            "end": end * NANOSECONDS,
        }
        return [_logged_request(row) for row in await self._client.ask_async(self._bucket, query, parameters)]

    async def knows(self, customer: str) -> bool:
        query = "SELECT row FROM daily WHERE customer = $customer LIMIT 1"
        return bool(await self._ask_async(query, customer=await self._customer_tag(customer)))

    async def customer_names(self) -> list[str]:
        rows = await self._ask_async('SELECT last("name") FROM daily GROUP BY customer')
        self._customers = len(rows)
        return [row["last"] for row in rows]

    async def customers(
        self, customers: Sequence[str] | None, first: int, last: int
    ) -> dict[str, dict[int, DailyAggregate]]:
        if customers is None:
            return await self._all_customers(first, last)
        if len(customers) * _ROWS_A_NAME < self._customers:
            tags = {await self._customer_tag(customer): customer for customer in customers}
            query, parameters = _rows_of("daily", "customer", tags, first, last)
            found: dict[str, list[Row]] = {}
            for row in await self._ask_async(query, **parameters):
                found.setdefault(tags[row["customer"]], []).append(row)
            return {customer: _by_day(rows) for customer, rows in found.items()}
        everyone = await self._all_customers(first, last)
        self._customers = len(everyone)
        return {customer: everyone[customer] for customer in customers if customer in everyone}

    async def _all_customers(self, first: int, last: int) -> dict[str, dict[int, DailyAggregate]]:
        query = f'SELECT "name", row FROM daily WHERE {_IN_RANGE} GROUP BY customer, writer'
        found: dict[str, list[Row]] = {}
        for row in await self._ask_async(query, **_range(first, last)):
            found.setdefault(row["name"], []).append(row)
        return {customer: _by_day(rows) for customer, rows in found.items()}

    async def states(self) -> list[WriterState]:
        found: dict[str, dict[str, str]] = {}
        for row in await self._ask_async(_STATES):
            # In the order of time: the highest slot is the last.
            found.setdefault(unquote(row["writer"]), {})[row["state"]] = row["row"]
        return [WriterState.of(writer, rows) for writer, rows in sorted(found.items())]

    async def intents(self, since: Mapping[str, int | None]) -> list[StoredIntent]:
        found: list[StoredIntent] = []
        for writer, place in since.items():
            query = f"SELECT row FROM intents WHERE time >= {place or AFTER_ALL_LINES} AND writer = $writer"
            query += f" ORDER BY time DESC LIMIT {LATEST_INTENTS}" if place is None else ""
            rows = await self._ask_async(query, writer=tag(writer))
            rows.sort(key=lambda row: int(row["time"]))
            found += [StoredIntent(writer, row["time"], decode_intent(row["row"]).number, row["row"]) for row in rows]
        return found

    async def logs(self) -> list[tuple[str, LedgerRow]]:
        rows = await self._of_writers("logs", "log")
        return [(writer, decode_log(log, row)) for (writer, log), row in sorted(rows.items())]

    async def observed_ends(self) -> list[tuple[str, ObservedEnd]]:
        rows = await self._of_writers("observed", "log")
        return [(writer, decode_observed_end(log, row)) for (writer, log), row in sorted(rows.items())]

    async def files(self) -> list[tuple[str, FileRow]]:
        rows = await self._of_writers("files", "log", "generation")
        return sorted(
            ((writer, decode_file(log, int(number), row)) for (writer, log, number), row in rows.items()),
            key=lambda found: (found[0], found[1].log, found[1].generation),
        )

    async def _of_writers(self, measurement: str, *tags: str) -> dict[tuple[str, ...], str]:
        """The rows of a measurement by their writers and these tags."""
        query = f"SELECT row FROM {measurement} WHERE {_AFTER} GROUP BY {', '.join(tags)}, writer"
        # In the order of time: the highest slot is the last.
        return {
            tuple(unquote(row[name]) for name in ("writer", *tags)): row["row"] for row in await self._ask_async(query)
        }

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _ask_async(self, query: str, **parameters: Any) -> list[Row]:
        return await self._client.ask_async(self._counts, query, parameters)

    async def _customer_tag(self, customer: str) -> str:
        if self._known_places is None:
            self._known_places = self._places_of(await self._ask_async(_STORE))
        return self._known_places.customer_tag(customer)


def _place(offset_range: OffsetRange) -> tuple[int, int]:
    """Its lane, and where it begins in that."""
    return offset_range.file.lane, offset_range.file.base + offset_range.start


_STORE = "SELECT schema, secret FROM store"


def _by_day(rows: Iterable[Row]) -> dict[int, DailyAggregate]:
    """The rows of one customer, of all writers added up. Those of a writer come in the order of time: the highest slot
    of a day is the last."""
    of_writers: dict[tuple[int, str], str] = {(row["time"] // DAY, row["writer"]): row["row"] for row in rows}
    found: dict[int, list[DailyAggregate]] = {}
    for (day, _), row in of_writers.items():
        found.setdefault(day, []).append(decode_daily(row))
    return {day: added_up(of_day) for day, of_day in found.items()}


def _rows_of(
    measurement: str, by: str, values: Iterable[str], first: int, last: int, more: str = ""
) -> tuple[str, dict[str, int | str]]:
    """The question for the rows in a range of days of which the tag `by` has one of these values, and its parameters.
    `more`: a further condition."""
    named = {f"c{place}": value for place, value in enumerate(values)}
    query = f"SELECT row FROM {measurement} WHERE {_one_of(by, named)} AND {_IN_RANGE}{more} GROUP BY *"
    return query, {**_range(first, last), **named}


def _one_of(name: str, named: Collection[str]) -> str:
    """Whether a tag has one of the values of these parameters."""
    return _any_of([f"{name} = ${parameter}" for parameter in named])


def _any_of(conditions: Sequence[str]) -> str:
    """Any of them, in halves and halves of these: a chain InfluxDB goes through once more for each of its links."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return f"({_any_of(conditions[:half])} OR {_any_of(conditions[half:])})"


def _logged_request(row: Row) -> LoggedRequest:
    second, rest = divmod(row["time"], NANOSECONDS)
    return LoggedRequest(
        second,
        None if row["part"] is None else rest * 1_000 // NANOSECONDS,
        row["request_path"],
        row["status_code"],
        None if row["duration"] is None else float(row["duration"]),
        row["method"],
        row["bytes"],
    )


def _range(first: int, last: int) -> dict[str, int]:
    """The parameters of `_IN_RANGE`: days since 1970-01-01, inclusive."""
    return {"start": first * DAY, "end": (last + 1) * DAY}
