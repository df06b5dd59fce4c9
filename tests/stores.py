"""Stores for tests: of either kind, filled from the lines of a log."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from msgspec import structs

from influxd import InfluxServer
from log_processor.counting.start import start
from log_processor.parsing.batch import parse_chunk
from log_processor.parsing.chunk import Chunk, Part
from request_log.formats import simple
from request_log.requests import Parser
from rollups.counters import pack, unpack
from rollups.counts import DailyAggregate, DailyKey, DayCounts
from rollups.rows import encode_daily
from storage.contract import Storage
from storage.influxdb import InfluxStorage
from storage.keys import IntentKey, LogKey, ObservedKey, StateKey
from storage.ledger import Intent, Ledger, Report, encode_intent, encode_ledger, encode_report
from storage.logs import LedgerRow, Position, encode_log
from storage.observed import ObservedEnd, encode_observed_end
from storage.requests import StoredRequests
from storage.sqlite import SqliteStorage
from storage.writers import MAIN

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Store:
    """A store that was set up."""

    environment: dict[str, str]
    """The environment variables that name the store to a service."""
    connect: Callable[[str], Storage]
    """Opens a connection as the writer of this name."""

    def open(self, writer: str = MAIN) -> Storage:
        """Opens a connection."""
        return self.connect(writer)

    def fill(self, lines: bytes, parse: Parser = simple.parse, writer: str = MAIN, log: str = "log") -> None:
        """Store and count valid lines as the whole of a log. Only once for each log."""
        storage = self.open(writer)
        count_lines(storage, lines, parse, log)


async def everyone(storage: Storage, first: int, last: int) -> dict[str, dict[int, DailyAggregate]]:
    """Customer -> day -> daily aggregate, of all customers."""
    return {name: days async for some in storage.daily_of_all_customers(first, last) for name, days in some.items()}


def count_lines(
    storage: Storage,
    lines: bytes,
    parse: Parser = simple.parse,
    log: str = "log",
    before_rollups: Callable[[], None] = lambda: None,
) -> None:
    """Store and count the lines of a log as its writer, in one commit of counts and one of roll-ups.

    `before_rollups`: is called between the two.
    """
    logs, counts, rollups = start(storage, storage.acquire(), "")
    end = Position(0, len(lines))
    part = Part(log, f"/logs/{log}", Position(0, 0), end, "identity", len(lines))
    logs.begin(LedgerRow(log, part.path, part.start, part.start))
    # A file has its number before any of its lines is stored.
    (begun,) = parse_chunk(
        Chunk((structs.replace(part, end=part.start, length=0),)), parse, 0, logs.file, storage.prepare
    ).parts
    logs.take(begun)
    batch = parse_chunk(Chunk((part,), lines), parse, 0, logs.file, storage.prepare)
    batch.store()
    for of_log in batch.parts:
        logs.take(of_log)
    rollups.open.take(batch.requests)
    counts.commit(rollups.open, 0, lambda _: None, 0, 0)
    before_rollups()
    rollups.finish(math.inf)
    counts.close()


def commit_daily(
    storage: Storage,
    counts: Mapping[DailyKey, DayCounts],
    number: int,
    token: int = 0,
    logs: Sequence[LedgerRow] = (),
    complete_through: float | None = None,
) -> None:
    """Commit daily aggregates and rows of logs, by the contract alone."""
    customers = tuple(sorted({key.customer for key in counts if key.customer is not None}))
    days = tuple(sorted({key.day for key in counts}))
    ledger = Ledger(number, complete_through)
    intent = Intent(number, token, (), 0, 0, 0, logs=tuple(logs), customers=customers, days=days, ledger=ledger)
    storage.write({IntentKey(number): encode_intent(intent)})
    write_daily(storage, counts, number)
    storage.write({LogKey(row.log): encode_log(row) for row in logs})
    storage.write({StateKey("counts"): encode_ledger(ledger)})


def write_report(storage: Storage, report: Report, observed_ends: Iterable[ObservedEnd] = ()) -> None:
    """Write the report of a processor."""
    storage.write(
        {ObservedKey(observed_end.log): encode_observed_end(observed_end) for observed_end in observed_ends},
        {StateKey("report"): encode_report(report)},
    )


def write_daily(storage: Storage, counts: Mapping[DailyKey, DayCounts], commit: int = 1) -> None:
    """Write daily aggregates."""
    storage.write({key: encode_daily(pack(row, commit)) for key, row in counts.items()})


def read_daily(storage: Storage, keys: Collection[DailyKey]) -> dict[DailyKey, DayCounts]:
    """`Storage.read_daily`, as counters."""
    return {key: unpack(row) for key, row in storage.read_daily(keys).items()}


async def days_of(storage: Storage, customer: str | None, first: int, last: int) -> dict[int, DayCounts]:
    """`Storage.daily_of_customer`, as counters."""
    return {day: unpack(row) for day, row in (await storage.daily_of_customer(customer, first, last)).items()}


def ask(storage: Storage, question: Callable[[Storage], Awaitable[Answer]]) -> Answer:
    """The answer of the asynchronous half, which is closed then."""

    async def answer() -> Answer:
        try:
            return await question(storage)
        finally:
            await storage.aclose()

    return asyncio.run(answer())


def to_no_store(parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
    """A `Storage.prepare` that stores nothing, for tests of reading."""
    for _ in parts:
        pass
    return lambda: []


@contextmanager
def sqlite_store(folder: Path) -> Iterator[Store]:
    """A fresh SQLite store in the folder."""
    path = folder / "requests.sqlite"
    with _store({"STORAGE": "sqlite", "SQLITE_PATH": str(path)}, lambda writer: SqliteStorage(path, writer)) as store:
        yield store


@contextmanager
def influxdb_store(server: InfluxServer, expires: bool = True) -> Iterator[Store]:
    """A fresh bucket of the server, deleted after. `expires`: whether it forgets old requests and counts."""
    bucket = server.new_bucket(expires)
    environment = {
        "STORAGE": "influxdb",
        "INFLUXDB_URL": server.url,
        "INFLUXDB_ORG": server.org,
        "INFLUXDB_BUCKET": bucket,
        "INFLUXDB_TOKEN": server.admin_token,
    }

    def connect(writer: str) -> Storage:
        return InfluxStorage(server.url, server.org, bucket, server.admin_token, writer=writer)

    try:
        with _store(environment, connect) as store:
            yield store
    finally:
        server.delete_bucket(bucket)


@contextmanager
def _store(environment: dict[str, str], connect: Callable[[str], Storage]) -> Iterator[Store]:
    opened: list[Storage] = []

    def open_storage(writer: str) -> Storage:
        opened.append(connect(writer))
        return opened[-1]

    try:
        open_storage(MAIN).set_up()
        yield Store(environment, open_storage)
    finally:
        for storage in opened:
            storage.close()
