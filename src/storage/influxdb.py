"""InfluxDB 2: writes through influxdb-client, questions in InfluxQL over HTTP.

InfluxDB keeps the last write of a point. A write whose outcome is unknown (a time-out, a killed process) may land late
and put an old row of counts over a new one. So every row of counts and of the ledger is written at a slot, some
nanoseconds after its time, and the highest slot counts. The processor takes the next slot, for all that it writes from
there, when it begins and after each write that failed; it claims the slot in the store before it uses it. Rows at lower
slots are removed little by little. Rows at a slot that the store has no claim of were written after it was emptied, or
put back to an older state, under a running processor: the next start removes them.

A point that is overwritten is not replaced as a whole: a question at that moment may find some fields of the old one
and some of the new. So what is overwritten is one field, `row`.
"""

import asyncio
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from http import HTTPStatus
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from request_log.line import SECONDS_A_DAY
from request_log.requests import Integers
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
    StorageError,
    StorageHeld,
    StorageRefused,
    StorageUnavailable,
    StoredRequests,
    Stretch,
)
from storage.holder import Holder
from storage.ledger_text import decode_ledger, decode_sighting, encode_ledger, encode_sighting
from storage.line_protocol import CELL_BYTES, bucket, offset_of, request_lines, string_field, tag
from storage.stored import Stored

if TYPE_CHECKING:
    from aiohttp import ClientSession

_NANOSECONDS = 10**9
_DAY = SECONDS_A_DAY * _NANOSECONDS
# Lines are of 1970 to 2199, and what lies in the future does not expire: the ledger lives after all of them.
_AFTER_ALL_LINES = 7_258_118_400 * _NANOSECONDS  # 2200-01-01
_LINES_A_WRITE = 2_500
# Slots go by tenths of a second, a thousand in each: a day's nanoseconds are enough for 270 years of them.
_SLOTS_BEGIN = 1_767_225_600  # 2026-01-01
_SLOTS_A_SECOND = 10
_SLOT_STEP = 1_000
_NO_SLOT = -1
_RELEASED = "released"
_BEAT_SECONDS = 1.0
# A holder that is not heard of for so long is dead.
_HOLDER_SILENT_SECONDS = 10.0
_HOLDER_LOOK_SECONDS = 0.5
_REMOVALS_A_REPORT = 10
_KEYS_A_QUESTION = 200
_POINTS_A_PART = 10_000
# To name a customer in a question takes as long as to read the rows of so many.
_ROWS_A_NAME = 3
_COMMITS_KEPT = 1_000
_LATEST_COMMIT = "SELECT row FROM commits ORDER BY time DESC LIMIT 1"
_LATEST_SLOT = "SELECT slot, holder FROM slots ORDER BY time DESC LIMIT 1"
_HOLDER = "SELECT row FROM holder"
# Without the time InfluxDB looks into the files of all days.
_LEDGER = f"SELECT row FROM ledger WHERE time >= {_AFTER_ALL_LINES} GROUP BY log"
_PROGRESS = f"SELECT row FROM ledger, sightings WHERE time >= {_AFTER_ALL_LINES} GROUP BY log"
_ENDED_GENERATIONS = "SELECT row FROM ended_generations GROUP BY log"
_IN_RANGE = "time >= $start AND time < $end"
_BAD_REQUEST = {400, 413}
_REFUSALS = {401, 403, 404, 422}

_Row = dict[str, Any]


class _BadRequest(StorageRefused):
    """Something in the request is wrong, or it is too large; nothing of it was stored."""


