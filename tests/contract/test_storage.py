"""The storage contract: the same tests on every backend."""

import asyncio
import gc
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from influxd import InfluxServer
from json_log import PARSE, json_line
from request_log.line import Reason
from request_log.requests import Requests
from request_log.simple import parse
from rollups.counters import encode_counter
from rollups.counts import Breakdown, BreakdownKey, CountsKey, DayCounts, Position
from rollups.groups import encode_names, group_of
from storage.changes import Changes, Mark
from storage.contract import Gap, LedgerRow, LoggedRequest, Sighting, Storage, StorageRefused, StoredRequests, Stretch
from storage.influxdb import InfluxStorage
from storage.sqlite import SqliteStorage
from stores import Store, commit_counts, read_counts

OpenStorage = Callable[[], Storage]
TODAY = int(time.time()) // 86_400
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


@pytest.fixture
def open_storage(store: Store) -> OpenStorage:
    """Opens connections to one fresh store."""
    return store.open


@pytest.fixture
def influxdb_bucket(influxd: InfluxServer) -> tuple[InfluxServer, str]:
    """A server, and a fresh bucket in it."""
    return influxd, influxd.new_bucket()


def counts(statuses: dict[int, int], latencies: dict[int, int], offset: int = 100) -> DayCounts:
    return DayCounts(Counter(statuses), Counter(latencies), {"log": Position(0, offset)})


def ledger(offset: int = 100, log: str = "log") -> LedgerRow:
    return LedgerRow(
        log=log,
        path="/logs/a log",
        first=Position(1, 7),
        position=Position(3, offset),
        fingerprint="print",
        read=12,
        stored=10,
        rejected={Reason.FIELDS: 1, Reason.TIME: 1},
        gaps=(Gap(Position(2, 5), 'a "reason"'),),
        newest=1_700_000_000,
        pending=Stretch(Position(3, offset - 7), 1_600_000_000, 1_700_000_000, (Position(2, 9), Position(3, offset))),
    )


def test_an_empty_store_knows_nothing(open_storage: OpenStorage) -> None:
    asking = open_storage()

    async def ask() -> None:
        await asking.ping()
        assert await asking.ledger() == []
        assert await asking.days(None, 0, TODAY) == {}
        assert await asking.days("nobody", 0, TODAY) == {}
        assert await asking.customers(0, TODAY) == {}
        assert not await asking.knows("nobody")
        await asking.aclose()

    asyncio.run(ask())
    assert open_storage().begin() == []


def test_what_is_read_back_is_freed_without_a_search_for_cycles(open_storage: OpenStorage) -> None:
    """The processor, which reads very much back, hardly ever searches for them."""
    storage = open_storage()
    storage.begin()
    commit_counts(storage, {("a", TODAY): counts({200: 1}, {1: 1})}, [ledger()])
    reads = 20
    gc.collect()
    gc.disable()
    try:
        for _ in range(reads):
            assert read_counts(storage, [("a", TODAY)])
        assert gc.collect() < reads
    finally:
        gc.enable()


@pytest.mark.parametrize("customer", ODD_CUSTOMERS)
def test_counts_come_back_as_they_went_in(open_storage: OpenStorage, customer: str) -> None:
    writing, asking = open_storage(), open_storage()
    writing.begin()
    yesterday, today = counts({200: 3}, {5: 3}), counts({200: 1, 500: 2}, {0: 1, 86_400_000: 2})
    rows: dict[CountsKey, DayCounts] = {(customer, TODAY - 1): yesterday, (customer, TODAY): today}
    commit_counts(writing, rows, [ledger()])

    assert read_counts(writing, [*rows, ("other", TODAY)]) == rows

    async def ask() -> None:
        days = await asking.days(customer, TODAY - 5, TODAY)
        assert [(day, row.statuses, row.latencies) for day, row in days.items()] == [
            (TODAY - 1, yesterday.statuses, yesterday.latencies),
            (TODAY, today.statuses, today.latencies),
        ]
        assert list(await asking.days(customer, TODAY, TODAY)) == [TODAY]
        assert await asking.knows(customer)
        total = (await asking.customers(TODAY - 5, TODAY))[customer]
        assert total.statuses == {200: 4, 500: 2}
        assert total.latencies == {5: 3, 0: 1, 86_400_000: 2}
        await asking.aclose()

    asyncio.run(ask())


