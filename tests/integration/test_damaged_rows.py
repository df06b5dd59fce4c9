"""A row that somebody has damaged costs itself: no traceback, no 500, and a sentence that names it. On both stores."""

import os
import re
import sqlite3
from contextlib import closing, suppress
from datetime import date
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, product
from pathlib import Path
from threading import Thread

import pytest

from asking import answer, line, problem_detail, responses, today
from influxd import InfluxServer
from pipeline import Pipeline
from rollups.counts import DailyKey, RollupSegmentKey
from rollups.groups import group_of
from storage import damage
from storage.errors import DamagedRow, LeaseHeld, StorageUnavailable
from storage.influxdb.client import Client
from storage.influxdb.line_protocol import AFTER_ALL_LINES
from storage.influxdb.schema import COUNTS
from storage.keys import FileKey, Key, LogKey, ObservedKey, RolledUpKey, StateKey
from storage.ledger import Report
from storage.logs import Position
from storage.observed import ObservedEnd
from storage.requests import FileId, OffsetRange
from storage.sqlite.schema import TABLES
from stores import Store, ask, influxdb_store, write_report

LINES = line(today(), "cust_1") + line(today(), "cust_2", status=500)
NONSENSE = ["", "{", "[1]", "[[[[", "null", '{"number": 1}', "\x1b[31m"]
LOG = "api_requests"
STATES: list[Key] = [StateKey("counts"), StateKey("rollups"), StateKey("report")]
OF_LOGS: list[Key] = [LogKey("log"), FileKey("log", 0), ObservedKey("log")]


def write(store: Store, key: Key, text: str) -> None:
    """Put a text in the place of a row."""
    storage = store.open()
    # The one that filled it may hold the lease still: it is this process.
    with suppress(LeaseHeld):
        storage.acquire()
    storage.write({key: text})
    storage.close()


def text_of(store: Store, key: Key) -> str:
    """The text of a row of a SQLite store."""
    with closing(sqlite3.connect(store.environment["SQLITE_PATH"])) as connection:
        which = " AND ".join(f"{column} = ?" for column in key._fields)
        (text,) = connection.execute(f"SELECT row FROM {TABLES[type(key)]} WHERE {which}", key).fetchone()
        return str(text)


@pytest.mark.parametrize("key", [*STATES, *OF_LOGS], ids=str)
def test_the_api_answers_without_the_row_and_names_it(
    store: Store, key: Key, capsys: pytest.CaptureFixture[str]
) -> None:
    store.fill(LINES)
    store.fill(LINES, writer="other", log="other")
    before = answer(store, "/customers/cust_1/stats")
    damage.say.cache_clear()
    for text in NONSENSE if key == StateKey("counts") else NONSENSE[1:2]:
        write(store, key, text)
        found = responses(store, "/customers/cust_1/stats", "/customers/stats", "/customers", "/status", "/ready")
        assert {one.status_code for one in found} == {200}, text
        assert found[0].json() == {**before, "complete_through": found[0].json()["complete_through"]}
    logs = [one["log"] for one in found[3].json()["logs"]]
    assert logs == (["other"] if isinstance(key, LogKey) else ["log", "other"])
    said = capsys.readouterr().out
    assert "damaged" in said
    assert "\x1b[31m" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "key",
    [
        *(*STATES[:2], StateKey("rollups_intent"), StateKey("rules"), StateKey("requests")),
        *(LogKey(LOG), FileKey(LOG, 0), RolledUpKey(LOG)),
    ],
    ids=str,
)
def test_a_processor_that_needs_the_row_ends_with_its_name(pipeline: Pipeline, store: Store, key: Key) -> None:
    pipeline.append(LINES)
    pipeline.start()
    pipeline.until_stored()
    assert pipeline.end() == 0
    write(store, key, "{nonsense")
    pipeline.output.write_text("")
    pipeline.start()
    assert pipeline.wait() == 1
    assert "event=store_refused" in pipeline.said()
    assert "is damaged: '{nonsense'" in pipeline.said().replace("\\", "")
    assert "Traceback" not in pipeline.said()


