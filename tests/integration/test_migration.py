"""Setup brings a store of schema 4 up to the one of now: it was filled by that version, see tests/data/schema_4.

Its logs have rotated: api_requests.log twice, second.log once. All days are of January 2026, so the tests keep them for
as long as can be said.
"""

import json
import os
import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

import pytest

import oracle
from influxd import InfluxServer
from lines import valid_lines
from pipeline import Pipeline
from request_log.line import Reason
from storage.contract import Storage
from storage.influxdb import InfluxStorage
from storage.influxdb.client import BadRequest, Client
from storage.influxdb.line_protocol import AFTER_ALL_LINES, DAY
from storage.influxdb.schema import COUNTS
from storage.ledger import decode_ledger
from storage.logs import Position
from storage.sqlite import SqliteStorage
from storage.sqlite.lease import Lease
from storage.writers import MAIN
from storage_command import assert_failed, run
from stores import Answer, ask

DATA = Path(__file__).parents[1] / "data" / "schema_4"
FILES = {"api_requests.log": 3, "second.log": 2}
"""How many files each log has."""
RETENTION_DAYS = "3650"
WRITTEN = 1_767_830_400
"""When the rotated files were written last (Unix time, s)."""
SLOT_STEP = 1_000
WHAT_TO_DO = "Start the version before once, wait until it has read its logs to their ends, stop it with SIGTERM"
OF_ROWS = ("customer_day", "all_day", "breakdowns", "breakdown_day", "commits", "ended_generations", "sightings")

Change = Callable[[str], str]


def unchanged(dump: str) -> str:
    return dump


@dataclass(frozen=True)
class Before:
    """A store of schema 4, and its logs in a folder."""

    folder: Path
    environment: dict[str, str]
    connect: Callable[[], Storage]
    load: Callable[[Change], None]
    """Fills the store; its dump is changed before."""

    def set_up(self) -> "subprocess.CompletedProcess[str]":
        return run("setup", **self.environment)

    def pipeline(self) -> Pipeline:
        return Pipeline(self.folder, self.environment, self.connect)

    def logs(self) -> bytes:
        """All lines, whichever file they are in."""
        return b"".join(path.read_bytes() for path in sorted(self.folder.glob("*.log*")))

    def ask(self, question: Callable[[Storage], Awaitable[Answer]]) -> Answer:
        storage = self.connect()
        try:
            return ask(storage, question)
        finally:
            storage.close()


