"""A store in memory that is as unkind as the contract allows. A test decides where it crashes, pauses and writes late.

Like InfluxDB it has no transactions: each row of a group is a write of its own, and the row with the highest fencing
token counts. A predecessor goes on writing until `check_lease` tells it.
"""

import random
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from typing_extensions import Self

from request_log.fields.values import NO_STATUS
from request_log.line import SECONDS_A_DAY
from request_log.requests import NONE, Requests
from rollups.counts import NO_COUNTS, DailyAggregate, DailyKey, RollupKey, RollupKind, RollupRow, RollupSegmentKey
from rollups.rows import added_up, decode_daily, decode_rollup
from storage.contract import INTENTS_KEPT, LATEST_INTENTS, Storage
from storage.errors import LeaseHeld, StorageUnavailable
from storage.keys import (
    FileKey,
    IntentKey,
    JournalKey,
    Key,
    LogKey,
    ObservedKey,
    RolledUpKey,
    Rows,
    StateKey,
    StateName,
)
from storage.ledger import StoredIntent, WriterState
from storage.logs import CELL_BYTES, FileRow, LedgerRow, decode_file, decode_log
from storage.observed import ObservedEnd, decode_observed_end
from storage.read_back import ReadBack
from storage.requests import MOST_OF_PATH, FileId, LoggedRequest, OffsetRange, Outcome, StoredRequests
from storage.writers import MAIN

AnyKey = TypeVar(
    "AnyKey", DailyKey, RollupSegmentKey, LogKey, FileKey, RolledUpKey, ObservedKey, IntentKey, StateKey, JournalKey
)
Write = Callable[[], None]
"""A write, which lands in the store when it is called."""
"""Names that come at once."""


def _has(status: int, outcome: Outcome) -> bool:
    """Whether a status is this outcome."""
    is_server_error = status == NO_STATUS or 500 <= status <= 599
    return {
        "all": True,
        "failed": not 200 <= status <= 399,
        "successful": 200 <= status <= 399,
        "client_errors": 400 <= status <= 499,
        "server_errors": is_server_error,
    }[outcome]


class StoredRequest(NamedTuple):
    """A stored request, with its offset in its file (bytes)."""

    offset: int
    customer: str
    logged: LoggedRequest


class MemoryStore:
    """The contents of a store, which its connections share. `refused`: customers whose requests the store refuses."""

    def __init__(self, refused: Collection[str] = ()) -> None:
        self.refused = refused
        self.owners: dict[str, list[MemoryStorage]] = {}
        """Writer -> the owners of its fencing tokens: of the token 1, of the token 2, ..."""
        self.rows: dict[tuple[str, type[Key]], dict[Any, tuple[int, str]]] = {}
        """By writer and kind of key (keys of two kinds may be equal): key -> the highest token at which it was written,
        and the row."""
        self.requests: dict[tuple[str, int, int], StoredRequest] = {}
        """By writer, lane, and the number of the 16 bytes of the lane in which the line begins."""

    def put(self, writer: str, key: Key, token: int, row: str) -> None:
        """A write lands."""
        rows = self.rows.setdefault((writer, type(key)), {})
        if key not in rows or rows[key][0] <= token:
            rows[key] = (token, row)

    def rows_of(self, kind: type[AnyKey]) -> list[tuple[str, AnyKey, str]]:
        """All rows of a kind, with their writer."""
        return [
            (writer, key, row)
            for (writer, of_kind), rows in self.rows.items()
            if of_kind is kind
            for key, (_, row) in rows.items()
        ]

    def put_requests(self, writer: str, part: StoredRequests) -> None:
        """A write of requests lands; again it stores the same."""
        requests = part.requests
        columns = (requests.customer_ids(), requests.request_paths(), requests.durations, requests.request_methods())
        numbers = (
            requests.statuses,
            requests.seconds,
            requests.milliseconds,
            requests.sizes,
            requests.offsets,
            part.of_file,
        )
        for customer, path, duration, method, status, second, millisecond, size, offset, place in zip(
            *columns, *(column.tolist() for column in numbers), strict=True
        ):
            if customer in self.refused:
                continue
            file = part.files[place]
            logged = LoggedRequest(
                second,
                None if millisecond == NONE else millisecond,
                path,
                status,
                float(duration) if duration else None,
                method or None,
                None if size == NONE else size,
            )
            cell = (file.base + offset) // CELL_BYTES
            self.requests[writer, file.lane, cell] = StoredRequest(offset, customer, logged)


