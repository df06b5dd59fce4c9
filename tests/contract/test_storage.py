"""The storage contract: the same tests on every backend."""

import asyncio
import gc
import random
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import accumulate
from operator import methodcaller
from pathlib import Path
from typing import Any, Protocol, TypeVar
from unittest.mock import patch

import numpy as np
import pytest

from influxd import InfluxServer
from json_log import PARSE, json_line
from lines import CUSTOMERS, valid_lines
from memory_store import MemoryStorage, MemoryStore
from request_log.formats.simple import parse
from request_log.line import Mended, Reason
from request_log.requests import NONE, Requests
from rollups.counters import encode_counter
from rollups.counts import DailyKey, DayCounts, Kind, RollupKey, RollupRow, RollupSegmentKey
from rollups.figures import figures
from rollups.groups import (
    ALL_CUSTOMERS,
    ALL_OF_HOUR,
    EVERYBODY,
    encode_names,
    group_of,
    histograms_of_endpoint_parts,
    histograms_of_endpoints,
    histograms_of_hours,
)
from rollups.rows import encode_rollup
from storage.contract import MAIN, Storage
from storage.errors import LeaseHeld, StorageRefused
from storage.influxdb import InfluxStorage
from storage.influxdb.client import Client
from storage.influxdb.lease import Lease
from storage.influxdb.line_protocol import AFTER_ALL_LINES, DAY
from storage.influxdb.schema import COUNTS
from storage.keys import FileKey, IntentKey, Key, LogKey, ObservedKey, RolledUpKey, StateKey
from storage.ledger import (
    Intent,
    Ledger,
    RolledUp,
    RollupLedger,
    decode_intent,
    decode_ledger,
    decode_rolled_up,
    decode_rollup_ledger,
    encode_intent,
    encode_ledger,
    encode_rolled_up,
    encode_rollup_ledger,
)
from storage.logs import FileRow, Gap, LedgerRow, Position, decode_file, decode_log, encode_file, encode_log
from storage.observed import ObservedEnd, encode_observed_end
from storage.owner import LeaseOwner
from storage.requests import FileId, LoggedRequest, OffsetRange, StoredRequests
from storage.sqlite import SqliteStorage
from stores import count_lines, days_of, influxdb_store, read_daily, sqlite_store, write_daily

TODAY = int(time.time()) // 86_400
MIDNIGHT = TODAY * 86_400
ODD_CUSTOMERS = [
    "plain",
    'quo"te',
    "com,ma",
    "equals=sign",
    "back\\slash\\",
    "ünïcödé-客户",
    "a/b",
    "..",
    "%41",
    "$c",
    "'or'1",
]
ODD_LOGS = ["log", "odd name,=\\", "ünï/%41", "report", "counts"]
"""Some are called as rows of another kind are."""

Answer = TypeVar("Answer")


class OpenStorage(Protocol):
    """Opens a connection to one store, as a writer."""

    def __call__(self, writer: str = MAIN) -> Storage: ...


@pytest.fixture(params=["sqlite", "influxdb", "memory"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], OpenStorage]]:
    """Makes fresh stores of a kind."""
    with ExitStack() as stack:

        def make() -> OpenStorage:
            if request.param == "memory":
                store = MemoryStore()
                return lambda writer=MAIN: MemoryStorage(store, writer)
            if request.param == "influxdb":
                server: InfluxServer = request.getfixturevalue("influxd")
                return stack.enter_context(influxdb_store(server)).open
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            return stack.enter_context(sqlite_store(folder)).open

        yield make


@pytest.fixture
def open_storage(new_store: Callable[[], OpenStorage]) -> OpenStorage:
    """Opens connections to one fresh store."""
    return new_store()


@pytest.fixture
def influxdb_bucket(influxd: InfluxServer) -> Iterator[tuple[InfluxServer, str]]:
    """A server, and a fresh bucket in it that was set up."""
    with influxdb_store(influxd) as store:
        yield influxd, store.environment["INFLUXDB_BUCKET"]


def ask(storage: Storage, question: Callable[[Storage], Awaitable[Answer]]) -> Answer:
    """The answer of the asynchronous half, which is closed then."""

    async def answer() -> Answer:
        try:
            return await question(storage)
        finally:
            await storage.aclose()

    return asyncio.run(answer())


def counts(statuses: dict[int, int], latencies: dict[int, int]) -> DayCounts:
    return DayCounts(Counter(statuses), Counter(latencies))


def log_row(log: str = "log", offset: int = 100) -> LedgerRow:
    return LedgerRow(
        log=log,
        path="/logs/a log",
        first=Position(1, 7),
        position=Position(3, offset),
        bytes=420,
        read=12,
        stored=10,
        rejected=Counter({Reason.FIELDS: 1, Reason.TIME: 1}),
        skipped=3,
        mended=Counter({Mended.DURATION: 2}),
        gaps=(Gap(Position(2, 5), 'a "reason"'),),
        newest=1_700_000_000,
    )


def test_an_empty_store_knows_nothing(open_storage: OpenStorage) -> None:
    asking = open_storage()

    async def look(storage: Storage) -> None:
        await storage.ping()
        assert await storage.states() == []
        assert await storage.logs() == []
        assert await storage.files() == []
        assert await storage.observed_ends() == []
        assert await storage.intents({MAIN: 0}) == []
        assert await storage.days(None, 0, TODAY) == {}
        assert await storage.days("nobody", 0, TODAY) == {}
        assert await storage.customers(None, 0, TODAY) == {}
        assert await storage.customer_names() == []
        assert await storage.customers(["nobody"], 0, TODAY) == {}
        assert await storage.rollups(7, ["parts", "endpoints"], 0, TODAY) == {}
        assert await storage.requests("nobody", 0, MIDNIGHT, "all", 10) == []
        assert not await storage.knows("nobody")

    ask(asking, look)
    writing = open_storage()
    writing.acquire()
    assert writing.read_state("counts") == ""
    assert writing.read_intent(1) == ""
    assert writing.read_logs() == ({}, {}, {})
    assert writing.read_daily([DailyKey(None, TODAY), DailyKey("nobody", TODAY)]) == {}
    assert writing.read_rollups([RollupKey(7, TODAY, "parts")]) == {}
    writing.check_lease()


