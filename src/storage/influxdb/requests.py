"""Requests: each is a point."""

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby

import numpy as np

from request_log.requests import Integers, Requests
from rollups.counts import NO_COUNTS
from rollups.rows import decode_daily
from storage.errors import StorageRefused
from storage.influxdb.client import BadRequest, Row, latest
from storage.influxdb.connection import IN_RANGE, InfluxConnection
from storage.influxdb.line_protocol import AFTER_ALL_LINES, DAY, NANOSECONDS, cell_of, request_lines, shard, tag
from storage.influxdb.places import predicate
from storage.logs import CELL_BYTES
from storage.read_back import ReadBack, StoredRow
from storage.requests import MOST_OF_PATH, OUTCOMES, FileId, LoggedRequest, OffsetRange, Outcome, StoredRequests
from storage.writers import MAIN


class InfluxRequests(InfluxConnection):
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
            # Nothing was stored: a line is wrong, or the request is too large.
            refused = self._store_parts(lines.split(b"\n"), 0)
            return [int(place) for place in np.concatenate(places)[refused]]
        return []

    def _store_parts(self, lines: list[bytes], place: int) -> list[int]:
        """Store lines in halves. Return the places of lines that are refused by themselves, counted from `place`."""
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
        """No requests are held."""

    def read_requests(self, ranges: Sequence[OffsetRange], oldest: int, newest: int) -> Iterator[Requests]:
        for _, of_lane in groupby(sorted(ranges, key=_place), key=lambda offset_range: offset_range.file.lane):
            # One question for all ranges of a lane: each reads all requests of the lane in this time.
            yield from self._read_lane(list(of_lane), oldest, newest)

    def _read_lane(self, ranges: Sequence[OffsetRange], oldest: int, newest: int) -> Iterator[Requests]:
        """The requests of ranges of one lane, which are in the order of the lane."""
        query = 'SELECT part, customer_id, request_path, status_code, "duration", method, bytes FROM api_requests'
        query += f" WHERE lane = $lane AND writer = $writer AND {IN_RANGE}"
        parameters = {
            "lane": str(ranges[0].file.lane),
            "writer": "" if self._writer == MAIN else tag(self._writer),
            "start": oldest * NANOSECONDS,
            "end": (newest + 1) * NANOSECONDS,
        }
        # A line that begins at the end of a range is outside of it, and no line before it begins in its cell.
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

    def reads_all_requests(self) -> bool:
        # The tag that schema 4 had in the place of `shard` and `lane`.
        query = "SELECT status_code FROM api_requests WHERE bucket != '' LIMIT 1"
        return not self._client.ask(self._bucket, query, {})

    def remove_requests(self, log: str, files: Collection[FileId]) -> None:
        for lane in {file.lane for file in files if file.lane >= 0}:
            self._remove_lane(lane)
        self._remove_empty_days()

    def _remove_lane(self, lane: int) -> None:
        """Remove the requests of a lane. The main writer's have no tag `writer`, which a delete cannot express."""
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
        days = latest(self._ask(query), lambda row: (row["measurement"], row["customer"], row["time"] // DAY))
        for (measurement, customer, day), row in days.items():
            if decode_daily(row["row"]).statuses == NO_COUNTS:
                of_customer = f",customer={customer}" if customer else ""
                series = f"{measurement}{of_customer},writer={tag(self._writer)}"
                self._delete(series, day * DAY, (day + 1) * DAY - 1)

    async def requests(
        self, customer: str, start: int, end: int, outcome: Outcome, limit: int, part: str = ""
    ) -> list[LoggedRequest]:
        # Requests that schema 4 stored have the tag under the name `bucket`.
        query = 'SELECT part, request_path, status_code, "duration", method, bytes FROM api_requests'
        query += ' WHERE ("shard" = $shard OR bucket = $shard)'
        query += f" AND customer_id = $customer AND {IN_RANGE}{OUTCOMES[outcome]}"
        # InfluxQL has no other test for a part of a text.
        query += " AND request_path =~ $part" if part else ""
        query += f" ORDER BY time DESC LIMIT {limit}"
        parameters = {
            "shard": str(shard(customer)),
            "customer": customer,
            "start": start * NANOSECONDS,
            "end": end * NANOSECONDS,
            "part": {"regex": re.escape(part)},
        }
        rows = await self._client.ask_async(self._bucket, query, parameters)
        # Of a point that is being written, a question may find some fields alone.
        return [
            _logged_request(row) for row in rows if row["request_path"] is not None and row["status_code"] is not None
        ]


def _place(offset_range: OffsetRange) -> tuple[int, int]:
    """The lane of a range, and its beginning there (bytes)."""
    return offset_range.file.lane, offset_range.file.base + offset_range.start


def _logged_request(row: Row) -> LoggedRequest:
    second, rest = divmod(row["time"], NANOSECONDS)
    return LoggedRequest(
        second,
        None if row["part"] is None else rest * 1_000 // NANOSECONDS,
        row["request_path"][:MOST_OF_PATH],
        row["status_code"],
        None if row["duration"] is None else float(row["duration"]),
        row["method"],
        row["bytes"],
    )