def dump(name: str, folder: Path) -> str:
    """What the store had, with the logs in this folder."""
    text = (DATA / name).read_text()
    return text.replace("FOLDER%2F", quote(f"{folder}/", safe="")).replace("FOLDER", str(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the logs are."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for name, files in FILES.items():
        for number in range(files):
            log = folder / (f"{name}.{number}" if number else name)
            log.write_bytes((DATA / f"{Path(name).stem}.{number}.txt").read_bytes())
            os.utime(log, (WRITTEN - number, WRITTEN - number))
    return folder


@pytest.fixture
def sqlite_before(folder: Path, tmp_path: Path) -> Before:
    path = tmp_path / "requests.sqlite"

    def load(change: Change) -> None:
        path.unlink(missing_ok=True)
        connection = sqlite3.connect(path)
        connection.executescript(change(dump("sqlite.sql", folder)))
        connection.close()

    environment = {"STORAGE": "sqlite", "SQLITE_PATH": str(path), "RETENTION_DAYS": RETENTION_DAYS}
    return Before(folder, environment, lambda: SqliteStorage(path), load)


@pytest.fixture
def influxdb_before(folder: Path, tmp_path: Path, influxd: InfluxServer) -> Before:
    bucket = f"before_{folder.parent.name}"
    with influxd.client() as client:
        org = client.get("/api/v2/orgs", params={"org": influxd.org}).json()["orgs"][0]["id"]
        client.post("/api/v2/buckets", json={"orgID": org, "name": bucket, "retentionRules": []}).raise_for_status()

    def load(change: Change) -> None:
        client = Client(influxd.url, influxd.org, influxd.admin_token, 10.0)
        client.write(bucket, change(dump("influxdb.txt", folder)).encode())
        client.close()

    environment = {
        "STORAGE": "influxdb",
        "INFLUXDB_URL": influxd.url,
        "INFLUXDB_ORG": influxd.org,
        "INFLUXDB_BUCKET": bucket,
        "INFLUXDB_TOKEN": influxd.admin_token,
        "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN": influxd.admin_token,
        "TOKENS_PATH": str(tmp_path / "secrets"),
        "RETENTION_DAYS": RETENTION_DAYS,
    }

    def connect() -> Storage:
        return InfluxStorage(influxd.url, influxd.org, bucket, influxd.admin_token)

    return Before(folder, environment, connect, load)


@pytest.fixture(params=["sqlite", "influxdb"])
def before(request: pytest.FixtureRequest) -> Before:
    """A store of either kind, not filled yet."""
    store: Before = request.getfixturevalue(f"{request.param}_before")
    return store


@pytest.fixture
def influxdb(influxdb_before: Before, influxd: InfluxServer) -> Iterator[Callable[..., list[dict[str, object]]]]:
    """Asks the bucket of requests, or the one with this ending."""
    client = Client(influxd.url, influxd.org, influxd.admin_token, 10.0)
    bucket = influxdb_before.environment["INFLUXDB_BUCKET"]
    yield lambda query, ending="": client.ask(f"{bucket}{ending}", query, {})
    client.close()


def logged_requests(log: bytes) -> dict[str, Counter[tuple[int, str, int, float]]]:
    """The requests of each customer."""
    found: dict[str, Counter[tuple[int, str, int, float]]] = {}
    for line in log.decode().splitlines():
        if len(fields := line.split(" ")) == 6:
            day, clock, customer, path, status, duration = fields
            second = int(datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=timezone.utc).timestamp())
            found.setdefault(customer, Counter())[second, path, int(status), float(duration)] += 1
    return found


def stored_requests(before: Before, customers: list[str]) -> dict[str, Counter[tuple[int, str, int, float]]]:
    """The requests of each customer as the api finds them."""

    async def requests_of(storage: Storage) -> dict[str, Counter[tuple[int, str, int, float]]]:
        found = {}
        for customer in customers:
            requests = await storage.requests(customer, 0, 1 << 32, "all", 10_000)
            seconds = [request.second for request in requests]
            assert seconds == sorted(seconds, reverse=True)
            assert {(request.method, request.bytes) for request in requests} == {(None, None)}
            found[customer] = Counter(
                (request.second, request.path, request.status, request.duration or 0.0) for request in requests
            )
        return found

    return before.ask(requests_of)


def assert_equals_the_logs(before: Before) -> None:
    """Every figure by day, hour and path, and every request."""
    logs = before.logs()
    pipeline = before.pipeline()
    assert pipeline.stored() == oracle.days_of(logs)
    assert pipeline.rolled_up() == oracle.rollups_of(logs)
    logged = logged_requests(logs)
    assert stored_requests(before, list(logged)) == logged


def test_all_that_was_stored_is_there(before: Before) -> None:
    before.load(unchanged)
    ended = before.set_up()
    assert ended.returncode == 0, ended
    assert_equals_the_logs(before)

    second = str(before.folder / "second.log")
    logs = {row.log: row for _, row in before.ask(lambda storage: storage.logs())}
    assert {log: (row.path, row.position, row.read, row.stored, row.rejected) for log, row in logs.items()} == {
        "api_requests": (
            str(before.folder / "api_requests.log"),
            Position(2, 2042),
            172,
            170,
            Counter({Reason.FIELDS: 2}),
        ),
        second: (second, Position(1, 1506), 62, 60, Counter({Reason.EMPTY: 1, Reason.FIELDS: 1})),
    }
    files = before.ask(lambda storage: storage.files())
    assert [(writer, row.log, row.generation, row.lane, row.base, row.offset, row.state) for writer, row in files] == [
        (MAIN, second, 0, 0, 0, 1552, "closed"),
        (MAIN, second, 1, 0, 1552, 1506, "live"),
        (MAIN, "api_requests", 0, 1, 0, 4102, "closed"),
        (MAIN, "api_requests", 1, 1, 4112, 2586, "closed"),
        (MAIN, "api_requests", 2, 1, 6704, 2042, "live"),
    ]
    assert before.pipeline().is_rolled_up()
    seen = {end.log for _, end in before.ask(lambda storage: storage.observed_ends())}
    assert seen == {"api_requests", second}
    (state,) = before.ask(lambda storage: storage.states())
    assert decode_ledger(state.counts).complete_through is not None


def rotate(log: Path) -> None:
    """By renaming, the oldest file first."""
    for number in range(FILES[log.name] - 1, 0, -1):
        log.with_name(f"{log.name}.{number}").rename(log.with_name(f"{log.name}.{number + 1}"))
    log.rename(log.with_name(f"{log.name}.1"))


def test_the_processor_goes_on_where_the_one_before_stopped(before: Before) -> None:
    before.load(unchanged)
    assert before.set_up().returncode == 0
    log, second = (before.folder / name for name in FILES)
    more = [valid_lines(60, days=30, seed=seed) for seed in range(3)]
    # Lines of days that it had, too.
    late = (DATA / "api_requests.2.txt").read_bytes().replace(b"not a request\n", b"")
    with log.open("ab") as file:
        file.write(late)
    rotate(second)
    second.write_bytes(more[0])

    pipeline = before.pipeline()

    def until_read(generations: dict[str, int]) -> None:
        at = {
            "api_requests" if path == log else str(path): Position(generations[path.name], path.stat().st_size)
            for path in (log, second)
        }
        pipeline.until(lambda: {row.log: row.position for row in pipeline.ledger()} == at, f"the ledger is at {at}")
        pipeline.until_rolled_up()

    try:
        pipeline.start(LOG_FILES=f"{log},{second}")
        until_read({"api_requests.log": 2, "second.log": 2})
        rotate(log)
        log.write_bytes(more[1])
        until_read({"api_requests.log": 3, "second.log": 2})
        assert pipeline.end() == 0
        pipeline.start(LOG_FILES=f"{log},{second}")
        with log.open("ab") as file:
            file.write(more[2])
        until_read({"api_requests.log": 3, "second.log": 2})
        assert pipeline.end() == 0
    finally:
        pipeline.close()
    assert_equals_the_logs(before)
    assert all(not row.gaps for row in pipeline.ledger())
    verified = pipeline.run("verify", LOG_FILES=f"{log},{second}")
    assert verified.returncode == 0, verified


def test_setup_again_changes_nothing(before: Before) -> None:
    before.load(unchanged)
    for _ in range(2):
        assert before.set_up().returncode == 0
    assert_equals_the_logs(before)


def with_pending(dump: str) -> str:
    """Killed before all was rolled up."""
    pending = "[[2, 0], 1767606672, 1767763616, [[2, 2042]]]"
    return dump.replace(r"\"pending\": \"\"", rf"\"pending\": \"{pending}\"").replace(
        ",1767764480,'');", f",1767764480,'{pending}');"
    )


def with_ledger_behind(dump: str) -> str:
    """Killed between the counts and the ledger."""
    return dump.replace(r"\"position\": [2, 2042]", r"\"position\": [2, 2000]").replace(",2,2042,'", ",2,2000,'")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_pending, "not all of its requests are counted by hour and by path"),
        (with_ledger_behind, "its counts are ahead of its ledger in the log api_requests"),
    ],
)
def test_a_store_whose_processor_was_killed_is_refused(before: Before, change: Change, reason: str) -> None:
    before.load(change)
    ended = before.set_up()
    assert_failed(ended, reason)
    assert WHAT_TO_DO in ended.stderr
    # The version before goes on with it, and stops.
    before.load(unchanged)
    assert before.set_up().returncode == 0
    assert_equals_the_logs(before)