@pytest.mark.parametrize("key", [*STATES, *OF_LOGS], ids=str)
def test_a_value_of_another_type_costs_its_row(sqlite: Store, key: Key, capsys: pytest.CaptureFixture[str]) -> None:
    sqlite.fill(LINES)
    storage = sqlite.open()
    seen = ObservedEnd("log", 1e9, Position(0, len(LINES)), len(LINES), 0, len(LINES))
    write_report(storage, Report(1e9, 1, 1e9), [seen])
    storage.close()
    text = text_of(sqlite, key)
    for number in re.finditer(r"(?<=[\[,:])[0-9.]+(?=[],}])", text):
        damage.say.cache_clear()
        write(sqlite, key, f'{text[: number.start()]}"?"{text[number.end() :]}')
        found = responses(sqlite, "/customers/cust_1/stats", "/customers/stats", "/customers", "/status", "/ready")
        assert {one.status_code for one in found} == {200}, number
        assert "damaged" in capsys.readouterr().out, number


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_file_whose_identity_is_damaged_ends_the_processor_with_a_sentence(pipeline: Pipeline, store: Store) -> None:
    pipeline.append(LINES)
    pipeline.start()
    pipeline.until_stored()
    assert pipeline.end() == 0
    text = text_of(store, FileKey(LOG, 0))
    write(store, FileKey(LOG, 0), text.replace(pipeline.files()[0].identity, "an-identity"))
    pipeline.start()
    assert pipeline.wait() == 1
    assert "is damaged: 'an-identity'" in pipeline.said()
    assert "Traceback" not in pipeline.said()
    verified = pipeline.run("verify")
    assert verified.returncode == 1
    assert "is damaged: 'an-identity'" in verified.stderr
    assert "Traceback" not in verified.stderr


def test_an_answer_that_needs_a_customers_row_says_so_and_others_come(store: Store) -> None:
    store.fill(LINES)
    day = (today() - date(1970, 1, 1)).days
    write(store, DailyKey("cust_1", day), "nonsense")
    urls = ("/customers/cust_1/stats", "/customers", "/customers/cust_2/stats", "/customers/stats")
    assert [one.status_code for one in responses(store, *urls)] == [503, 503, 200, 200]
    detail = problem_detail(responses(store, urls[0])[0], HTTPStatus.SERVICE_UNAVAILABLE)
    assert f"row of daily counts of cust_1 on day {day} is damaged: 'nonsense'" in detail


COUNTERS = ["", "HA", "hAAAA", "Q//////////8BAAAAAAAAAA=="]
"""Texts in the place of a counter: none, cut off, not compressed, too large."""


@pytest.mark.parametrize("counter", ["status", "latency"])
def test_a_damaged_counter_of_a_readable_row_costs_what_needs_it(sqlite: Store, counter: str) -> None:
    sqlite.fill(LINES)
    day = (today() - date(1970, 1, 1)).days
    about = [f"/customers/cust_1/{what}" for what in ("stats", "stats?percentiles=50", "status-codes", "latencies")]
    about += [f"/customers/cust_1/series?interval={interval}" for interval in ("day", "minute")]
    about += ["/customers/cust_1/requests", "/customers"]
    for text in COUNTERS:
        whole = {"status": "HyAABAA==", "latency": "HZAABAA==", counter: text}
        write(sqlite, DailyKey("cust_1", day), f"1 status={whole['status']} latency={whole['latency']}")
        # Twice each: a failure leaves nothing behind that would answer the second time.
        found = responses(sqlite, *about, *about, "/customers/cust_2/stats", "/customers/stats")
        assert {one.status_code for one in found} <= {200, 503}, (text, [one.status_code for one in found])
        assert [one.status_code for one in found[-2:]] == [200, 200]
        for one in found:
            if one.status_code == 503:
                assert f"row of daily counts of cust_1 on day {day} is damaged" in one.json()["detail"]
        # Statistics need both counters.
        assert found[0].status_code == found[len(about)].status_code == 503, text


DAMAGED: list[tuple[str, object]] = [
    ("duration", "x"),
    ("duration", 1e300),
    ("duration", -1.0),
    ("status_code", "x"),
    ("status_code", 1 << 40),
    ("request_path", b"/path"),
    ("method", b"GET"),
    ("bytes", "x"),
]


def damage_latest_request(store: Store, column: str, value: object) -> None:
    """Put a value into the latest one of the requests."""
    with closing(sqlite3.connect(store.environment["SQLITE_PATH"])) as connection, connection:
        latest = "(SELECT id FROM requests ORDER BY time DESC LIMIT 1)"
        connection.execute(f"UPDATE requests SET {column} = ? WHERE id = {latest}", (value,))


@pytest.mark.parametrize(("column", "value"), [*DAMAGED, ("millisecond", 1 << 60)])
def test_a_damaged_request_costs_itself(
    sqlite: Store, capsys: pytest.CaptureFixture[str], column: str, value: object
) -> None:
    sqlite.fill(b"".join(line(today(), "cust_1", clock=f"00:00:{second:02}") for second in range(3)))
    damage_latest_request(sqlite, column, value)
    damage.say.cache_clear()
    found = responses(sqlite, "/customers/cust_1/requests", "/customers/cust_1/series?interval=minute")
    assert [one.status_code for one in found] == [200, 200]
    assert len(found[0].json()["requests"]) == 2
    assert found[1].json()["points"][0]["total_requests"] == 2
    assert "row of the request " in capsys.readouterr().out