def test_a_later_row_replaces_an_earlier_one_also_after_a_restart(open_storage: OpenStorage) -> None:
    key: CountsKey = ("customer", TODAY)
    for run, offset in enumerate([100, 200, 300]):
        writing = open_storage()
        assert [row.position for row in writing.begin()] == ([Position(3, offset - 100)] if run else [])
        latest = counts({200: offset}, {1: offset}, offset)
        commit_counts(writing, {key: counts({200: 1}, {1: 1})}, [])
        commit_counts(writing, {key: latest}, [ledger(offset=offset)])
        assert read_counts(open_storage(), [key]) == {key: latest}
        writing.close()

    asking = open_storage()

    async def ask() -> None:
        assert (await asking.days("customer", TODAY, TODAY))[TODAY].statuses == {200: 300}
        assert (await asking.customers(TODAY, TODAY))["customer"].statuses == {200: 300}
        await asking.aclose()

    asyncio.run(ask())


def test_all_customers_together_have_rows_of_their_own(open_storage: OpenStorage) -> None:
    writing, asking = open_storage(), open_storage()
    writing.begin()
    row = counts({200: 5}, {7: 5})
    commit_counts(writing, {(None, TODAY): row}, [])
    assert read_counts(writing, [(None, TODAY), (None, TODAY - 1)]) == {(None, TODAY): row}

    async def ask() -> None:
        assert (await asking.days(None, TODAY, TODAY))[TODAY].latencies == {7: 5}
        assert await asking.customers(TODAY, TODAY) == {}
        await asking.aclose()

    asyncio.run(ask())