def test_a_sqlite_store_that_a_processor_has_is_refused(sqlite_before: Before) -> None:
    sqlite_before.load(unchanged)
    path = Path(sqlite_before.environment["SQLITE_PATH"])
    lock = Lease(path, MAIN)
    lock.acquire()
    try:
        assert_failed(sqlite_before.set_up(), f"is written by process {os.getpid()}")
    finally:
        lock.release()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (4,)
    connection.close()


@pytest.mark.parametrize("version", [2, 3])
def test_an_older_sqlite_store_is_sent_through_schema_4(sqlite_before: Before, version: int) -> None:
    sqlite_before.load(lambda dump: dump.replace("user_version=4", f"user_version={version}"))
    assert_failed(sqlite_before.set_up(), "run the setup of a release of schema 4 first")


def with_holder(dump: str) -> str:
    """It still says that it is alive."""
    return dump.replace('holder row="released ', 'holder row="1795937926142468653 ')


def without_last_claim(dump: str) -> str:
    """Put back to an older state while it was written."""
    return "".join(re.findall(r"(?!slots .*738585).*\n", dump))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_holder, "its processor runs, or was killed"),
        (without_last_claim, "it was emptied or put back under a running processor"),
    ],
)
def test_an_influxdb_store_that_was_not_released_is_refused(
    influxdb_before: Before, influxdb: Callable[..., list[dict[str, object]]], change: Change, reason: str
) -> None:
    influxdb_before.load(change)
    ended = influxdb_before.set_up()
    assert_failed(ended, reason)
    assert WHAT_TO_DO in ended.stderr
    assert influxdb("SELECT count(row) FROM ledger")