class InfluxStorage(Storage):
    """A connection to a bucket.

    `url` is the server's, `token` reads the bucket and, for a writer, writes it; an answer may take `timeout` seconds.
    """

    # One request in flight leaves a third of the server's speed unused, two leave a twentieth.
    SENDERS = 3
    LINES_HELD = BYTES_HELD = sys.maxsize

    def __init__(self, url: str, org: str, bucket: str, token: str, timeout: float = 10.0) -> None:
        self._bucket = bucket
        self._slot: int | None = None
        """The one to write at; None where it must be a new one."""
        self._claimed = _NO_SLOT
        """The latest slot that this processor has claimed."""
        self._commits = 0
        """Those of this slot."""
        self._commits_removed = 0
        self._commit_before: Mark | None = None
        """The last one of lower slots."""
        self._holder = str(Holder.this_process())
        self._beating: threading.Thread | None = None
        self._closed = threading.Event()
        self._outdated: set[_Place] = set()
        self._removable: list[tuple[_Place, int]] = []
        self._url = f"{url.rstrip('/')}/query"
        # Compressing its answer takes the server several times as long as all the rest of it.
        self._headers = {"Authorization": f"Token {token}", "Accept-Encoding": "identity"}
        self._timeout = timeout
        self._customers = sys.maxsize
        """How many there are, as far as is known: on all days, or on those that were asked for last."""
        # Its answers are not part of cycles: the processor, which reads many rows back, hardly ever looks for those.
        # Two are asked at once where a beat comes between.
        self._questions = urllib3.PoolManager(maxsize=2, headers=self._headers, timeout=timeout, retries=False)
        self._session: ClientSession | None = None
        """Of the asynchronous half; it is of one event loop."""
        self._client = InfluxDBClient(url, token, org=org, timeout=int(timeout * 1000), retries=False)
        self._writes = self._client.write_api(write_options=SYNCHRONOUS)
        self._senders = ThreadPoolExecutor(self.SENDERS, thread_name_prefix="rows")

    # Writing

    def set_up(self) -> None:
        """The bucket is made by `python -m storage setup`, with a token that the services do not have."""

    def begin(self) -> list[LedgerRow]:
        self._wait_for_holder()
        slot, _ = self._latest_claim()
        self._remove_rows_above(slot)
        self._claim_slot(slot)
        ledger = _latest_ledger(self._ask(_LEDGER, {}))
        self._beating = threading.Thread(target=self._beat, name="beat", daemon=True)
        self._beating.start()
        return ledger

    def prepare(self, parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        lines: list[bytes] = []
        places: list[Integers] = []
        before = 0
        for part in parts:
            if part.requests:
                of_part, order = request_lines(part)
                lines.append(of_part)
                places.append(before + order)
                before += len(order)
        return partial(self._store, b"\n".join(lines), places)

    def _store(self, lines: bytes, places: Sequence[Integers]) -> list[int]:
        try:
            self._send(lines)
        except _BadRequest:
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
                self._send(b"\n".join(part))
            except _BadRequest:
                refused += self._store_parts(part, start)
        return refused

    def read_counts(self, keys: Collection[CountsKey]) -> dict[CountsKey, PackedCounts]:
        found: dict[CountsKey, PackedCounts] = {}
        for day in [day for customer, day in keys if customer is None]:
            rows = self._ask(f"SELECT row FROM all_day WHERE {_IN_RANGE}", _range(day, day))
            found.update(((None, day), _counts(self._to_replace(_place((None, day)), row))) for row in rows)
        of_customers = [(tag(customer), day) for customer, day in keys if customer is not None]
        for day, row in self._rows_of_days("customer_day", "customer", of_customers):
            key = (unquote(row["customer"]), day)
            found[key] = _counts(self._to_replace(_place(key), row))
        return found

    def read_breakdowns(self, keys: Collection[BreakdownKey]) -> dict[BreakdownKey, Breakdown]:
        found: dict[BreakdownKey, Breakdown] = {}
        # Segments come in the order of their names.
        for day, row in self._rows_of_days("breakdowns", "customers", [(str(group), day) for group, day, _ in keys]):
            key = BreakdownKey(int(row["customers"]), day, row["kind"])
            breakdown = _breakdown(row)
            if key in keys and (key not in found or breakdown.segment >= found[key].segment):
                found[key] = breakdown
                self._to_replace(_place_of_breakdown(key, breakdown.segment), row)
        return found

    def _rows_of_days(self, measurement: str, by: str, keys: Iterable[tuple[str, int]]) -> Iterator[tuple[int, _Row]]:
        """The rows of these values of the tag `by` and days, each with its day. Those of a series are in the order of
        time: the highest slot is the last."""
        by_day: dict[int, dict[str, None]] = {}
        for value, day in keys:
            by_day.setdefault(day, {})[value] = None
        for day, of_day in by_day.items():
            values = list(of_day)
            for first in range(0, len(values), _KEYS_A_QUESTION):
                part = values[first : first + _KEYS_A_QUESTION]
                yield from ((day, row) for row in self._ask(*_rows_of(measurement, by, part, day, day)))

    def _to_replace(self, place: "_Place", row: _Row) -> str:
        """What is in a row that is written again; at another slot, unless it is at this one already."""
        if row["time"] % _DAY != self._slot:
            self._outdated.add(place)
        return str(row["row"])

    def commit(self, counts: Mapping[CountsKey, PackedCounts], ledger: Sequence[LedgerRow]) -> None:
        with self._writing() as slot:
            # Those of all customers first: by them a start finds the days that have rows at a slot without a claim.
            in_order = sorted(counts, key=lambda key: key[0] is not None)
            of_all = sum(customer is None for customer, _ in counts)
            lines = [counts_line(key, counts[key], slot) for key in in_order]
            self._write(lines[:of_all])
            self._write_at_once(lines[of_all:])
            if counts:
                after = None if self._commits else self._commit_before
                self._write([commit_line(Commit(slot, self._commits, encode_changed(counts, after)))])
                self._commits += 1
            self._write([ended_generation_line(ended) for row in ledger for ended in row.ended])
            self._write([ledger_line(row, slot) for row in ledger])
        self._replaced(map(_place, counts), slot)

    def write_breakdowns(self, rows: Mapping[BreakdownKey, Breakdown]) -> None:
        with self._writing() as slot:
            # By these a start finds the days that have rows at a slot without a claim.
            self._write([breakdown_day_line(day, slot) for day in {key.day for key in rows}])
            self._write_at_once([breakdown_line(key, row, slot) for key, row in rows.items()])
        self._replaced((_place_of_breakdown(key, row.segment) for key, row in rows.items()), slot)

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """The slot to write at. Unless all of it succeeds its outcome is unknown, and what follows takes another
        slot."""
        slot = self._slot if self._slot is not None else self._claim_slot(self._check_hold())
        self._slot = None
        yield slot
        self._slot = slot

    def _replaced(self, places: Iterable["_Place"], slot: int) -> None:
        """These rows were written at this slot: those at lower ones can go."""
        if self._outdated:
            replaced = self._outdated.intersection(places)
            self._outdated -= replaced
            self._removable += [(place, slot) for place in replaced]

    def read_requests(self, log: str, stretch: Stretch, end: Position) -> Iterator[StoredRequests]:
        for generation, offsets in stretch.generations(end):
            cells = range(offsets.start // CELL_BYTES, offsets.stop // CELL_BYTES)
            stored = Stored()
            for rows in self._points(log, generation, stretch):
                stored.add(
                    (
                        offset,
                        row["time"] // _NANOSECONDS,
                        row["customer_id"],
                        row["request_path"],
                        row["status_code"],
                        row["duration"],
                    )
                    for row in rows
                    if (offset := offset_of(row["time"], row["part"], cells)) is not None
                )
            yield from (StoredRequests(log, generation, requests) for requests in stored.in_order())

    def _points(self, log: str, generation: int, stretch: Stretch) -> Iterator[list[_Row]]:
        """The points of a generation from the oldest to the newest second of a stretch, in no order, some at a
        time."""
        query = 'SELECT part, customer_id, request_path, status_code, "duration" FROM api_requests'
        query += f" WHERE log = $log AND generation = $generation AND {_IN_RANGE}"
        times = {"start": stretch.oldest * _NANOSECONDS, "end": (stretch.newest + 1) * _NANOSECONDS}
        parameters = self._question(query, {"log": tag(log), "generation": str(generation), **times})
        # In parts, for there may be very many.
        parameters |= {"chunked": "true", "chunk_size": str(_POINTS_A_PART)}
        with _errors(), self._get(parameters, preload_content=False) as response:
            for part in response:
                yield from _results(response.status, part)

    def report(self, sightings: Sequence[Sighting]) -> None:
        self._check_hold()
        self._write([sighting_line(row) for row in sightings])
        self._remove_old_commits()
        for _ in range(min(_REMOVALS_A_REPORT, len(self._removable))):
            self._remove_lower_slots(*self._removable.pop())

    def _remove_old_commits(self) -> None:
        """Remove all but the latest of this slot, and those of the one before until this one has as many."""
        if self._slot is None or self._commits - self._commits_removed <= _COMMITS_KEPT:
            return
        kept = self._slot + self._commits - _COMMITS_KEPT
        if self._commits < _COMMITS_KEPT and self._commit_before is not None:
            kept = self._commit_before[0]
        self._delete('_measurement="commits"', _AFTER_ALL_LINES, _AFTER_ALL_LINES + kept - 1)
        self._commits_removed = self._commits

    def _remove_lower_slots(self, place: "_Place", slot: int) -> None:
        """Remove a row's points below the slot; if it fails, they stay, and are not asked for."""
        self._delete(place.series, place.day * _DAY, place.day * _DAY + slot - 1)

    def remove_expired(self, oldest_day: int) -> None:
        """InfluxDB does it by itself: the bucket's retention."""

    def close(self) -> None:
        self._closed.set()
        claim, self._claimed = (self._claimed, self._holder), _NO_SLOT
        try:
            if self._beating is not None:
                # A beat after the release would take it back.
                self._beating.join()
            if claim[0] != _NO_SLOT and self._latest_claim() == claim:
                self._write([holder_line(self._holder, _RELEASED)])
        finally:
            self._senders.shutdown()
            self._questions.clear()
            self._client.close()

    def _wait_for_holder(self) -> None:
        """Return when no other processor is alive: it released the store, or it has not been heard of for a while."""
        rows = self._ask(_HOLDER, {})
        if not rows:
            return
        first_beat, _, text = rows[0]["row"].partition(" ")
        holder = Holder.decode(text)
        deadline = time.monotonic() + _HOLDER_SILENT_SECONDS
        beat = first_beat
        while beat != _RELEASED and text != self._holder and not holder.is_certainly_dead():
            if beat != first_beat:
                raise StorageHeld(f"This store is written by {holder.named()}: only one can.")
            if time.monotonic() >= deadline:
                return
            time.sleep(_HOLDER_LOOK_SECONDS)
            beat = self._ask(_HOLDER, {})[0]["row"].partition(" ")[0]

    def _claim_slot(self, latest: int) -> int:
        """Take a slot higher than all before, of which `latest` is the highest, durably before it is used.

        It goes by the clock: the claim of a process that died meanwhile may land after ours, and must be lower. Two
        processes that claim at the same moment take different ones, and the lower one finds out by its report.
        """
        # The commits of a slot lie after it, one by one; those of this one lie after all of them.
        for row in self._ask(_LATEST_COMMIT, {}):
            self._commit_before = _commit(row["row"])[:2]
            latest = max(latest, sum(self._commit_before))
        now = int((time.time() - _SLOTS_BEGIN) * _SLOTS_A_SECOND)
        slot = max(latest // _SLOT_STEP + 1, now) * _SLOT_STEP + random.randrange(_SLOT_STEP)
        self._write([slot_line(slot, self._holder), holder_line(self._holder, time.time_ns())])
        self._slot = self._claimed = slot
        self._commits = 0
        self._commits_removed = -_COMMITS_KEPT
        return slot

    def _latest_claim(self) -> tuple[int, str]:
        """The highest slot that was claimed, and by whom."""
        rows = self._ask(_LATEST_SLOT, {})
        return (int(rows[0]["slot"]), rows[0]["holder"]) if rows else (_NO_SLOT, "")

    def _check_hold(self) -> int:
        """The latest slot, which is ours. StorageHeld where another processor has taken over, StorageRefused where the
        store no longer has our claim."""
        slot, holder = self._latest_claim()
        if slot < self._claimed:
            raise StorageRefused("This store was emptied or put back while it was written: start again.")
        if holder != self._holder:
            raise StorageHeld(f"{Holder.decode(holder).named()} has taken over writing to this store.")
        return slot

    def _beat(self) -> None:
        """Say every second that this processor is alive, in a thread of its own: a commit may take many seconds."""
        while not self._closed.wait(_BEAT_SECONDS):
            try:
                self._check_hold()
                self._write([holder_line(self._holder, time.time_ns())])
            except StorageUnavailable:
                # Whoever writes finds the same, and says so. The store may be back at the next beat.
                continue
            except (StorageHeld, StorageRefused):
                # The next report finds the same, and ends the program.
                return

    def _remove_rows_above(self, slot: int) -> None:
        """Remove the rows at slots above the latest that was claimed."""
        query = "SELECT row FROM all_day, breakdown_day, ledger"
        times = [divmod(row["time"], _DAY) for row in self._ask(query, {})]
        for day in {day for day, of_row in times if of_row > slot}:
            for measurement in ("all_day", "customer_day", "breakdown_day", "breakdowns", "ledger", "commits"):
                self._delete(f'_measurement="{measurement}"', day * _DAY + slot + 1, (day + 1) * _DAY - 1)

    def _delete(self, series: str, first: int, last: int) -> None:
        """Remove the points of these series from the one time to the other (Unix time, ns), both inclusive."""
        with _errors():
            self._client.delete_api().delete(_rfc3339(first), _rfc3339(last), series, self._bucket)

    def _write_at_once(self, lines: Sequence[bytes]) -> None:
        """Write lines, in whatever order."""
        parts = [lines[first : first + _LINES_A_WRITE] for first in range(0, len(lines), _LINES_A_WRITE)]
        wait(writes := [self._senders.submit(self._write, part) for part in parts])
        for write in writes:
            write.result()

    def _write(self, lines: Sequence[bytes]) -> None:
        """Write lines one after the other, by halves where they are too large for one request."""
        if not lines:
            return
        try:
            self._send(b"\n".join(lines))
        except _BadRequest:
            if len(lines) == 1:
                raise
            self._write(lines[: len(lines) // 2])
            self._write(lines[len(lines) // 2 :])

    def _send(self, lines: bytes) -> None:
        with _errors():
            self._writes.write(self._bucket, record=lines)

    def _ask(self, query: str, parameters: Mapping[str, Any]) -> list[_Row]:
        with _errors():
            response = self._get(self._question(query, parameters))
            return _rows(response.status, response.data)

    def _get(self, question: Mapping[str, str], preload_content: bool = True) -> urllib3.BaseHTTPResponse:
        return self._questions.request("GET", self._url, fields=question, preload_content=preload_content)

    # Asking

    async def ping(self) -> None:
        await self._ask_async("SELECT slot FROM slots LIMIT 1", {})

    async def days(self, customer: str | None, first: int, last: int) -> dict[int, DayCounts]:
        return {day: unpack(row) for day, row in (await self.packed_days(customer, first, last)).items()}

    async def packed_days(self, customer: str | None, first: int, last: int) -> dict[int, PackedCounts]:
        if customer is None:
            rows = await self._ask_async(f"SELECT row FROM all_day WHERE {_IN_RANGE}", _range(first, last))
        else:
            query = f"SELECT row FROM customer_day WHERE customer = $customer AND {_IN_RANGE}"
            rows = await self._ask_async(query, {**_range(first, last), "customer": tag(customer)})
        # In the order of time: the highest slot of a day is the last.
        return {row["time"] // _DAY: _counts(row["row"]) for row in rows}

    async def breakdowns(self, customer: str, kind: Kind, first: int, last: int) -> dict[int, list[Breakdown]]:
        query = f"SELECT row FROM breakdowns WHERE customers = $customers AND kind = $kind AND {_IN_RANGE}"
        parameters = {**_range(first, last), "customers": str(group_of(customer)), "kind": kind}
        found: dict[int, dict[int, Breakdown]] = {}
        for row in await self._ask_async(f"{query} GROUP BY segment", parameters):
            # In the order of time: the highest slot of a segment is the last.
            breakdown = _breakdown(row)
            found.setdefault(row["time"] // _DAY, {})[breakdown.segment] = breakdown
        return {day: list(rows.values()) for day, rows in found.items()}

    async def requests(self, customer: str, start: int, end: int, outcome: Outcome, limit: int) -> list[LoggedRequest]:
        query = 'SELECT part, request_path, status_code, "duration" FROM api_requests WHERE bucket = $bucket'
        query += f" AND customer_id = $customer AND {_IN_RANGE}{OUTCOMES[outcome]} ORDER BY time DESC LIMIT {limit}"
        parameters = {
            "bucket": str(bucket(customer)),
            "customer": customer,
            "start": start * _NANOSECONDS,
            "end": end * _NANOSECONDS,
        }
        return [_logged_request(row) for row in await self._ask_async(query, parameters)]

    async def knows(self, customer: str) -> bool:
        query = "SELECT row FROM customer_day WHERE customer = $customer LIMIT 1"
        return bool(await self._ask_async(query, {"customer": tag(customer)}))

    async def customers(self, first: int, last: int) -> dict[str, DayCounts]:
        totals: dict[str, DayCounts] = {}
        for customer, days in (await self._all_customers(first, last)).items():
            for row in days.values():
                totals.setdefault(customer, DayCounts()).add(unpack(row))
        return totals

    async def customer_names(self) -> list[str]:
        rows = await self._ask_async("SHOW TAG VALUES FROM customer_day WITH KEY = customer", {})
        self._customers = len(rows)
        return [unquote(row["value"]) for row in rows]

    async def packed_customers(
        self, customers: Sequence[str], first: int, last: int
    ) -> dict[str, dict[int, PackedCounts]]:
        if len(customers) * _ROWS_A_NAME < self._customers:
            rows = await self._ask_async(*_rows_of("customer_day", "customer", map(tag, customers), first, last))
            return _by_customer_and_day(rows)
        found = await self._all_customers(first, last)
        self._customers = len(found)
        return {customer: found[customer] for customer in customers if customer in found}

    async def _all_customers(self, first: int, last: int) -> dict[str, dict[int, PackedCounts]]:
        query = f"SELECT row FROM customer_day WHERE {_IN_RANGE} GROUP BY customer"
        return _by_customer_and_day(await self._ask_async(query, _range(first, last)))

    async def changes(self, since: Mark | None) -> Changes:
        if since is None:
            rows = await self._ask_async(_LATEST_COMMIT, {})
        else:
            query = "SELECT row FROM commits WHERE time >= $since"
            rows = await self._ask_async(query, {"since": _AFTER_ALL_LINES + sum(since)})
        return changes([_commit(row["row"]) for row in rows], since)

    async def ledger(self) -> list[LedgerRow]:
        return _latest_ledger(await self._ask_async(_LEDGER, {}))

    async def progress(self) -> tuple[list[LedgerRow], list[Sighting]]:
        rows = await self._ask_async(_PROGRESS, {})
        seen = (decode_sighting(unquote(row["log"]), row["row"]) for row in rows if row["name"] == "sightings")
        return _latest_ledger(row for row in rows if row["name"] == "ledger"), sorted(seen, key=attrgetter("log"))

    async def ended_generations(self) -> list[EndedGeneration]:
        rows = await self._ask_async(_ENDED_GENERATIONS, {})
        return [_ended_generation(row) for row in rows]

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask_async(self, query: str, parameters: Mapping[str, Any]) -> list[_Row]:
        with _errors():
            return _rows(*await self._get_async(self._question(query, parameters)))

    async def _get_async(self, question: Mapping[str, str]) -> tuple[int, bytes]:
        """The status and the text of an answer."""
        # Here, for the processor, which asks nothing so, would have 11 MB of it in memory.
        import aiohttp

        if self._session is None:
            timeout = aiohttp.ClientTimeout(sock_connect=self._timeout, sock_read=self._timeout)
            self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout)
        try:
            async with self._session.get(self._url, params=question) as response:
                return response.status, await response.read()
        except aiohttp.ClientError as error:
            raise _unreachable(error) from error

    def _question(self, query: str, parameters: Mapping[str, Any]) -> dict[str, str]:
        return {"db": self._bucket, "epoch": "ns", "q": query, "params": json.dumps(parameters)}


def counts_line(key: CountsKey, counts: PackedCounts, slot: int) -> bytes:
    """The row of a customer's day, or of all customers' day."""
    customer, day = key
    series = "all_day" if customer is None else f"customer_day,customer={tag(customer)}"
    return f"{series} row={string_field(' '.join(counts))} {day * _DAY + slot}".encode()


def _counts(row: str) -> PackedCounts:
    """The field of `counts_line`."""
    return PackedCounts(*row.split(" ", 2))


def _by_customer_and_day(rows: Iterable[_Row]) -> dict[str, dict[int, PackedCounts]]:
    """In the order of time: the highest slot of a day is the last."""
    found: dict[str, dict[int, PackedCounts]] = {}
    for row in rows:
        found.setdefault(unquote(row["customer"]), {})[row["time"] // _DAY] = _counts(row["row"])
    return found


def breakdown_line(key: BreakdownKey, breakdown: Breakdown, slot: int) -> bytes:
    """A row of a group's day, broken down."""
    segment, *texts = breakdown
    series = f"breakdowns,customers={key.group},kind={key.kind},segment={segment}"
    # `applied` alone may have spaces.
    return f"{series} row={string_field(' '.join(texts))} {key.day * _DAY + slot}".encode()


def _breakdown(row: _Row) -> Breakdown:
    """The reverse of `breakdown_line`."""
    return Breakdown(int(row["segment"]), *row["row"].split(" ", 3))


def breakdown_day_line(day: int, slot: int) -> bytes:
    """That breakdowns of this day were written at this slot."""
    return f"breakdown_day row={string_field('')} {day * _DAY + slot}".encode()


def ledger_line(row: LedgerRow, slot: int) -> bytes:
    """The ledger of one log."""
    return f"ledger,log={tag(row.log)} row={string_field(encode_ledger(row))} {_AFTER_ALL_LINES + slot}".encode()


def ended_generation_line(ended: EndedGeneration) -> bytes:
    """Through where a file of a log was read, and its fingerprint there."""
    row = f"{ended.end.offset} {ended.fingerprint}"
    time = _AFTER_ALL_LINES + ended.end.generation
    return f"ended_generations,log={tag(ended.log)} row={string_field(row)} {time}".encode()


def _ended_generation(row: _Row) -> EndedGeneration:
    offset, _, fingerprint = row["row"].partition(" ")
    return EndedGeneration(unquote(row["log"]), Position(row["time"] - _AFTER_ALL_LINES, int(offset)), fingerprint)


def commit_line(commit: Commit) -> bytes:
    """What a commit has changed."""
    row = f"{commit.run} {commit.number} {commit.changed}"
    return f"commits row={string_field(row)} {_AFTER_ALL_LINES + commit.run + commit.number}".encode()


def _commit(row: str) -> Commit:
    """The reverse of `commit_line`."""
    slot, number, changed = row.split(" ", 2)
    return Commit(int(slot), int(number), changed)


def slot_line(slot: int, holder: str) -> bytes:
    """The claim to a slot. A point a slot, so that no late write can take a claim back."""
    return f"slots slot={slot}i,holder={string_field(holder)} {_AFTER_ALL_LINES + slot}".encode()


def holder_line(holder: str, beat: int | str) -> bytes:
    """Who writes, with a number that changes while it is alive, or that it has released the store."""
    return f"holder row={string_field(f'{beat} {holder}')} {_AFTER_ALL_LINES}".encode()


def sighting_line(row: Sighting) -> bytes:
    """A log as it was last seen."""
    return f"sightings,log={tag(row.log)} row={string_field(encode_sighting(row))} {_AFTER_ALL_LINES}".encode()


class _Place(NamedTuple):
    """Where a row is, at whatever slot."""

    series: str
    """As a delete names it."""
    day: int


def _place(key: CountsKey) -> _Place:
    customer, day = key
    if customer is None:
        return _Place('_measurement="all_day"', day)
    return _Place(f'_measurement="customer_day" AND customer="{tag(customer)}"', day)


def _place_of_breakdown(key: BreakdownKey, segment: int) -> _Place:
    series = f'_measurement="breakdowns" AND customers="{key.group}"'
    return _Place(f'{series} AND kind="{key.kind}" AND segment="{segment}"', key.day)


def _rows_of(
    measurement: str, by: str, values: Iterable[str], first: int, last: int
) -> tuple[str, dict[str, int | str]]:
    """The question for the rows in a range of days of which the tag `by` has one of these values, and its
    parameters."""
    named = {f"c{i}": value for i, value in enumerate(values)}
    one_of_them = _any_of([f"{by} = ${name}" for name in named])
    query = f"SELECT row FROM {measurement} WHERE {one_of_them} AND {_IN_RANGE} GROUP BY *"
    return query, {**_range(first, last), **named}


def _any_of(conditions: Sequence[str]) -> str:
    """Any of them, in halves and halves of these: a chain InfluxDB goes through once more for each of its links."""
    if len(conditions) == 1:
        return conditions[0]
    half = len(conditions) // 2
    return f"({_any_of(conditions[:half])} OR {_any_of(conditions[half:])})"


def _logged_request(row: _Row) -> LoggedRequest:
    second, rest = divmod(row["time"], _NANOSECONDS)
    duration = None if row["duration"] is None else float(row["duration"])
    return LoggedRequest(
        second,
        None if row["part"] is None else rest * 1_000 // _NANOSECONDS,
        row["request_path"],
        row["status_code"],
        duration,
    )


def _range(first: int, last: int) -> dict[str, int]:
    """The parameters of `_IN_RANGE`: days since 1970-01-01, inclusive."""
    return {"start": first * _DAY, "end": (last + 1) * _DAY}


def _rfc3339(nanoseconds: int) -> str:
    """A time (Unix, ns) as InfluxDB's delete wants it."""
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _latest_ledger(rows: Iterable[_Row]) -> list[LedgerRow]:
    """The rows at the highest slot of each log; `rows` come in the order of time."""
    latest = {unquote(row["log"]): row["row"] for row in rows}
    return [decode_ledger(log, text) for log, text in sorted(latest.items())]


def _rows(status: int, answer: bytes) -> list[_Row]:
    """The rows that answer a question of one statement."""
    (rows,) = _results(status, answer)
    return rows


def _results(status: int, answer: bytes) -> list[list[_Row]]:
    """The rows that answer each statement of a question in InfluxQL, tags of GROUP BY included."""
    if status != HTTPStatus.OK:
        raise _error(status, answer.decode(errors="replace"))
    return [_statement_rows(result) for result in json.loads(answer)["results"]]


def _statement_rows(result: dict[str, Any]) -> list[_Row]:
    if "error" in result:
        raise StorageRefused(f"InfluxDB does not answer this question: {result['error']}")
    return [
        dict(zip(series["columns"], values, strict=True), name=series["name"], **series.get("tags", {}))
        for series in result.get("series", [])
        for values in series["values"]
    ]


@contextmanager
def _errors() -> Iterator[None]:
    """Say what went wrong in the contract's words."""
    try:
        yield
    except ApiException as error:
        raise _error(error.status, error.body or error.reason) from error
    except (asyncio.TimeoutError, urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> StorageUnavailable:
    # A time-out has no text.
    return StorageUnavailable(f"InfluxDB cannot be reached: {str(error) or type(error).__name__}")


def _error(status: int | None, answer: str | None) -> StorageError:
    text = " ".join((answer or "").split())[:500]
    if status in _BAD_REQUEST:
        return _BadRequest(f"InfluxDB refuses with status {status}: {text}")
    if status in _REFUSALS:
        hint = " (is the token right?)" if status in (401, 403) else ""
        return StorageRefused(f"InfluxDB refuses with status {status}{hint}: {text}")
    return StorageUnavailable(f"InfluxDB answers with status {status}: {text}")