@pytest.mark.parametrize(("column", "value"), [*DAMAGED, ("customer_id", b"cust_1")])
def test_what_is_counted_of_a_damaged_request_is_refused_with_its_name(
    sqlite: Store, column: str, value: object
) -> None:
    sqlite.fill(LINES)
    damage_latest_request(sqlite, column, value)
    storage = sqlite.open()
    file = FileId("log", 0, 0, 0)
    with pytest.raises(DamagedRow, match=r"row of a request of log 0 at offset \d+ is damaged"):
        list(storage.read_requests([OffsetRange(file, 0, len(LINES))], 0, 1 << 40))
    storage.close()


def test_an_intent_with_a_damaged_number_is_as_if_it_were_not_there(
    sqlite: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    sqlite.fill(LINES)
    with closing(sqlite3.connect(sqlite.environment["SQLITE_PATH"])) as connection, connection:
        connection.execute("INSERT INTO intents SELECT 'x', writer, row FROM intents LIMIT 1")
    damage.say.cache_clear()
    found = ask(sqlite.open(), lambda storage: storage.intents({"main": 0}))
    assert [one.number for one in found] == [1]
    assert "row of an intent of main is damaged: 'x'" in capsys.readouterr().out


@pytest.mark.parametrize("name", [b"\xff\x00\xff", b"main", "maim"])
def test_a_writer_with_a_damaged_name_does_not_begin_anew(sqlite: Store, tmp_path: Path, name: str | bytes) -> None:
    pipeline = Pipeline(tmp_path, sqlite.environment, sqlite.open)
    try:
        pipeline.append(LINES)
        pipeline.start()
        pipeline.until_stored()
        assert pipeline.end() == 0
        with closing(sqlite3.connect(sqlite.environment["SQLITE_PATH"])) as connection, connection:
            connection.execute("UPDATE writers SET name = ?", (name,))
        pipeline.start()
        assert pipeline.wait() == 1
        verified = pipeline.run("verify")
        (refused,) = responses(sqlite, "/customers/stats")
    finally:
        pipeline.close()
    sentence = "The store's row of the writer 0 is damaged: "
    assert sentence in pipeline.said()
    assert verified.returncode == 1
    assert sentence in verified.stdout + verified.stderr
    assert "Traceback" not in pipeline.said() + verified.stdout + verified.stderr
    assert sentence in refused.json()["detail"]


def test_a_damaged_counter_of_a_roll_up_costs_what_needs_it(sqlite: Store) -> None:
    sqlite.fill(LINES)
    day, group = (today() - date(1970, 1, 1)).days, group_of("cust_1")
    for kind in ("parts", "endpoints"):
        key = RollupSegmentKey(group, day, kind, 0)
        for names, counter in (('{"cust_1":["/api/v1/resource1"]}', "HA"), ("e30=", "HyAABAA=="), ("{", "H")):
            write(sqlite, key, f"1 names={names} status={counter} latency={counter}")
            url = "/customers/cust_1/series" if kind == "parts" else "/customers/cust_1/paths"
            found = responses(sqlite, url, "/customers/cust_1/stats")
            assert [one.status_code for one in found] == [503, 200]
            assert f"row of a roll-up {group} {day} {kind} is damaged" in found[0].json()["detail"]


def test_a_damaged_counter_ends_the_processor_that_adds_to_it(pipeline: Pipeline, store: Store) -> None:
    pipeline.append(LINES)
    pipeline.start()
    pipeline.until_stored()
    assert pipeline.end() == 0
    day = (today() - date(1970, 1, 1)).days
    write(store, DailyKey("cust_1", day), "1 status=HA latency=H")
    verified = pipeline.run("verify")
    assert verified.returncode == 1
    name = f"row of daily counts of cust_1 on day {day} is damaged: 'HA'"
    assert name in verified.stderr
    assert "Traceback" not in verified.stderr
    pipeline.output.write_text("")
    pipeline.append(LINES)
    pipeline.start()
    assert pipeline.wait() == 1
    assert "event=store_refused" in pipeline.said()
    assert name in pipeline.said()
    assert "Traceback" not in pipeline.said()


@pytest.mark.parametrize("key", [StateKey("report"), StateKey("new_customers")], ids=str)
def test_a_processor_goes_on_without_what_it_can_do_without(pipeline: Pipeline, store: Store, key: Key) -> None:
    write(store, key, "{nonsense")
    pipeline.append(LINES)
    pipeline.start()
    pipeline.until_stored()
    assert "event=row_damaged" in pipeline.said()


def test_a_damaged_lease_is_as_one_of_an_unknown_process(influxd: InfluxServer, tmp_path: Path) -> None:
    with influxdb_store(influxd) as store:
        bucket = store.environment["INFLUXDB_BUCKET"]
        client = Client(influxd.url, influxd.org, influxd.admin_token, 10.0)
        client.write(f"{bucket}{COUNTS}", f'leases,writer=main row="released nonsense" {AFTER_ALL_LINES}'.encode())
        client.close()
        pipeline = Pipeline(tmp_path, store.environment, store.open)
        pipeline.append(LINES)
        try:
            pipeline.start()
            pipeline.until_stored()
            assert "row of the lease is damaged" in pipeline.said()
        finally:
            pipeline.close()


def test_a_row_of_influxdb_that_is_not_utf_8_costs_itself(influxd: InfluxServer) -> None:
    with influxdb_store(influxd) as store:
        store.fill(LINES)
        rows = f"{store.environment['INFLUXDB_BUCKET']}{COUNTS}"
        client = Client(influxd.url, influxd.org, influxd.admin_token, 10.0)
        (row,) = client.ask(rows, 'SELECT customer, row FROM daily WHERE "name" = $name', {"name": "cust_1"})
        point = f"daily,customer={row['customer']},writer=main".encode() + b' row="\xff\xfe" ' + b"%d" % row["time"]
        client.write(rows, point)
        client.close()
        found = responses(store, "/customers/cust_1/stats", "/customers/cust_2/stats")
        assert [one.status_code for one in found] == [503, 200]
        detail = problem_detail(found[0], HTTPStatus.SERVICE_UNAVAILABLE)
        assert "row of daily counts of cust_1" in detail


def test_another_server_in_the_place_of_influxdb_is_told(tmp_path: Path) -> None:
    (tmp_path / "query").write_text("<html>It works!</html>")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        client = Client(f"http://127.0.0.1:{server.server_port}", "org", "token", 10.0)
        with pytest.raises(StorageUnavailable, match="InfluxDB's answer cannot be read"):
            client.ask("bucket", "SELECT row FROM daily", {})
        client.close()
        server.shutdown()
        thread.join()


def test_a_damaged_entry_of_the_spool_is_set_aside(pipeline: Pipeline) -> None:
    pipeline.append(LINES)
    spool = Path(pipeline.environment["BACKFILL_FOLDER"])
    elsewhere = pipeline.log.with_name("elsewhere")
    entries = (spool / f"backfill-{number:016}" for number in count())

    def entry(folder: Path, origin: str = '{"path": "/old"}') -> Path:
        folder.mkdir(parents=True)
        (folder / "log").write_bytes(LINES)
        (folder / "origin").write_text(origin)
        return folder

    for origin in (
        "",
        '{"path":',
        "[]",
        '{"path": 5}',
        '{"path": "/a\\u0000b"}',
        '{"path": "/a\\ud800b"}',
        '{"path": "/a", "context": []}',
    ):
        entry(next(entries), origin)
    next(entries).write_bytes(LINES)
    for name, how in product(("log", "origin"), ("pipe", "link", "link to itself")):
        replaced = entry(next(entries)) / name
        replaced.unlink()
        if how == "pipe":
            os.mkfifo(replaced)
        else:
            replaced.symlink_to(pipeline.log if how == "link" else replaced)
    next(entries).symlink_to(entry(elsewhere))
    # A copy of an entry would count again.
    for name in ("backfill-0123456789abcdef.bak", "backfill-", f"backfill-{'n' * 240}", "backfill-\x1b[31m"):
        entry(spool / name)
    pipeline.obeys_permissions = True
    for closed in (".", "log", "origin"):
        (entry(next(entries)) / closed).chmod(0)
    pipeline.start()
    pipeline.until_stored()
    pipeline.until_said("event=spool_entry_damaged", 22)
    assert "Traceback" not in pipeline.said()
    assert list(spool.glob("backfill-*")) == []
    assert len(list(spool.glob("damaged-backfill-*"))) == 22
    assert len(list(elsewhere.iterdir())) == 2
    # The others are read.
    old = pipeline.log.with_name("old.log")
    old.write_bytes(line(today(), "cust_3") * 3)
    done = pipeline.run("backfill", str(old))
    assert done.returncode == 0, done
    assert "3 stored" in done.stdout