def test_setup_that_was_interrupted_begins_again(influxdb_before: Before) -> None:
    influxdb_before.load(unchanged)
    environment = influxdb_before.environment
    assert influxdb_before.set_up().returncode == 0
    client = Client(environment["INFLUXDB_URL"], environment["INFLUXDB_ORG"], environment["INFLUXDB_TOKEN"], 10.0)
    bucket = environment["INFLUXDB_BUCKET"]
    # As it is after some rows were copied.
    for measurement in ("daily", "logs"):
        client.delete(f"{bucket}{COUNTS}", f'_measurement="{measurement}"', 0, AFTER_ALL_LINES + DAY)
    client.write(f"{bucket}{COUNTS}", f"store schema=4i {AFTER_ALL_LINES}".encode())
    client.close()
    influxdb_before.load(unchanged)
    assert_failed_to_serve(influxdb_before)
    assert influxdb_before.set_up().returncode == 0
    assert_equals_the_logs(influxdb_before)


def assert_failed_to_serve(before: Before) -> None:
    """A service says what to do."""
    pipeline = before.pipeline()
    pipeline.start()
    assert pipeline.wait() == 1
    assert "`python -m storage setup` brings it up to that." in pipeline.said()


def test_rows_that_were_not_removed_yet_are_removed_the_next_time(
    influxdb_before: Before, influxdb: Callable[..., list[dict[str, object]]]
) -> None:
    influxdb_before.load(unchanged)
    assert influxdb_before.set_up().returncode == 0
    influxdb_before.load(unchanged)
    assert influxdb_before.set_up().returncode == 0
    assert_equals_the_logs(influxdb_before)
    for measurement in (*OF_ROWS, "holder"):
        assert influxdb(f"SELECT count(row) FROM {measurement}") == []


def test_programs_of_the_version_before_do_not_work_with_it(
    influxdb_before: Before, influxd: InfluxServer, influxdb: Callable[..., list[dict[str, object]]]
) -> None:
    influxdb_before.load(unchanged)
    assert influxdb_before.set_up().returncode == 0
    # The api reads the rows of the ledger as JSON, the processor takes a slot first.
    (row,) = influxdb("SELECT row FROM ledger")
    with pytest.raises(json.JSONDecodeError):
        json.loads(str(row["row"]))
    (latest,) = influxdb("SELECT slot FROM slots ORDER BY time DESC LIMIT 1")
    slot = (int(str(latest["slot"])) // SLOT_STEP + 1) * SLOT_STEP
    client = Client(influxd.url, influxd.org, influxd.admin_token, 10.0)
    with pytest.raises(BadRequest):
        client.write(
            influxdb_before.environment["INFLUXDB_BUCKET"],
            f'slots slot={slot}i,holder="host 1 2" {AFTER_ALL_LINES + slot}'.encode(),
        )
    client.close()