def test_the_ledger_comes_back_a_row_a_log(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.begin()
    rows = [ledger(log="odd name,=\\"), ledger(log="second", offset=7)]
    writing.commit({}, rows)
    writing.close()
    assert open_storage().begin() == rows


def test_requests_can_be_stored_twice(open_storage: OpenStorage) -> None:
    lines = "".join(f'2026-11-23 16:15:35 cu"s{n} /a"b\\c 200 0.7{n}\n' for n in range(10)).encode()
    lines = lines.replace(b"2026-11-23", time.strftime("%Y-%m-%d", time.gmtime()).encode())
    writing = open_storage()
    writing.begin()
    for _ in range(2):
        assert writing.prepare([StoredRequests("log", 0, parse(lines)[0])])() == []
        writing.commit({}, [])


def test_sightings_come_back(open_storage: OpenStorage) -> None:
    writing, asking = open_storage(), open_storage()
    writing.begin()
    for age in (5.5, 0.25):
        rows = [Sighting(log, 1_700_000_000 - age, Position(1, 2), 30, 40) for log in ("a", "b c")]
        writing.report(rows)

    async def ask() -> None:
        assert await asking.progress() == ([], rows)
        await asking.aclose()

    asyncio.run(ask())


def test_rows_that_were_replaced_are_removed_in_time(influxdb_bucket: tuple[InfluxServer, str]) -> None:
    server, bucket = influxdb_bucket
    keys: list[CountsKey] = [("a", TODAY), ('o"d,d', TODAY), (None, TODAY)]
    for offset in (100, 200, 300):
        writing = InfluxStorage(server.url, server.org, bucket, server.admin_token)
        writing.begin()
        read_counts(writing, keys)
        commit_counts(writing, dict.fromkeys(keys, counts({200: offset}, {1: offset}, offset)), [])
        writing.report([])
        writing.close()
    with server.client() as client:
        for measurement, rows in (("customer_day", 2), ("all_day", 1)):
            query = {"db": bucket, "q": f"SELECT count(row) FROM {measurement}"}
            (result,) = client.get("/query", params=query).json()["results"]
            assert result["series"][0]["values"][0][1] == rows
    asking = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    assert {row.statuses[200] for row in read_counts(asking, keys).values()} == {300}
    asking.close()


def test_a_row_is_never_read_half_old_and_half_new(open_storage: OpenStorage) -> None:
    writing, asking = open_storage(), open_storage()
    writing.begin()
    done = threading.Event()

    def overwrite() -> None:
        for count in range(1, 300):
            row = counts({200: count}, {1: count}, count)
            commit_counts(writing, {("customer", TODAY): row}, [])
        done.set()

    async def ask() -> None:
        while not done.is_set():
            for row in (await asking.days("customer", TODAY, TODAY)).values():
                assert row.statuses[200] == row.latencies[1]
        await asking.aclose()

    thread = threading.Thread(target=overwrite)
    thread.start()
    asyncio.run(ask())
    thread.join()


def test_very_many_latencies_are_stored(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.begin()
    row = counts({200: 300_000}, dict.fromkeys(range(0, 86_400_000, 288), 1))
    commit_counts(writing, {("customer", TODAY): row}, [])
    assert read_counts(writing, [("customer", TODAY)]) == {("customer", TODAY): row}


def ask_changes(storage: Storage, since: Mark | None) -> Changes:
    async def ask() -> Changes:
        try:
            return await storage.changes(since)
        finally:
            await storage.aclose()

    return asyncio.run(ask())


def test_the_store_tells_whose_counts_were_changed_since(open_storage: OpenStorage) -> None:
    writing = open_storage()
    writing.begin()
    assert ask_changes(open_storage(), None) == Changes(None, None)

    def change(*customers: str | None, day: int = TODAY) -> Mark:
        commit_counts(writing, {(customer, day): counts({200: 1}, {1: 1}) for customer in customers}, [ledger()])
        mark = ask_changes(open_storage(), None).mark
        assert mark is not None
        return mark

    first, second = change("a", None), change(*ODD_CUSTOMERS, None, day=TODAY - 3)
    third = change("b", "c", None)
    writing.commit({}, [ledger(offset=200)])
    assert ask_changes(open_storage(), third) == Changes(third, frozenset())
    assert ask_changes(open_storage(), second) == Changes(third, frozenset("bc"), frozenset({TODAY}))
    assert ask_changes(open_storage(), first) == Changes(
        third, frozenset({*ODD_CUSTOMERS, "b", "c"}), frozenset({TODAY, TODAY - 3})
    )
    for unknown in (None, (first[0] + 1, first[1]), (third[0], third[1] + 1)):
        assert ask_changes(open_storage(), unknown).customers is None
    everybody = change(*(f"a customer with a long name {n}" for n in range(2_000)))
    assert ask_changes(open_storage(), third) == Changes(everybody, None)


def test_the_store_tells_what_was_changed_since_an_earlier_processor(open_storage: OpenStorage) -> None:
    marks: list[Mark] = []
    for n, customer in enumerate("abcd"):
        writing = open_storage()
        writing.begin()
        commit_counts(writing, {(customer, TODAY - n): counts({200: 1}, {1: 1})}, [ledger()])
        commit_counts(writing, {("often", TODAY - n): counts({200: 1}, {1: 1})}, [ledger()])
        writing.report([])
        writing.close()
        last = ask_changes(open_storage(), None).mark
        assert last is not None
        # Of the latest but one each store knows it.
        for mark in marks[-1:]:
            assert ask_changes(open_storage(), mark) == Changes(
                last, frozenset({customer, "often"}), frozenset({TODAY - n})
            )
        for n_then, mark in enumerate(marks):
            told = ask_changes(open_storage(), mark).customers
            assert told is None or told == {*"abcd"[n_then + 1 : n + 1], "often"}
        marks.append(last)


def test_what_was_changed_long_ago_is_forgotten(open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sqlite._COMMITS_KEPT", 3)
    monkeypatch.setattr("storage.influxdb._COMMITS_KEPT", 3)
    marks: list[Mark | None] = []
    for _ in range(2):
        writing = open_storage()
        writing.begin()
        for n in range(10):
            commit_counts(writing, {(f"customer {n}", TODAY): counts({200: 1}, {1: 1})}, [ledger()])
            writing.report([])
            marks.append(ask_changes(open_storage(), None).mark)
        writing.close()
    assert ask_changes(open_storage(), marks[0]).customers is None
    assert ask_changes(open_storage(), marks[12]).customers is None
    assert ask_changes(open_storage(), marks[-3]) == Changes(
        marks[-1], frozenset({"customer 8", "customer 9"}), frozenset({TODAY})
    )


def test_some_customers_are_asked_for_at_once(open_storage: OpenStorage) -> None:
    writing, asking = open_storage(), open_storage()
    writing.begin()
    keys: list[CountsKey] = [(customer, TODAY - age) for customer in ODD_CUSTOMERS for age in (0, 1, 9)]
    commit_counts(writing, {key: counts({200: n + 1}, {n: n + 1}) for n, key in enumerate([*keys, (None, TODAY)])}, [])

    async def ask() -> None:
        assert sorted(await asking.customer_names()) == sorted(ODD_CUSTOMERS)
        found = await asking.packed_customers([*ODD_CUSTOMERS[2:], "nobody"], TODAY - 5, TODAY)
        assert found.keys() == set(ODD_CUSTOMERS[2:])
        for customer, rows in found.items():
            days = await asking.packed_days(customer, TODAY - 5, TODAY)
            assert rows == days
            assert len(rows) == 2
        for customer in ODD_CUSTOMERS:
            rows = await asking.packed_days(customer, TODAY - 5, TODAY)
            assert await asking.packed_customers([customer], TODAY - 5, TODAY) == {customer: rows}
        await asking.aclose()

    asyncio.run(ask())


def test_sqlite_has_every_field_of_a_request_once(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    lines = b'2026-11-23 16:15:35 cu"s /a"b\\c 200 0.7720\n2026-11-23 16:15:36 other /d 404 12\n'
    writing = SqliteStorage(path)
    writing.set_up()
    writing.begin()
    for log, generation in (("log", 0), ("log", 1), ("other", 0), ("log", 0)):
        writing.prepare([StoredRequests(log, generation, parse(lines, offset=1_000)[0])])()
        writing.commit({}, [])
    writing.close()
    query = """
        SELECT log, generation, requests.id & ((1 << 40) - 1), time, customer_id, request_path, status_code, duration
        FROM requests JOIN sources ON sources.id = requests.id >> 40
    """
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(query).fetchall()
    requests = [
        (1_000, 1_795_450_535, 'cu"s', '/a"b\\c', 200, 0.772),
        (1_000 + lines.index(b"\n") + 1, 1_795_450_536, "other", "/d", 404, 12.0),
    ]
    sources = [("log", 0), ("log", 1), ("other", 0)]
    assert sorted(rows) == [(*source, *request) for source in sources for request in requests]


def test_a_sqlite_store_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE requests (log TEXT, generation INTEGER, offset INTEGER)")
    storage = SqliteStorage(path)
    for action in (storage.set_up, storage.begin, lambda: asyncio.run(storage.ledger())):
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
    writing.begin()
    commit_counts(writing, {(customer, TODAY): DayCounts(Counter({200: 1}), Counter({7: 1}))}, [])
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


def breakdown(segment: int, offset: int, names: str = "{}") -> Breakdown:
    return Breakdown(
        segment, names, encode_counter({200: offset}), encode_counter({7: offset}), f'{{"log": [0, {offset}]}}'
    )


@pytest.mark.parametrize("customer", ODD_CUSTOMERS)
def test_breakdowns_come_back_a_segment_after_the_other(open_storage: OpenStorage, customer: str) -> None:
    names = encode_names({customer: ["/a", '/b"c\\', "/ü/{id}/…", "(other)"]})
    paths = BreakdownKey(group_of(customer), TODAY, "paths")
    hours = BreakdownKey(group_of(customer), TODAY, "hours")
    before = BreakdownKey(group_of(customer), TODAY - 1, "paths")
    for run in range(2):
        writing = open_storage()
        writing.begin()
        for segment in range(run, 12):
            writing.write_breakdowns({paths: breakdown(segment, 100, names)})
        writing.write_breakdowns({paths: breakdown(11, 200, names), hours: breakdown(0, 3), before: breakdown(0, 4)})
        writing.close()
    asking = open_storage()
    unknown = BreakdownKey(group_of(customer), TODAY - 1, "hours")
    assert asking.read_breakdowns([paths, hours, before, unknown, BreakdownKey(group_of("other"), TODAY, "paths")]) == {
        paths: breakdown(11, 200, names),
        hours: breakdown(0, 3),
        before: breakdown(0, 4),
    }

    async def ask() -> None:
        found = await asking.breakdowns(customer, "paths", TODAY - 5, TODAY)
        assert sorted(found) == [TODAY - 1, TODAY]
        assert found[TODAY - 1] == [breakdown(0, 4)]
        assert sorted(found[TODAY]) == [
            *(breakdown(segment, 100, names) for segment in range(11)),
            breakdown(11, 200, names),
        ]
        assert await asking.breakdowns(customer, "hours", TODAY, TODAY) == {TODAY: [breakdown(0, 3)]}
        assert await asking.breakdowns(customer, "hours", TODAY - 9, TODAY - 1) == {}
        await asking.aclose()

    asyncio.run(ask())


def test_the_stored_requests_of_a_stretch_are_read_back(open_storage: OpenStorage) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    lines = [
        f'{day} 00:00:{n % 60:02d} cu"s{n % 3} /a"b\\c{n % 4} {200 + n} 0.{n:04d}{"1" * (n % 7)}\n'.encode()
        for n in range(100)
    ]
    offsets = [0, *accumulate(map(len, lines))]
    writing = open_storage()
    writing.begin()
    for log, generation in (("log", 0), ("log", 1), ("other", 0)):
        parts = [parse(b"".join(lines[:40]))[0], Requests(), parse(b"".join(lines[40:]), offsets[40])[0]]
        writing.prepare([StoredRequests(log, generation, part) for part in parts])()
        writing.commit({}, [])
    midnight = TODAY * 86_400
    for first, last in (
        ((0, 0), (0, 100)),
        ((0, 3), (0, 98)),
        ((0, 50), (1, 50)),
        ((1, 99), (1, 100)),
        ((1, 100), (1, 100)),
    ):
        start, end = (Position(generation, offsets[line]) for generation, line in (first, last))
        ends = tuple(Position(generation, offsets[-1]) for generation in range(start.generation, 2))
        found = [
            (stored.generation, *request)
            for stored in writing.read_requests("log", Stretch(start, midnight, midnight + 59, ends), end)
            for request in rows_of(stored.requests)
        ]
        expected = [
            (generation, *request)
            for generation in (0, 1)
            for line, request in enumerate(rows_of(parse(b"".join(lines))[0]))
            if first <= (generation, line) < last
        ]
        assert [row[:-1] for row in found] == [row[:-1] for row in expected]
        assert all(true <= offset < true + 16 for (*_, offset), (*_, true) in zip(found, expected, strict=True))


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
    midnight = TODAY * 86_400
    lines = b"".join(
        [
            line_of(0, midnight),
            line_of(0, midnight, ".5", "0.25"),
            line_of(0, midnight, ".007"),
            line_of(0, midnight + 1, "", "12"),
            line_of(0, midnight, ".007999"),
        ]
    )
    storage = open_storage()
    storage.begin()
    requests, rejected = PARSE(lines, 0, 0)
    assert not rejected
    storage.prepare([StoredRequests("log", 0, requests)])()
    storage.commit({}, [])

    async def ask() -> list[LoggedRequest]:
        found = await storage.requests("cust_0", midnight, midnight + 10, "all", 10)
        await storage.aclose()
        return found

    of_whole_second, *others = asyncio.run(ask())
    assert of_whole_second == LoggedRequest(midnight + 1, None, "/0", 200, 12.0)
    assert sorted(others, key=repr) == sorted(
        [
            LoggedRequest(midnight, 500, "/0", 200, 0.25),
            LoggedRequest(midnight, 7, "/0", 200, None),
            LoggedRequest(midnight, 7, "/0", 200, None),
            LoggedRequest(midnight, None, "/0", 200, None),
        ],
        key=repr,
    )


def test_requests_of_one_time_are_told_apart_wherever_they_are_in_their_log(open_storage: OpenStorage) -> None:
    midnight = TODAY * 86_400
    storage = open_storage()
    storage.begin()
    # As far apart as what the nanoseconds of a millisecond can count, and as those of a second.
    offsets = [0, 16 * 10**6, 2 * 16 * 10**6, 999 * 16 * 10**6, 16 * 10**9 - 200]
    for number, offset in enumerate(offsets):
        lines = line_of(0, midnight, ".123", "0.25") + line_of(0, midnight, "", "0.25")
        storage.prepare([StoredRequests("log", 0, PARSE(lines, offset, 0)[0])])()
        storage.commit({}, [ledger(offset + number)])
    end = Position(0, 16 * 10**9)
    (found,) = storage.read_requests("log", Stretch(Position(0, 0), midnight, midnight, (end,)), end)
    length = len(line_of(0, midnight, ".123", "0.25"))
    true = [start for offset in offsets for start in (offset, offset + length)]
    assert len(found.requests) == len(true)
    assert all(start <= given < start + 16 for start, given in zip(true, found.requests.offsets, strict=True))


OLDER_REQUESTS = """
CREATE TABLE older AS
SELECT id, time, customer_id, request_path, status_code, coalesce(duration, 0) AS duration FROM requests;
DROP TABLE requests;
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, time INTEGER NOT NULL, customer_id TEXT NOT NULL, request_path TEXT NOT NULL,
    status_code INTEGER NOT NULL, duration REAL NOT NULL
);
INSERT INTO requests SELECT * FROM older; DROP TABLE older;
"""


def test_a_sqlite_store_of_before_durations_could_be_missing_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    storage = SqliteStorage(path)
    storage.set_up()
    storage.begin()
    midnight = TODAY * 86_400
    requests, _ = PARSE(b"".join(line_of(n, midnight + n, "", "0.5") for n in range(3)), 0, 0)
    storage.prepare([StoredRequests("log", 0, requests)])()
    commit_counts(storage, {}, [ledger()])
    storage.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"{OLDER_REQUESTS} PRAGMA user_version=3;")
    with pytest.raises(StorageRefused, match="storage setup"):
        storage.begin()
    storage.close()
    storage.set_up()
    assert storage.begin() == [ledger()]
    found = asyncio.run(storage.requests("cust_1", midnight, midnight + 9, "all", 10))
    assert found == [LoggedRequest(midnight + 1, None, "/1", 200, 0.5)]
    storage.close()


def test_a_sqlite_store_of_before_there_were_breakdowns_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    storage = SqliteStorage(path)
    storage.set_up()
    storage.begin()
    key: CountsKey = ("customer", TODAY)
    commit_counts(storage, {key: counts({200: 3}, {5: 3})}, [ledger()])
    storage.close()
    with closing(sqlite3.connect(path)) as connection:
        columns = "log, path, first_generation, first_offset, generation, offset, fingerprint, read, stored, rejected"
        connection.executescript(
            f"""
            {OLDER_REQUESTS}
            CREATE TABLE older AS SELECT {columns}, gaps, newest FROM ledger; DROP TABLE ledger;
            ALTER TABLE older RENAME TO ledger; DROP TABLE breakdowns; PRAGMA user_version=2;
            """
        )
    with pytest.raises(StorageRefused, match="storage setup"):
        storage.begin()
    storage.close()
    storage.set_up()
    assert storage.begin() == [replace(ledger(), pending=None)]
    assert read_counts(storage, [key]) == {key: counts({200: 3}, {5: 3})}
    assert storage.read_breakdowns([BreakdownKey(group_of("customer"), TODAY, "paths")]) == {}
    storage.close()


def test_a_sqlite_store_with_breakdowns_of_each_customer_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    storage = SqliteStorage(path)
    storage.set_up()
    storage.begin()
    pending = Stretch(Position(0, 0), 5, 7, (Position(0, 10),))
    key: CountsKey = ("customer", TODAY)
    commit_counts(storage, {key: counts({200: 3}, {5: 3})}, [replace(ledger(), pending=pending)])
    storage.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            f"""
            {OLDER_REQUESTS}
            DROP TABLE breakdowns; PRAGMA user_version=3;
            CREATE TABLE customer_breakdown (customer TEXT PRIMARY KEY); INSERT INTO customer_breakdown VALUES ('c');
            """
        )
    with pytest.raises(StorageRefused, match="storage setup"):
        storage.begin()
    storage.close()
    storage.set_up()
    # What waited to be broken down still does.
    assert storage.begin() == [replace(ledger(), pending=pending)]
    assert read_counts(storage, [key]) == {key: counts({200: 3}, {5: 3})}
    paths = BreakdownKey(group_of("customer"), TODAY, "paths")
    storage.write_breakdowns({paths: breakdown(0, 3)})
    assert storage.read_breakdowns([paths]) == {paths: breakdown(0, 3)}
    storage.close()
