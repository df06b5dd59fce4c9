"""Stores for tests: either backend, filled from the lines of a log."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from influxd import InfluxServer
from log_processor.breakdowns import KINDS
from log_processor.pending import Pending
from request_log import simple
from request_log.requests import NONE, Parser
from rollups.counters import pack, unpack
from rollups.counts import BreakdownKey, CountsKey, DayCounts, Position
from rollups.groups import EMPTY
from storage.contract import LedgerRow, Storage, StoredRequests
from storage.influxdb import InfluxStorage
from storage.sqlite import SqliteStorage


@dataclass(frozen=True)
class Store:
    """A store that was set up."""

    environment: dict[str, str]
    """Names it to a service."""
    open: Callable[[], Storage]
    """Opens a connection."""

    def fill(self, lines: bytes, parse: Parser = simple.parse) -> None:
        """Store valid lines, as all there is of the log `log`; once only."""
        requests, _ = parse(lines, 0, 0)
        counts: dict[CountsKey, DayCounts] = {}
        for customer, day, status, latency in zip(
            requests.customer_ids(),
            requests.days.tolist(),
            requests.statuses.tolist(),
            requests.latencies.tolist(),
            strict=True,
        ):
            for whose in (customer, None):
                row = counts.setdefault((whose, day), DayCounts())
                row.statuses[status] += 1
                row.latencies.update([latency] if latency != NONE else [])
        storage = self.open()
        storage.begin()
        storage.prepare([StoredRequests("log", 0, requests)])()
        ledger = LedgerRow(
            log="log",
            path="/logs/log",
            first=Position(0, 0),
            position=Position(0, len(lines)),
            fingerprint="fingerprint",
            read=len(requests),
            stored=len(requests),
            newest=int(requests.seconds.max()),
        )
        pending = Pending("log", Position(0, 0))
        pending.take(0, requests.to_count(), Position(0, len(lines)))
        broken_down = {
            BreakdownKey(group.number, group.day, kind): pending.add(group, kind, EMPTY)[0]
            for group in pending.groups()
            for kind in KINDS
        }
        storage.write_breakdowns(broken_down)
        commit_counts(storage, counts, [ledger])


def commit_counts(storage: Storage, counts: Mapping[CountsKey, DayCounts], ledger: Sequence[LedgerRow]) -> None:
    """`Storage.commit` of rows that are not packed."""
    storage.commit({key: pack(row) for key, row in counts.items()}, ledger)


def read_counts(storage: Storage, keys: Collection[CountsKey]) -> dict[CountsKey, DayCounts]:
    """`Storage.read_counts`, unpacked."""
    return {key: unpack(row) for key, row in storage.read_counts(keys).items()}


def to_no_store(parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
    """`Storage.prepare` for who only wants to see what is read."""
    for _ in parts:
        pass
    return lambda: []


@contextmanager
def sqlite_store(folder: Path) -> Iterator[Store]:
    """A fresh SQLite store in the folder."""
    path = folder / "requests.sqlite"
    with _store({"STORAGE": "sqlite", "SQLITE_PATH": str(path)}, lambda: SqliteStorage(path)) as store:
        yield store


@contextmanager
def influxdb_store(server: InfluxServer) -> Iterator[Store]:
    """A fresh bucket of the server."""
    bucket = server.new_bucket()
    environment = {
        "STORAGE": "influxdb",
        "INFLUXDB_URL": server.url,
        "INFLUXDB_ORG": server.org,
        "INFLUXDB_BUCKET": bucket,
        "INFLUXDB_TOKEN": server.admin_token,
    }
    with _store(environment, lambda: InfluxStorage(server.url, server.org, bucket, server.admin_token)) as store:
        yield store


@contextmanager
def _store(environment: dict[str, str], connect: Callable[[], Storage]) -> Iterator[Store]:
    opened: list[Storage] = []

    def open_storage() -> Storage:
        opened.append(connect())
        return opened[-1]

    try:
        open_storage().set_up()
        yield Store(environment, open_storage)
    finally:
        for storage in opened:
            storage.close()