def test_each_lease_has_a_higher_token(open_storage: OpenStorage) -> None:
    tokens = []
    for _ in range(3):
        writing = open_storage()
        tokens.append(writing.acquire())
        writing.close()
    assert sorted(set(tokens)) == tokens


def test_what_is_read_back_is_freed_without_a_search_for_cycles(open_storage: OpenStorage) -> None:
    """The processor, which reads very much back, hardly ever searches for them."""
    storage = open_storage()
    storage.acquire()
    key = DailyKey("a", TODAY)
    write_daily(storage, {key: counts({200: 1}, {1: 1})})
    reads = 20
    gc.collect()
    gc.disable()
    try:
        for _ in range(reads):
            assert storage.read_daily([key])
        assert gc.collect() < reads
    finally:
        gc.enable()


@pytest.mark.parametrize("customer", ODD_CUSTOMERS)
def test_counts_come_back_as_they_went_in(open_storage: OpenStorage, customer: str) -> None:
    writing = open_storage()
    writing.acquire()
    yesterday, today = counts({200: 3}, {5: 3}), counts({200: 1, 500: 2}, {0: 1, 86_400_000: 2})
    rows = {DailyKey(customer, TODAY - 1): yesterday, DailyKey(customer, TODAY): today}
    write_daily(writing, rows, commit=17)

    assert read_daily(writing, [*rows, DailyKey("other", TODAY)]) == rows
    assert {row.commit for row in writing.read_daily(list(rows)).values()} == {17}

    async def look(storage: Storage) -> None:
        assert await days_of(storage, customer, TODAY - 5, TODAY) == {TODAY - 1: yesterday, TODAY: today}
        assert await days_of(storage, customer, TODAY, TODAY) == {TODAY: today}
        assert await storage.knows(customer)
        of_all = await storage.customers(None, TODAY - 5, TODAY)
        assert of_all == {customer: await storage.days(customer, TODAY - 5, TODAY)}

    ask(open_storage(), look)


def test_a_later_row_replaces_an_earlier_one_also_after_a_restart(open_storage: OpenStorage) -> None:
    key = DailyKey("customer", TODAY)
    for commit in (100, 200, 300):
        writing = open_storage()
        writing.acquire()
        write_daily(writing, {key: counts({200: 1}, {1: 1})})
        latest = counts({200: commit}, {1: commit})
        write_daily(writing, {key: latest})
        writing.write({StateKey("counts"): encode_ledger(Ledger(commit))}, {LogKey("log"): encode_log(log_row())})
        later = log_row(offset=commit)
        writing.write({LogKey("log"): encode_log(later)}, {StateKey("counts"): encode_ledger(Ledger(commit + 1))})
        writing.close()
        reading = open_storage()
        reading.acquire()
        assert read_daily(reading, [key]) == {key: latest}
        assert decode_ledger(reading.read_state("counts")) == Ledger(commit + 1)
        assert decode_log("log", reading.read_logs()[0]["log"]) == later
        reading.close()

    async def look(storage: Storage) -> None:
        assert (await days_of(storage, "customer", TODAY, TODAY))[TODAY].statuses == {200: 300}
        assert (await storage.customers(None, TODAY, TODAY)).keys() == {"customer"}
        assert [decode_ledger(state.counts).number for state in await storage.states()] == [301]
        assert await storage.logs() == [(MAIN, log_row(offset=300))]

    ask(open_storage(), look)