class MemoryStorage(Storage):
    """A connection. `turn` is called before each single write and each question: it may wait, or raise an error.

    `pick`: the order in which the rows of a group land. `holds`: whether requests are held until `flush`.
    """

    SENDERS = 1
    LINES_HELD = BYTES_HELD = sys.maxsize
    READS_BY_TIME = False

    def __init__(
        self,
        store: MemoryStore,
        writer: str = MAIN,
        turn: Callable[[], None] = lambda: None,
        pick: random.Random | None = None,
        holds: bool = False,
    ) -> None:
        self._store = store
        self._writer = writer
        self._turn = turn
        self._pick = pick or random.Random(1)
        self._holds = holds
        self._held: list[Write] = []
        self._owners = store.owners.setdefault(writer, [])
        self._token: int | None = None
        """The fencing token of the next write; None where that takes a new one, because an earlier write failed."""
        self.under_way: list[Write] = []
        """Writes that were sent and have not landed yet."""
        self._failed: list[Write] = []

    def set_up(self) -> None:
        """Nothing is needed."""

    def acquire(self) -> int:
        self._turn()
        self._owners.append(self)
        self._token = len(self._owners)
        return self._token

    def check_lease(self) -> None:
        self._turn()
        if self._owners[-1] is not self:
            raise LeaseHeld("Another one has taken over.")

    def close(self) -> None:
        """Nothing is kept open."""

    def abandon(self) -> None:
        """Nothing is kept open."""

    # Requests

    def prepare(self, parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        held = list(parts)
        customers = [customer for part in held for customer in part.requests.customer_ids()]
        refused = [place for place, customer in enumerate(customers) if customer in self._store.refused]
        writes = [partial(self._store.put_requests, self._writer, part) for part in held]

        def store() -> list[int]:
            if self._holds:
                self._held.extend(writes)
            else:
                self._send(writes)
            return refused

        return store

    def flush(self) -> None:
        self._send(self._held)
        self._held = []

    def read_requests(self, ranges: Sequence[OffsetRange], oldest: int, newest: int) -> Iterator[Requests]:
        for offset_range in ranges:
            yield from self._read_range(offset_range, oldest, newest)

    def _read_range(self, offset_range: OffsetRange, oldest: int, newest: int) -> Iterator[Requests]:
        self._turn()
        file = offset_range.file
        first, end = ((file.base + offset) // CELL_BYTES for offset in (offset_range.start, offset_range.end))
        stored = ReadBack()
        stored.add(
            (found.offset, found.logged.second, found.customer, *found.logged[2:])
            for (writer, lane, cell), found in self._store.requests.items()
            if (writer, lane) == (self._writer, file.lane)
            and first <= cell < end
            and oldest <= found.logged.second <= newest
        )
        return stored.in_order()

    # Rows

    def read_daily(self, keys: Collection[DailyKey]) -> dict[DailyKey, DailyAggregate]:
        self._turn()
        rows = self._rows(DailyKey)
        return {key: decode_daily(rows[key]) for key in keys if key in rows}

    def read_days(self, customers: Collection[str]) -> dict[str, dict[int, DailyAggregate]]:
        self._turn()
        found: dict[str, dict[int, DailyAggregate]] = {}
        for key, row in self._rows(DailyKey).items():
            if key.customer in customers:
                found.setdefault(key.customer or "", {})[key.day] = decode_daily(row)
        return found

    def read_customers(self) -> Iterator[Sequence[tuple[str, int]]]:
        self._turn()
        first: dict[str, int] = {}
        for key in self._rows(DailyKey):
            if key.customer is not None:
                first[key.customer] = min(key.day, first.get(key.customer, key.day))
        yield list(first.items())

    def count_new_customers(self, day: int) -> int:
        self._turn()
        keys = [key for key in self._rows(DailyKey) if key.customer is not None]
        return len({key.customer for key in keys if key.day == day} - {key.customer for key in keys if key.day < day})

    def read_rollups(self, keys: Collection[RollupKey]) -> dict[RollupKey, RollupRow]:
        self._turn()
        found: dict[RollupKey, RollupRow] = {}
        for key, row in sorted(self._rows(RollupSegmentKey).items()):
            of_row = RollupKey(key.group, key.day, key.kind)
            if of_row in keys:
                found[of_row] = decode_rollup(key.kind, key.segment, row)
        return found

    def read_state(self, name: StateName) -> str:
        self._turn()
        return self._rows(StateKey).get(StateKey(name), "")

    def read_intent(self, number: int) -> str:
        self._turn()
        return self._rows(IntentKey).get(IntentKey(number), "")

    def read_journal(self, slots: Collection[int]) -> dict[JournalKey, str]:
        self._turn()
        return {key: row for key, row in self._rows(JournalKey).items() if key.slot in slots}

    def read_logs(self) -> tuple[dict[str, str], dict[FileKey, str], dict[str, str]]:
        self._turn()
        return (
            {key.log: row for key, row in self._rows(LogKey).items()},
            self._rows(FileKey),
            {key.log: row for key, row in self._rows(RolledUpKey).items()},
        )

    def remove_files(self, keys: Collection[FileKey]) -> None:
        self._turn()
        for key in keys:
            self._store.rows.get((self._writer, FileKey), {}).pop(key, None)

    def reads_all_requests(self) -> bool:
        return True

    def remove_requests(self, log: str, files: Collection[FileId]) -> None:
        lanes = {file.lane for file in files}
        for place in [place for place in self._store.requests if place[0] == self._writer and place[1] in lanes]:
            self._turn()
            del self._store.requests[place]
        daily = self._store.rows.get((self._writer, DailyKey), {})
        for key in [key for key, (_, row) in daily.items() if decode_daily(row).statuses == NO_COUNTS]:
            self._turn()
            del daily[key]

    def remove_log(self, log: str, files: Collection[FileId]) -> None:
        for kind in (FileKey, RolledUpKey, ObservedKey, LogKey):
            self._turn()
            rows = self._store.rows.get((self._writer, kind), {})
            for key in [key for key in rows if key.log == log]:
                del rows[key]

    def write(self, *groups: Rows) -> None:
        for group in groups:
            token = self._token or self._take_another_token()
            self._token = None
            self._send([partial(self._store.put, self._writer, key, token, row) for key, row in group.items()])
            self._token = token

    def counted_days(self) -> list[int]:
        self._turn()
        return sorted(key.day for key in self._rows(DailyKey) if key.customer is None)

    def read_day(self, day: int) -> tuple[dict[DailyKey, DailyAggregate], dict[RollupSegmentKey, RollupRow]]:
        self._turn()
        daily, rollups = self._rows(DailyKey), self._rows(RollupSegmentKey)
        return (
            {key: decode_daily(row) for key, row in daily.items() if key.day == day},
            {key: decode_rollup(key.kind, key.segment, row) for key, row in rollups.items() if key.day == day},
        )

    def write_both(self, rows: Rows, other: Self, of_other: Rows) -> None:
        self.write(rows)
        other.write(of_other)

    def remove_day(self, day: int) -> None:
        for kind in (DailyKey, RollupSegmentKey):
            rows = self._store.rows.get((self._writer, kind), {})
            for key in [key for key in rows if key.day == day]:
                self._turn()
                del rows[key]

    def remove_writer(self) -> None:
        for kind in (LogKey, FileKey, RolledUpKey, ObservedKey, IntentKey, StateKey, JournalKey):
            rows = self._store.rows.get((self._writer, kind), {})
            for key in [key for key in rows if key != StateKey("retired")]:
                self._turn()
                del rows[key]

    def remove_expired(self, oldest_day: int, oldest_counted_day: int) -> None:
        self._turn()
        for kind in (DailyKey, RollupSegmentKey):
            rows = self._store.rows.get((self._writer, kind), {})
            for key in [key for key in rows if key.day < oldest_counted_day]:
                del rows[key]
        oldest = oldest_day * SECONDS_A_DAY
        self._store.requests = {
            place: found for place, found in self._store.requests.items() if found.logged.second >= oldest
        }

    def compact(self) -> None:
        self._turn()
        rows = self._store.rows.get((self._writer, IntentKey), {})
        for key in sorted(rows)[:-INTENTS_KEPT]:
            del rows[key]

    def late_writes(self) -> list[Write]:
        """The writes that may still land."""
        return self.under_way + self._failed

    def _send(self, writes: Sequence[Write]) -> None:
        """Send writes, which land one by one in any order. Any of them may be the last one that lands."""
        self.under_way = self._pick.sample(writes, len(writes))
        try:
            while self.under_way:
                self._turn()
                self.under_way.pop()()
        except StorageUnavailable:
            self._failed += self.under_way
            self.under_way = []
            raise

    def _take_another_token(self) -> int:
        """A higher fencing token. Where another connection took over just before, neither may go on."""
        self.check_lease()
        self._turn()
        self._owners.append(self)
        token = len(self._owners)
        self._turn()
        if self._owners[token - 2] is not self:
            raise LeaseHeld("Another one has taken over.")
        return token

    def _rows(self, kind: type[AnyKey]) -> dict[AnyKey, str]:
        """This writer's rows of a kind."""
        return {key: row for writer, key, row in self._store.rows_of(kind) if writer == self._writer}

    # Asking

    async def ping(self) -> None:
        """It is always there."""

    async def daily_of_customer(self, customer: str | None, first: int, last: int) -> dict[int, DailyAggregate]:
        return self._daily(first, last).get(customer, {})

    async def rollups(
        self, group: int, kinds: Collection[RollupKind], first: int, last: int
    ) -> dict[int, list[RollupRow]]:
        found: dict[int, list[RollupRow]] = {}
        for _, key, row in self._store.rows_of(RollupSegmentKey):
            if key.group == group and key.kind in kinds and first <= key.day <= last:
                found.setdefault(key.day, []).append(decode_rollup(key.kind, key.segment, row))
        return found

    async def rollups_of_groups(self, groups: Sequence[int], kind: RollupKind, day: int) -> list[RollupRow]:
        return [row for group in groups for row in (await self.rollups(group, [kind], day, day)).get(day, [])]

    async def requests(
        self, customer: str, start: int, end: int, outcome: Outcome, limit: int, part: str = ""
    ) -> list[LoggedRequest]:
        found = [
            (stored.logged.second, stored.logged.millisecond or 0, cell, stored.logged)
            for (_, _, cell), stored in self._store.requests.items()
            if stored.customer == customer
            and start <= stored.logged.second < end
            and _has(stored.logged.status, outcome)
            and part in stored.logged.path
        ]
        latest = sorted(found, key=lambda row: row[:3], reverse=True)[:limit]
        return [logged._replace(path=logged.path[:MOST_OF_PATH]) for *_, logged in latest]

    async def knows(self, customer: str) -> bool:
        return customer in self._daily(0, sys.maxsize)

    async def customer_names(self) -> list[str]:
        return [customer for customer in self._daily(0, sys.maxsize) if customer is not None]

    async def daily_of_customers(
        self, customers: Sequence[str], first: int, last: int
    ) -> dict[str, dict[int, DailyAggregate]]:
        of_all = self._daily(first, last)
        return {name: of_all[name] for name in customers if name in of_all}

    async def daily_of_all_customers(
        self, first: int, last: int
    ) -> AsyncIterator[dict[str, dict[int, DailyAggregate]]]:
        for name, days in self._daily(first, last).items():
            if name is not None:
                yield {name: days}

    async def states(self) -> list[WriterState]:
        found: dict[str, dict[str, str]] = {}
        for writer, key, row in self._store.rows_of(StateKey):
            if key.name in ("counts", "rollups", "report", "requests"):
                found.setdefault(writer, {})[key.name] = row
        return [WriterState.of(writer, rows) for writer, rows in sorted(found.items())]

    async def intents(self, since: Mapping[str, int | None]) -> list[StoredIntent]:
        found: list[StoredIntent] = []
        for of_writer, place in since.items():
            all_of_it = sorted(
                StoredIntent(writer, key.number, key.number, row)
                for writer, key, row in self._store.rows_of(IntentKey)
                if writer == of_writer and key.number >= (place or 0)
            )
            found += all_of_it if place is not None else all_of_it[-LATEST_INTENTS:]
        return sorted(found, key=lambda intent: intent.place)

    async def logs(self) -> list[tuple[str, LedgerRow]]:
        rows = [(writer, key.log, row) for writer, key, row in self._store.rows_of(LogKey)]
        return [(writer, decode_log(log, row)) for writer, log, row in sorted(rows)]

    async def observed_ends(self) -> list[tuple[str, ObservedEnd]]:
        rows = [(writer, key.log, row) for writer, key, row in self._store.rows_of(ObservedKey)]
        return [(writer, decode_observed_end(log, row)) for writer, log, row in sorted(rows)]

    async def files(self) -> list[tuple[str, FileRow]]:
        rows = [(writer, *key, row) for writer, key, row in self._store.rows_of(FileKey)]
        return [(writer, decode_file(log, generation, row)) for writer, log, generation, row in sorted(rows)]

    async def aclose(self) -> None:
        """Nothing is kept open."""

    def _daily(self, first: int, last: int) -> dict[str | None, dict[int, DailyAggregate]]:
        found: dict[str | None, dict[int, list[DailyAggregate]]] = {}
        for _, key, row in self._store.rows_of(DailyKey):
            if first <= key.day <= last:
                found.setdefault(key.customer, {}).setdefault(key.day, []).append(decode_daily(row))
        return {
            customer: {day: added_up(rows) for day, rows in sorted(days.items())} for customer, days in found.items()
        }