def test_all_customers_together_have_rows_of_their_own(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.acquire()
    key, row = DailyKey(None, TODAY), counts({200: 5}, {7: 5})
    write_daily(writing, {key: row})
    assert read_daily(writing, [key, DailyKey(None, TODAY - 1)]) == {key: row}

    async def look(storage: Storage) -> None:
        assert await days_of(storage, None, TODAY, TODAY) == {TODAY: row}
        assert await storage.customers(None, TODAY, TODAY) == {}
        assert await storage.customer_names() == []

    ask(open_storage(), look)


def test_rows_of_logs_come_back(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.acquire()
    logs = [log_row(log, offset) for offset, log in enumerate(ODD_LOGS)]
    files = [
        FileRow(
            log,
            generation,
            3,
            1 << 40,
            1,
            7 * generation,
            99,
            "open",
            '/logs/a "log"',
            'an "identity"',
            generation or None,
        )
        for log in ODD_LOGS
        for generation in (0, 12)
    ]
    through = {log: RolledUp(2, {1: offset}) for offset, log in enumerate(ODD_LOGS)}
    ends = [ObservedEnd(log, 1_700_000_000.25, Position(1, 2), 30, 40, 50) for log in ODD_LOGS]
    of_files: dict[Key, str] = {FileKey(row.log, row.generation): encode_file(row) for row in files}
    writing.write(
        {LogKey(row.log): encode_log(row) for row in logs} | of_files,
        {RolledUpKey(log): encode_rolled_up(row) for log, row in through.items()},
        {ObservedKey(row.log): encode_observed_end(row) for row in ends},
        {StateKey("report"): "[1]", StateKey("rollups_intent"): "[2]"},
    )
    writing.close()
    reading = open_storage()
    reading.acquire()
    found_logs, found_files, rolled_up = reading.read_logs()
    assert {log: decode_log(log, row) for log, row in found_logs.items()} == {row.log: row for row in logs}
    assert {key: decode_file(*key, row) for key, row in found_files.items()} == {
        FileKey(row.log, row.generation): row for row in files
    }
    assert {log: decode_rolled_up(row) for log, row in rolled_up.items()} == through
    assert (reading.read_state("report"), reading.read_state("rollups_intent")) == ("[1]", "[2]")
    assert reading.read_state("rollups") == ""

    async def look(storage: Storage) -> None:
        assert await storage.logs() == [(MAIN, row) for row in sorted(logs, key=lambda row: row.log)]
        assert await storage.observed_ends() == [(MAIN, row) for row in sorted(ends, key=lambda row: row.log)]
        assert await storage.files() == [
            (MAIN, row) for row in sorted(files, key=lambda row: (row.log, row.generation))
        ]
        (state,) = await storage.states()
        assert (state.writer, state.counts, state.rollups, state.report) == (MAIN, "", "", "[1]")

    ask(open_storage(), look)


def test_rows_of_files_are_removed(open_storage: OpenStorage) -> None:
    storage = open_storage()
    storage.acquire()
    keys = [FileKey(log, number) for log in ODD_LOGS for number in (0, 1, 12)]
    storage.write({key: encode_file(FileRow(key.log, key.generation)) for key in keys})
    storage.remove_files([FileKey(log, 1) for log in ODD_LOGS])
    storage.remove_files([])
    _, files, _ = storage.read_logs()
    assert files.keys() == {key for key in keys if key.generation != 1}


def test_requests_can_be_stored_twice(open_storage: OpenStorage) -> None:
    lines = b"".join(line_of(number, MIDNIGHT + number % 3, "", "0.5") for number in range(10))
    writing = open_storage()
    writing.acquire()
    file = FileId("log", 0, 0, 0)
    for _ in range(2):
        assert store(writing, file, lines) == []
    (found,) = writing.read_requests([OffsetRange(file, 0, len(lines))], MIDNIGHT, MIDNIGHT + 2)
    assert len(found) == 10


def test_observed_ends_are_replaced(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.acquire()
    for age in (5.5, 0.25):
        rows = [ObservedEnd(log, 1_700_000_000 - age, Position(1, 2), 30, 40, 50) for log in ("a", "b c")]
        writing.write({ObservedKey(row.log): encode_observed_end(row) for row in rows})
        writing.compact()
    assert ask(open_storage(), lambda storage: storage.observed_ends()) == [(MAIN, row) for row in rows]


def test_rows_that_were_replaced_are_removed_in_time(influxdb_bucket: tuple[InfluxServer, str]) -> None:
    server, bucket = influxdb_bucket
    keys = [DailyKey("a", TODAY), DailyKey('o"d,d', TODAY), DailyKey(None, TODAY)]
    segments = [RollupSegmentKey(7, TODAY, "parts", 0)]
    for commit in (100, 200, 300):
        writing = InfluxStorage(server.url, server.org, bucket, server.admin_token)
        writing.acquire()
        writing.read_daily(keys)
        writing.read_rollups([RollupKey(*segments[0][:3])])
        write_daily(writing, dict.fromkeys(keys, counts({200: commit}, {1: commit})))
        writing.write({key: encode_rollup(segment_of("parts", 0, commit)) for key in segments})
        writing.write({LogKey("log"): encode_log(log_row(offset=commit))})
        writing.compact()
        writing.close()
    with server.client() as client:
        for measurement, rows in (("daily", 2), ("daily_all", 1), ("rollups", 1), ("logs", 1)):
            query = {"db": f"{bucket}{COUNTS}", "q": f"SELECT count(row) FROM {measurement}"}
            (result,) = client.get("/query", params=query).json()["results"]
            assert result["series"][0]["values"][0][1] == rows
    asking = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    assert {row.statuses[200] for row in read_daily(asking, keys).values()} == {300}
    asking.close()


def test_a_row_is_never_read_half_old_and_half_new(open_storage: OpenStorage) -> None:
    writing, asking = open_storage(), open_storage()
    writing.acquire()
    done = threading.Event()

    def overwrite() -> None:
        for count in range(1, 300):
            write_daily(writing, {DailyKey("customer", TODAY): counts({200: count}, {1: count})}, count)
        done.set()

    async def look(storage: Storage) -> None:
        while not done.is_set():
            for row in (await days_of(storage, "customer", TODAY, TODAY)).values():
                assert row.statuses[200] == row.latencies[1]

    thread = threading.Thread(target=overwrite)
    thread.start()
    ask(asking, look)
    thread.join()


def test_very_many_latencies_are_stored(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.acquire()
    key, row = DailyKey("customer", TODAY), counts({200: 300_000}, dict.fromkeys(range(0, 86_400_000, 288), 1))
    write_daily(writing, {key: row})
    assert read_daily(writing, [key]) == {key: row}


def intent_of(number: int, token: int, *customers: str) -> str:
    return encode_intent(Intent(number, token, (), 0, 0, 0, customers=customers, days=(TODAY,)))


def test_intents_come_back_from_a_place_on(open_storage: OpenStorage) -> None:
    rows: list[str] = []
    for numbers in ([1, 2, 3], [4, 5]):
        writing = open_storage()
        token = writing.acquire()
        for number in numbers:
            rows.append(intent_of(number, token, *ODD_CUSTOMERS[:number]))
            writing.write({IntentKey(number): rows[-1]})
        assert [writing.read_intent(number) for number in range(1, 7)] == [*rows, *[""] * (6 - len(rows))]
        writing.close()
    found = ask(open_storage(), lambda storage: storage.intents({MAIN: 0}))
    assert [(intent.writer, intent.number, intent.row) for intent in found] == [
        (MAIN, number, row) for number, row in enumerate(rows, 1)
    ]
    assert [intent.place for intent in found] == sorted({intent.place for intent in found})
    for first, intent in enumerate(found):
        assert ask(open_storage(), methodcaller("intents", {MAIN: intent.place})) == found[first:]


def test_of_two_intents_of_a_number_the_later_one_counts(open_storage: OpenStorage) -> None:
    for name in ("first", "second"):
        writing = open_storage()
        token = writing.acquire()
        for turn in "ab":
            writing.write({IntentKey(1): intent_of(1, token, f"{name} {turn}")})
        assert decode_intent(writing.read_intent(1)).customers == (f"{name} b",)
        writing.close()
    found = ask(open_storage(), lambda storage: storage.intents({MAIN: 0}))
    latest = {intent.number: intent.row for intent in found}
    assert decode_intent(latest[1]).customers == ("second b",)


def test_the_last_thousand_intents_are_kept(open_storage: OpenStorage) -> None:
    for first in (1, 1_001):
        writing = open_storage()
        token = writing.acquire()
        writing.write({IntentKey(number): intent_of(number, token) for number in range(first, first + 1_000)})
        writing.compact()
        writing.close()
    numbers = [intent.number for intent in ask(open_storage(), lambda storage: storage.intents({MAIN: 0}))]
    assert set(numbers) == set(range(1_001, 2_001))


@pytest.mark.parametrize(
    "key",
    [
        DailyKey(None, TODAY),
        RollupSegmentKey(ALL_CUSTOMERS, TODAY, "parts", 0),
        LogKey("log"),
        FileKey("log", 0),
        RolledUpKey("log"),
        ObservedKey("log"),
        StateKey("counts"),
        StateKey("rollups_intent"),
    ],
    ids=repr,
)
def test_a_row_of_a_lease_that_the_store_lacks_is_none(influxdb_bucket: tuple[InfluxServer, str], key: Key) -> None:
    """A processor writes a row after the store was emptied, and before it finds out."""
    server, bucket = influxdb_bucket
    writing = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    writing.acquire()
    writing.write({key: "1 names={}"})
    client = Client(server.url, server.org, server.admin_token, 10.0)
    counts_bucket = f"{bucket}{COUNTS}"
    client.delete(counts_bucket, '_measurement="tokens"', 0, AFTER_ALL_LINES + DAY)
    next_one = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    next_one.acquire()
    for measurement in ("daily_all", "rollups", "logs", "files", "rolled_up", "observed", "state"):
        assert client.ask(counts_bucket, f"SELECT row FROM {measurement}", {}) == []
    for storage in (writing, next_one):
        storage.close()
    client.close()


def test_an_intent_of_before_the_store_was_emptied_is_none(influxdb_bucket: tuple[InfluxServer, str]) -> None:
    server, bucket = influxdb_bucket
    writing = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    token = writing.acquire()
    writing.write({IntentKey(1): intent_of(1, token - 1), IntentKey(2): intent_of(2, token)})
    writing.close()
    next_one = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    next_one.acquire()
    assert (next_one.read_intent(1), next_one.read_intent(2)) == ("", intent_of(2, token))
    next_one.close()


def test_a_process_with_a_successor_takes_no_token_and_ends(
    influxdb_bucket: tuple[InfluxServer, str],
) -> None:
    """A process is paused between the check of its lease and its next fencing token."""
    server, bucket = influxdb_bucket
    counts_bucket = f"{bucket}{COUNTS}"

    class PausedClient(Client):
        takes_over: Callable[[], object] | None = None

        def write(self, bucket: str, lines: bytes) -> None:
            if lines.startswith(b"tokens") and self.takes_over is not None:
                takes_over, self.takes_over = self.takes_over, None
                takes_over()
            super().write(bucket, lines)

    client = PausedClient(server.url, server.org, server.admin_token, 10.0)
    paused = Lease(client, counts_bucket, MAIN)
    paused.wait_until_free()
    paused.acquire()
    with patch.object(LeaseOwner, "this_process", return_value=LeaseOwner("elsewhere", 1, 1)):
        successor = Lease(client, counts_bucket, MAIN)

    def take_over() -> None:
        # Fencing tokens go by tenths of a second, and a successor waits for ten seconds.
        time.sleep(0.3)
        successor.acquire()

    client.takes_over = take_over
    paused.token = None
    with pytest.raises(LeaseHeld, match="process 1 on elsewhere"), paused.writing():
        pytest.fail("it would hide the rows of its successor")
    successor.check()
    for lease in (paused, successor):
        lease.release()
    client.close()


def test_some_customers_are_asked_for_at_once(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.acquire()
    keys = [DailyKey(customer, TODAY - age) for customer in ODD_CUSTOMERS for age in (0, 1, 9)]
    rows = {key: counts({200: n + 1}, {n: n + 1}) for n, key in enumerate([*keys, DailyKey(None, TODAY)])}
    write_daily(writing, rows)

    async def look(storage: Storage) -> None:
        assert sorted(await storage.customer_names()) == sorted(ODD_CUSTOMERS)
        found = await storage.customers([*ODD_CUSTOMERS[2:], "nobody"], TODAY - 5, TODAY)
        assert found.keys() == set(ODD_CUSTOMERS[2:])
        for customer, of_customer in found.items():
            assert of_customer == await storage.days(customer, TODAY - 5, TODAY)
            assert len(of_customer) == 2
        for customer in ODD_CUSTOMERS:
            days = await storage.days(customer, TODAY - 5, TODAY)
            assert await storage.customers([customer], TODAY - 5, TODAY) == {customer: days}

    ask(open_storage(), look)


def test_sqlite_has_every_field_of_a_request_once(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    lines = b'2026-11-23 16:15:35 cu"s /a"b\\c 200 0.7720\n2026-11-23 16:15:36 other /d 404 12\n'
    writing = SqliteStorage(path)
    writing.set_up()
    writing.acquire()
    for log, generation in (("log", 0), ("log", 1), ("other", 0), ("log", 0)):
        requests, *_ = parse(lines, offset=1_000)
        file = FileId(log, generation, 0, 0)
        writing.prepare([StoredRequests([file], requests.offsets * 0, requests)])()
        writing.flush()
    writing.close()
    query = """
        SELECT log, generation, requests.id & ((1 << 40) - 1), time, customer_id, request_path, status_code, duration
        FROM requests JOIN sources ON sources.id = requests.id >> 40
    """
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(query).fetchall()
    requests_of_file = [
        (1_000, 1_795_450_535, 'cu"s', '/a"b\\c', 200, 0.772),
        (1_000 + lines.index(b"\n") + 1, 1_795_450_536, "other", "/d", 404, 12.0),
    ]
    sources = [("log", 0), ("log", 1), ("other", 0)]
    assert sorted(rows) == [(*source, *request) for source in sources for request in requests_of_file]


def test_a_sqlite_store_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE requests (log TEXT, generation INTEGER, offset INTEGER)")
    storage = SqliteStorage(path)
    for action in (storage.set_up, storage.acquire, lambda: asyncio.run(storage.states())):
        with pytest.raises(StorageRefused, match="has schema 0"):
            action()
    storage.close()


@pytest.fixture
def asked_sqlite(tmp_path: Path) -> Iterator[SqliteStorage]:
    """A store that is asked, and was before: of one customer."""
    storage = SqliteStorage(tmp_path / "requests.sqlite")
    storage.set_up()
    write_customer(tmp_path, "earlier")
    assert asyncio.run(storage.customer_names()) == ["earlier"]
    yield storage
    asyncio.run(storage.aclose())


def write_customer(folder: Path, customer: str) -> None:
    """By a processor that begins and ends."""
    writing = SqliteStorage(folder / "requests.sqlite")
    writing.acquire()
    write_daily(writing, {DailyKey(customer, TODAY): counts({200: 1}, {7: 1})})
    writing.close()


@pytest.mark.parametrize("how", ["by another file", "into the same file"])
def test_a_sqlite_store_that_was_put_back_is_asked(asked_sqlite: SqliteStorage, tmp_path: Path, how: str) -> None:
    path, copy = tmp_path / "requests.sqlite", tmp_path / "copy"
    # As others do it: a program that closes the file lets go of all its own locks on it.
    subprocess.run(["cp", path, copy], check=True)
    write_customer(tmp_path, "later")
    assert asyncio.run(asked_sqlite.customer_names()) == ["earlier", "later"]
    subprocess.run(["mv" if how == "by another file" else "cp", copy, path], check=True)
    for name in ("requests.sqlite-wal", "requests.sqlite-shm"):
        (tmp_path / name).unlink()
    assert asyncio.run(asked_sqlite.customer_names()) == ["earlier"]
    write_customer(tmp_path, "at last")
    assert asyncio.run(asked_sqlite.customer_names()) == ["at last", "earlier"]


def test_a_sqlite_store_that_was_brought_up_to_another_schema_is_refused(
    asked_sqlite: SqliteStorage, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "requests.sqlite")) as connection:
        connection.execute("PRAGMA user_version=1000")
    with pytest.raises(StorageRefused, match="has schema 1000"):
        asyncio.run(asked_sqlite.customer_names())


def test_a_sqlite_file_is_whole_without_the_others_when_its_processor_has_ended(
    asked_sqlite: SqliteStorage, tmp_path: Path
) -> None:
    write_customer(tmp_path, "later")
    subprocess.run(["cp", tmp_path / "requests.sqlite", tmp_path / "copy"], check=True)
    copied = SqliteStorage(tmp_path / "copy")
    assert asyncio.run(copied.customer_names()) == ["earlier", "later"]
    asyncio.run(copied.aclose())


def segment_of(kind: Kind, segment: int, requests: int, names: str = "{}", commit: int = 9) -> RollupRow:
    return RollupRow(kind, segment, names, encode_counter({200: requests}), encode_counter({7: requests}), commit)


def write_segments(storage: Storage, group: int, day: int, *rows: RollupRow) -> None:
    for row in rows:
        storage.write({RollupSegmentKey(group, day, row.kind, row.segment): encode_rollup(row)})


@pytest.mark.parametrize("customer", ODD_CUSTOMERS)
def test_rollups_come_back_a_segment_after_the_other(open_storage: OpenStorage, customer: str) -> None:
    names = encode_names({customer: ["/a", '/b"c\\', "/ü/{id}/…", "(other)"]})
    group = group_of(customer)
    rows = [segment_of("endpoints", segment, 100 + segment, names) for segment in range(12)]
    last, parts, before = segment_of("endpoints", 11, 200, names), segment_of("parts", 0, 3), segment_of("parts", 0, 4)
    left = RollupRow("endpoint_parts", 0, names, encode_counter({200: 1}), encode_counter({}), 10, left=2)
    for run in range(2):
        writing = open_storage()
        writing.acquire()
        write_segments(writing, group, TODAY, *rows[run:], last, parts)
        write_segments(writing, group, TODAY - 1, before)
        write_segments(writing, ALL_OF_HOUR + 23, TODAY, left)
        writing.close()
    reading = open_storage()
    reading.acquire()
    found = {
        RollupKey(group, TODAY, "endpoints"): last,
        RollupKey(group, TODAY, "parts"): parts,
        RollupKey(group, TODAY - 1, "parts"): before,
        RollupKey(ALL_OF_HOUR + 23, TODAY, "endpoint_parts"): left,
    }
    others = [RollupKey(group, TODAY - 1, "endpoints"), RollupKey(group + 1, TODAY, "parts")]
    assert reading.read_rollups([*found, *others]) == found

    async def look(storage: Storage) -> None:
        of_endpoints = await storage.rollups(group, ["endpoints"], TODAY - 5, TODAY)
        assert {day: sorted(of_day) for day, of_day in of_endpoints.items()} == {TODAY: [*rows[:11], last]}
        of_both = await storage.rollups(group, ["parts", "endpoints"], TODAY - 5, TODAY)
        assert of_both[TODAY - 1] == [before]
        assert sorted(of_both[TODAY]) == [*rows[:11], last, parts]
        assert await storage.rollups(group, ["parts"], TODAY - 9, TODAY - 1) == {TODAY - 1: [before]}
        assert await storage.rollups(group, ["hours"], TODAY - 9, TODAY) == {}
        assert await storage.rollups(ALL_OF_HOUR + 23, ["endpoint_parts"], TODAY, TODAY) == {TODAY: [left]}

    ask(open_storage(), look)


def store(storage: Storage, file: FileId, lines: bytes, start: int = 0) -> list[int]:
    """Store the requests of these lines, which begin at this offset of their file."""
    requests, rejected, *_ = PARSE(lines, start, 0)
    assert not rejected
    refused = storage.prepare([StoredRequests([file], requests.offsets * 0, requests)])()
    storage.flush()
    return refused


def test_the_stored_requests_of_a_stretch_are_read_back(open_storage: OpenStorage) -> None:
    pick = random.Random(1)
    lines = [
        json_line(
            time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(MIDNIGHT + n % 60)) + pick.choice(["", ".5", ".25"]),
            f'cu"s{n % 3}',
            f'/a"b\\c{n % 4}' + "x" * pick.randrange(20),
            200 + n,
            pick.choice(["", "0.5", f"0.{n:04d}", "12"]),
        )
        for n in range(100)
    ]
    offsets = [0, *accumulate(map(len, lines))]
    whole = b"".join(lines)
    base = -(-len(whole) // 16) * 16
    files = [FileId("log", 0, 0, 0), FileId("log", 1, 0, base), FileId("other", 0, 1, 0)]
    writing = open_storage()
    writing.acquire()
    for file in files:
        store(writing, file, whole[: offsets[40]])
        store(writing, file, whole[offsets[40] :], offsets[40])
    for first, last in ((0, 100), (3, 98), (50, 51), (40, 60), (99, 100), (50, 50), *((0, n) for n in range(1, 40))):
        expected = rows_of(PARSE(whole, 0, 0)[0])[first:last]
        for file in files:
            wanted = OffsetRange(file, offsets[first], offsets[last])
            found = [row for part in writing.read_requests([wanted], MIDNIGHT, MIDNIGHT + 59) for row in rows_of(part)]
            assert [row[:-1] for row in found] == [row[:-1] for row in expected]
            assert all(true <= offset < true + 16 for (*_, offset), (*_, true) in zip(found, expected, strict=True))
    # At least those of the seconds that are asked for.
    some = list(writing.read_requests([OffsetRange(files[0], 0, len(whole))], MIDNIGHT + 10, MIDNIGHT + 19))
    seconds = Counter(second for part in some for second in part.seconds.tolist())
    assert all(seconds[MIDNIGHT + second] == (2 if second < 40 else 1) for second in range(10, 20))


def rows_of(requests: Requests) -> list[tuple[Any, ...]]:
    """The requests, but for their durations as logged."""
    columns = (requests.statuses, requests.latencies, requests.seconds, requests.offsets)
    return list(
        zip(requests.customer_ids(), requests.request_paths(), *(column.tolist() for column in columns), strict=True)
    )


def line_of(number: int, second: int, fraction: str = "", duration: str = "") -> bytes:
    """A line of a log in JSON, of one second."""
    time_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)) + fraction
    return json_line(time_text, f"cust_{number % 3}", f"/{number}", 200, duration)


def test_a_request_keeps_its_milliseconds_and_lacks_a_duration_that_it_did_not_have(open_storage: OpenStorage) -> None:
    lines = b"".join(
        [
            line_of(0, MIDNIGHT),
            line_of(0, MIDNIGHT, ".5", "0.25"),
            line_of(0, MIDNIGHT, ".007"),
            line_of(0, MIDNIGHT + 1, "", "12"),
            line_of(0, MIDNIGHT, ".007999"),
        ]
    )
    storage = open_storage()
    storage.acquire()
    store(storage, FileId("log", 0, 0, 0), lines)
    of_whole_second, *others = ask(
        open_storage(), lambda asking: asking.requests("cust_0", MIDNIGHT, MIDNIGHT + 10, "all", 10)
    )
    assert of_whole_second == LoggedRequest(MIDNIGHT + 1, None, "/0", 200, 12.0)
    assert sorted(others, key=repr) == sorted(
        [
            LoggedRequest(MIDNIGHT, 500, "/0", 200, 0.25),
            LoggedRequest(MIDNIGHT, 7, "/0", 200, None),
            LoggedRequest(MIDNIGHT, 7, "/0", 200, None),
            LoggedRequest(MIDNIGHT, None, "/0", 200, None),
        ],
        key=repr,
    )


@pytest.mark.parametrize("present", [("method", "bytes"), ("method",), ("bytes",), ()])
def test_a_request_keeps_its_method_and_its_bytes(open_storage: OpenStorage, present: tuple[str, ...]) -> None:
    texts = ["GET", "", "POST", 'an "odd" \\ one\\', "ünï"] if "method" in present else [""]
    all_sizes = [0, 1, NONE, 1 << 40, 512] if "bytes" in present else [NONE]
    lines = b"".join(line_of(0, MIDNIGHT + n, "", "0.5") for n in range(40))
    requests = replace(
        PARSE(lines)[0],
        method_texts=texts,
        methods=np.arange(40) % len(texts),
        sizes=np.array(all_sizes)[np.arange(40) // 5 % len(all_sizes)],
    )
    requests = replace(requests, customers=requests.customers * 0, statuses=200 + requests.seconds % 7)
    file = FileId("log", 0, 0, 0)
    writing = open_storage()
    writing.acquire()
    # A part without either stands beside it.
    parts = [
        StoredRequests([file], requests.offsets * 0, requests),
        StoredRequests([file], requests.offsets[:0], Requests()),
    ]
    assert writing.prepare(parts)() == []
    writing.flush()

    sizes = requests.sizes.tolist()
    (back,) = writing.read_requests([OffsetRange(file, 0, len(lines))], MIDNIGHT, MIDNIGHT + 39)
    assert (back.request_methods(), back.sizes.tolist()) == (requests.request_methods(), sizes)
    assert back.statuses.tolist() == requests.statuses.tolist()

    found = ask(open_storage(), lambda asking: asking.requests("cust_0", MIDNIGHT, MIDNIGHT + 40, "all", 100))
    expected = [
        (status, method or None, None if size == NONE else size)
        for status, method, size in zip(requests.statuses.tolist(), requests.request_methods(), sizes, strict=True)
    ]
    assert [(one.status, one.method, one.bytes) for one in reversed(found)] == expected


def test_requests_of_one_time_are_told_apart_wherever_they_are_in_their_log(open_storage: OpenStorage) -> None:
    storage = open_storage()
    storage.acquire()
    file = FileId("log", 0, 0, 0)
    # As far apart as what the nanoseconds of a millisecond can count, and as those of a second.
    offsets = [0, 16 * 10**6, 2 * 16 * 10**6, 999 * 16 * 10**6, 16 * 10**9 - 200]
    lines = line_of(0, MIDNIGHT, ".123", "0.25") + line_of(0, MIDNIGHT, "", "0.25")
    for offset in offsets:
        store(storage, file, lines, offset)
    (found,) = storage.read_requests([OffsetRange(file, 0, 16 * 10**9)], MIDNIGHT, MIDNIGHT)
    length = len(line_of(0, MIDNIGHT, ".123", "0.25"))
    true = [start for offset in offsets for start in (offset, offset + length)]
    assert len(found) == len(true)
    assert all(start <= given < start + 16 for start, given in zip(true, found.offsets, strict=True))


def test_requests_at_one_place_of_several_files_are_told_apart(open_storage: OpenStorage) -> None:
    files = [FileId("log", 0, 0, 0), FileId("log", 1, 0, 16 << 30), FileId("other", 0, 1, 0)]
    line = line_of(0, MIDNIGHT, ".5", "0.25")
    for writer in (MAIN, "second"):
        storage = open_storage(writer)
        storage.acquire()
        for file in files:
            store(storage, file, line, 100)
        for file in files:
            (found,) = storage.read_requests([OffsetRange(file, 0, 1_000)], MIDNIGHT, MIDNIGHT)
            assert len(found) == 1
    found_all = ask(open_storage(), lambda asking: asking.requests("cust_0", MIDNIGHT, MIDNIGHT + 1, "all", 100))
    assert found_all == [LoggedRequest(MIDNIGHT, 500, "/0", 200, 0.25)] * 6


def test_what_has_expired_is_removed(open_storage: OpenStorage) -> None:
    storage = open_storage()
    if isinstance(storage, InfluxStorage):
        pytest.skip("the bucket's retention does it")
    storage.acquire()
    file = FileId("log", 0, 0, 0)
    lines = [line_of(0, MIDNIGHT - 86_400 * age) for age in (2, 1, 0)]
    store(storage, file, b"".join(lines))
    write_daily(storage, {DailyKey("a", TODAY - age): counts({200: 1}, {1: 1}) for age in (0, 1, 2)})
    for age in (0, 1, 2):
        write_segments(storage, 7, TODAY - age, segment_of("parts", 0, 1))
    storage.remove_expired(TODAY - 1)

    async def look(asking: Storage) -> None:
        assert sorted(await asking.days("a", 0, TODAY)) == [TODAY - 1, TODAY]
        assert sorted(await asking.rollups(7, ["parts"], 0, TODAY)) == [TODAY - 1, TODAY]
        assert len(await asking.requests("cust_0", 0, MIDNIGHT + 1, "all", 10)) == 2

    ask(open_storage(), look)
    (found,) = storage.read_requests([OffsetRange(file, 0, len(b"".join(lines)))], 0, MIDNIGHT)
    assert len(found) == 2


def test_the_rows_of_two_writers_are_apart(open_storage: OpenStorage) -> None:
    daily, rollup = DailyKey("a", TODAY), RollupKey(7, TODAY, "parts")
    for number, writer in enumerate((MAIN, "second"), 1):
        storage = open_storage(writer)
        token = storage.acquire()
        write_daily(storage, {daily: counts({200: number}, {number: 1})}, number)
        write_segments(storage, 7, TODAY, segment_of("parts", number, number))
        storage.write(
            {
                LogKey("log"): encode_log(log_row("log", number)),
                FileKey("log", number): encode_file(FileRow("log", number, 0, 0)),
            },
            {RolledUpKey("log"): encode_rolled_up(RolledUp(number))},
            {ObservedKey("log"): encode_observed_end(ObservedEnd("log", 0.5, Position(0, number), 0, 0, 0))},
            {StateKey("counts"): encode_ledger(Ledger(number)), StateKey("report"): str(number)},
            {StateKey("rollups"): encode_rollup_ledger(RollupLedger(number))},
            {IntentKey(1): intent_of(1, token, writer)},
        )
        storage.compact()
        storage.close()
    for number, writer in enumerate((MAIN, "second"), 1):
        storage = open_storage(writer)
        storage.acquire()
        assert read_daily(storage, [daily]) == {daily: counts({200: number}, {number: 1})}
        assert storage.read_rollups([rollup]) == {rollup: segment_of("parts", number, number)}
        logs, files, rolled_up = storage.read_logs()
        assert decode_log("log", logs["log"]) == log_row("log", number)
        assert [*files] == [FileKey("log", number)]
        assert decode_rolled_up(rolled_up["log"]) == RolledUp(number)
        assert decode_ledger(storage.read_state("counts")) == Ledger(number)
        assert decode_intent(storage.read_intent(1)).customers == (writer,)
        storage.close()

    async def look(storage: Storage) -> None:
        assert await days_of(storage, "a", TODAY, TODAY) == {TODAY: counts({200: 3}, {1: 1, 2: 1})}
        rows = (await storage.rollups(7, ["parts"], TODAY, TODAY))[TODAY]
        assert sorted(rows) == [segment_of("parts", number, number) for number in (1, 2)]
        states = await storage.states()
        assert [(state.writer, decode_ledger(state.counts).number, state.report) for state in states] == [
            (MAIN, 1, "1"),
            ("second", 2, "2"),
        ]
        assert [decode_rollup_ledger(state.rollups).number for state in states] == [1, 2]
        assert await storage.logs() == [(MAIN, log_row("log", 1)), ("second", log_row("log", 2))]
        assert [(writer, seen.position.offset) for writer, seen in await storage.observed_ends()] == [
            (MAIN, 1),
            ("second", 2),
        ]
        assert [(writer, file.generation) for writer, file in await storage.files()] == [(MAIN, 1), ("second", 2)]
        found = await storage.intents({MAIN: 0, "second": 0})
        assert sorted((one.writer, *(decode_intent(one.row).customers or ())) for one in found) == [
            (MAIN, MAIN),
            ("second", "second"),
        ]
        places = {one.writer: one.place for one in found}
        assert await storage.intents({MAIN: places[MAIN], "second": places["second"] + 1}) == [
            one for one in found if one.writer == MAIN
        ]

    ask(open_storage(), look)


def test_what_two_writers_count_adds_up_to_what_one_does(new_store: Callable[[], OpenStorage]) -> None:
    first, second = valid_lines(400, seed=1), valid_lines(300, seed=2, customers=[*CUSTOMERS[3:], "of_the_second"])
    together, apart = new_store(), new_store()
    count_lines(together(), first + second)
    count_lines(apart(), first, log="log")
    # The same name is another log there.
    count_lines(apart("second"), second, log="log")
    names = {*CUSTOMERS, "of_the_second"}

    async def everything(storage: Storage) -> dict[str, Any]:
        found: dict[str, Any] = {"names": sorted(await storage.customer_names())}
        for name in [*names, None]:
            days = await storage.days(name, 0, TODAY)
            found[f"days of {name}"] = {day: row._replace(commit=0) for day, row in days.items()}
        for what, asked in (("all", None), ("some", sorted(names)[1:])):
            customers = await storage.customers(asked, 0, TODAY)
            found[f"{what} customers"] = {
                name: {day: row._replace(commit=0) for day, row in days.items()} for name, days in customers.items()
            }
        for name in names:
            found[f"whether {name} is known"] = await storage.knows(name)
            for day, rows in (await storage.rollups(group_of(name), ["parts"], 0, TODAY)).items():
                histograms = histograms_of_hours(rows, name)
                found[f"hours of {name} {day}"] = {hour: figures(histogram) for hour, histogram in histograms.items()}
            for day, rows in (await storage.rollups(group_of(name), ["endpoints"], 0, TODAY)).items():
                of_endpoints = histograms_of_endpoints(rows, name)
                found[f"endpoints of {name} {day}"] = {
                    part: figures(histogram) for part, histogram in of_endpoints.items()
                }
            for outcome in ("all", "failed"):
                requests = await storage.requests(name, 0, MIDNIGHT + 86_400, outcome, 1_000)
                found[f"requests of {name} {outcome}"] = sorted(requests, key=repr)
                assert [request.second for request in requests] == sorted(
                    (request.second for request in requests), reverse=True
                )
        for day, rows in (await storage.rollups(ALL_CUSTOMERS, ["parts"], 0, TODAY)).items():
            histograms = histograms_of_hours(rows, EVERYBODY)
            found[f"hours {day}"] = {hour: figures(histogram) for hour, histogram in histograms.items()}
        for hour in range(24):
            for day, rows in (await storage.rollups(ALL_OF_HOUR + hour, ["endpoint_parts"], 0, TODAY)).items():
                of_both = histograms_of_endpoint_parts(rows)
                found[f"parts {day} {hour}"] = {part: figures(histogram) for part, histogram in of_both.items()}
        return found

    found, expected = ask(apart(), everything), ask(together(), everything)
    for what, answer in expected.items():
        assert found[what] == answer, what
    assert found.keys() == expected.keys()
    logs = ask(apart(), lambda storage: storage.logs())
    assert [(writer, row.stored) for writer, row in logs] == [(MAIN, 400), ("second", 300)]
