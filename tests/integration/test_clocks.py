"""Wall clocks that are wrong: of real processes, while they run and when they start."""

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import oracle
import programs
from faulty_proxy import Request, faulty_proxy
from influxd import InfluxServer, free_port
from lines import valid_lines
from pipeline import Pipeline
from request_log.line import Reason
from running_api import running
from stores import Store, influxdb_store
from until import WAIT_SECONDS, wait_until
from wrong_clock import DAY, YEAR, WrongClock

HOUR = 3_600
METRICS = "request_statistics_processor"
# A line is stored within so many seconds, though the machine may have other things to do.
SOON_SECONDS = 10.0


@pytest.fixture
def clock(tmp_path: Path) -> WrongClock:
    return WrongClock(tmp_path)


@pytest.fixture
def sqlite_pipeline(tmp_path: Path, sqlite: Store) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, sqlite.environment, sqlite.open)
    yield pipeline
    pipeline.close()


def line(ahead: float = 0, customer: str = "cust_1") -> bytes:
    """A line of now, or of so many seconds later."""
    return time.strftime(f"%Y-%m-%d %H:%M:%S {customer} /path 200 0.1\n", time.gmtime(time.time() + ahead)).encode()


def reports(pipeline: Pipeline, count: int) -> None:
    """Wait until the processor has reported so often."""
    heartbeat = pipeline.log.with_name("heartbeat")
    for _ in range(count):
        before = heartbeat.stat().st_mtime_ns
        pipeline.until(lambda before=before: heartbeat.stat().st_mtime_ns > before, "it reports")  # type: ignore[misc]


def status(pipeline: Pipeline, environment: dict[str, str]) -> dict[str, Any]:
    """What an api says that has this environment as well."""
    with running(pipeline.log.parent, {**pipeline.environment, **environment}) as api:
        found: dict[str, Any] = api.get("/status").json()
    return found


def test_a_clock_before_1970_is_told_in_a_sentence(sqlite_pipeline: Pipeline, clock: WrongClock) -> None:
    pipeline = sqlite_pipeline
    pipeline.append(line())
    clock.set(-60 * YEAR)
    ended = programs.run(
        "log_processor", env={**os.environ, **pipeline.environment, **clock.environment}, timeout=WAIT_SECONDS
    )
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr == "The clock of this machine is before 1970. Set it right, and start again.\n"


@pytest.mark.parametrize("follow", ["events", "poll"])
def test_a_clock_that_is_set_back_stops_nothing(sqlite_pipeline: Pipeline, clock: WrongClock, follow: str) -> None:
    pipeline = sqlite_pipeline
    pipeline.append(line())
    pipeline.start(FOLLOW=follow, **clock.environment)
    pipeline.until_stored()
    reports(pipeline, 1)
    clock.set(-HOUR)
    appended = time.monotonic()
    for _ in range(3):
        pipeline.append(line())
        pipeline.until_stored()
    assert time.monotonic() - appended < SOON_SECONDS
    reports(pipeline, 2)
    assert "clock_jumped" in pipeline.said()
    # An api that has the same clock: all is stored and the processor is alive, and yet not all is well.
    found = status(pipeline, clock.environment)
    (log,) = found["logs"]
    assert (log["lines_stored"], log["bytes_behind"], log["seconds_behind"]) == (4, 0, 0)
    assert 0 <= log["seen"]["age_seconds"] < SOON_SECONDS
    (fault,) = found["clock_faults"]
    assert "ahead of the clocks of the processor and the api" in fault
    # It does not end sooner or later for it, and the next one goes on as well.
    assert pipeline.end() == 0
    pipeline.append(line())
    pipeline.start(FOLLOW=follow, **clock.environment)
    pipeline.until_stored()


def test_a_dead_processor_is_not_called_fresh_by_a_clock_that_was_set_back(
    sqlite_pipeline: Pipeline, clock: WrongClock
) -> None:
    pipeline = sqlite_pipeline
    pipeline.append(line())
    pipeline.start(**clock.environment)
    pipeline.until_stored()
    reports(pipeline, 2)
    assert pipeline.run("health", **clock.environment).returncode == 0
    assert status(pipeline, clock.environment)["clock_faults"] == []
    pipeline.end(signal.SIGKILL)
    clock.set(-2 * HOUR)
    assert pipeline.run("health", **clock.environment).returncode == 1
    found = status(pipeline, clock.environment)
    assert -2 * HOUR <= found["logs"][0]["seen"]["age_seconds"] < -HOUR
    assert any("ahead of the api's clock" in fault for fault in found["clock_faults"])


def test_a_processor_whose_clock_is_behind_that_of_the_api_is_told(
    sqlite_pipeline: Pipeline, clock: WrongClock
) -> None:
    pipeline = sqlite_pipeline
    pipeline.append(line())
    clock.set(-HOUR)
    pipeline.start(**clock.environment)
    pipeline.until_stored()
    with running(pipeline.log.parent, pipeline.environment) as api:
        # Until it reports again, it is taken for one that ended an hour ago.
        wait_until(lambda: api.get("/status").json()["clock_faults"], "it is told", api.said)
        found = api.get("/status").json()
        (fault,) = found["clock_faults"]
        assert "The processor of writer main reports times that are 3,6" in fault
        assert found["missing"] == []
        pipeline.end(signal.SIGKILL)
        wait_until(lambda: api.get("/status").json()["missing"], "it is silent", api.said)
        assert api.get("/status").json()["clock_faults"] == []


def test_a_clock_that_is_a_year_ahead_for_a_moment_deletes_nothing_and_rejects_nothing(
    pipeline: Pipeline, clock: WrongClock
) -> None:
    lines = valid_lines(300, days=40)
    pipeline.append(lines)
    pipeline.start(**clock.environment)
    pipeline.until_stored()
    clock.set(YEAR)
    for seed in range(2, 5):
        more = valid_lines(20, days=40, seed=seed)
        lines += more
        pipeline.append(more)
        pipeline.until_stored()
        reports(pipeline, 1)
    # Also not by one that starts just then.
    assert pipeline.end() == 0
    pipeline.start(**clock.environment)
    for seconds in (YEAR, 0):
        clock.set(seconds)
        more = line() + valid_lines(20, days=40, seed=seconds)
        lines += more
        pipeline.append(more)
        pipeline.until_stored()
        reports(pipeline, 2)
    (row,) = pipeline.ledger()
    assert (row.stored, row.rejected) == (402, {})
    assert pipeline.stored() == oracle.days_of(lines)
    if "SQLITE_PATH" in pipeline.environment:
        with closing(sqlite3.connect(pipeline.environment["SQLITE_PATH"])) as database:
            assert database.execute("SELECT count(*) FROM requests").fetchone() == (402,)


def test_a_clock_that_was_centuries_ahead_leaves_a_store_that_can_be_written(
    pipeline: Pipeline, clock: WrongClock
) -> None:
    lines = b""
    for seed, seconds in enumerate([0, 200 * YEAR, 0, 0]):
        clock.set(seconds)
        more = valid_lines(20, seed=seed)
        lines += more
        pipeline.append(more)
        pipeline.start(**clock.environment)
        pipeline.until_stored()
        assert pipeline.end() == 0
        assert pipeline.stored() == oracle.days_of(lines)


def test_days_that_are_no_longer_kept_are_removed_though_nothing_is_logged(sqlite_pipeline: Pipeline) -> None:
    pipeline = sqlite_pipeline
    pipeline.append(valid_lines(300, days=40) + line())
    pipeline.start()
    pipeline.until_stored()
    assert pipeline.end() == 0
    kept = {day for _, day in pipeline.stored() if day >= time.strftime("%Y-%m-%d", time.gmtime(time.time() - 3 * DAY))}
    pipeline.start(RETENTION_DAYS="3", COUNTS_RETENTION_DAYS="3")
    pipeline.until(lambda: {day for _, day in pipeline.stored()} == kept, "they are removed")


def test_counts_are_kept_longer_than_requests(sqlite_pipeline: Pipeline) -> None:
    pipeline = sqlite_pipeline
    lines = b"".join(line(-day * DAY, "acme") for day in range(13) for _ in range(day + 1))
    pipeline.append(lines)
    pipeline.start(RETENTION_DAYS="20")
    pipeline.until_stored()
    pipeline.until_rolled_up()
    assert pipeline.end() == 0
    kept = {"RETENTION_DAYS": "3", "COUNTS_RETENTION_DAYS": "9"}
    pipeline.start(**kept)
    days = [time.strftime("%Y-%m-%d", time.gmtime(time.time() - day * DAY)) for day in range(13)]
    pipeline.until(lambda: {day for _, day in pipeline.stored()} == set(days[:10]), "older counts are removed")
    with running(pipeline.log.parent, {**pipeline.environment, **kept}) as api:

        def asked(what: str) -> Any:
            return api.get(f"/customers/acme/{what}").json()

        # By default it is asked about the days whose requests are kept.
        assert asked("stats")["from_date"] == days[3]
        assert asked("series?interval=day")["points"][0]["total_requests"] == 4
        everything = asked("stats?from_date=1970-01-01")
        assert [(day["date"], day["total_requests"]) for day in everything["daily"]] == [
            (days[day], day + 1) for day in range(9, -1, -1)
        ]
        for what in ("paths", "stats"):
            assert asked(f"{what}?from_date={days[9]}&to_date={days[9]}")["from_date"] == days[9]
        (path,) = asked("paths?from_date=1970-01-01")["paths"]
        assert path["total_requests"] == everything["total_requests"] == 55
        (before, then) = asked(f"stats?from_date={days[4]}&to_date={days[2]}&compare=previous"), days[7]
        assert (before["previous"]["from_date"], before["previous"]["total_requests"]) == (then, 6 + 7 + 8)
        found = asked("requests?from_date=1970-01-01&limit=1000")
        assert found["from_date"] == days[3]
        assert {request["time"][:10] for request in found["requests"]} == set(days[:4])
    checked = pipeline.run("verify", **kept)
    assert checked.returncode == 0, checked.stdout


def test_a_line_of_the_day_after_tomorrow_is_rejected_and_hides_no_lag(sqlite_pipeline: Pipeline) -> None:
    pipeline = sqlite_pipeline
    future = line(2 * DAY)
    pipeline.append(line(-60) + future + line(DAY - 60, "early"))
    pipeline.start()
    pipeline.until_stored()
    (row,) = pipeline.ledger()
    assert (row.stored, row.rejected) == (2, {Reason.TOO_NEW: 1})
    assert row.newest < time.time() + DAY
    (letter,) = map(json.loads, pipeline.log.with_name("dead_letters.jsonl").read_text().splitlines())
    assert (letter["reason"], letter["line"]) == ("too_new", future.decode().rstrip("\n"))
    assert pipeline.end() == 0
    # Lines wait now: neither the one that was rejected nor the early one makes as if they did not.
    port = free_port()
    pipeline.start(STREAM_MAX_WAIT_TIME_IN_SECONDS="3600", METRICS_PORT=str(port))
    reports(pipeline, 1)
    pipeline.append(line())
    pipeline.until(lambda: _samples(port).get(f"{METRICS}_seconds_behind", 0) >= 2, "it shows its lag")
    assert _samples(port)[f"{METRICS}_bytes_behind"] > 0
    found = status(pipeline, {})
    complete = datetime.fromisoformat(found["complete_through"].replace("Z", "+00:00"))
    assert complete.timestamp() < time.time() - 60
    assert found["logs"][0]["bytes_behind"] > 0
    assert found["clock_faults"] == []


def _samples(port: int) -> dict[str, float]:
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


def test_a_machine_that_starts_with_a_time_long_past_rejects_nothing(
    sqlite_pipeline: Pipeline, clock: WrongClock
) -> None:
    pipeline = sqlite_pipeline
    clock.set(-10 * YEAR)
    lines = valid_lines(100)
    pipeline.append(lines)
    pipeline.start(**clock.environment)
    pipeline.until_stored()
    clock.set(0)
    more = valid_lines(100, seed=2)
    pipeline.append(more)
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines + more)


def test_what_was_too_new_when_it_was_read_is_no_difference_later(sqlite_pipeline: Pipeline, clock: WrongClock) -> None:
    pipeline = sqlite_pipeline
    # Three days ago, when these lines were of the day after tomorrow and of the day before.
    then = time.time() - 3 * DAY
    clock.set(-3 * DAY)
    pipeline.append(line(-3 * DAY) + line(-DAY) + line(-3.5 * DAY) + line(2 * DAY))
    os.utime(pipeline.log, (then, then))
    pipeline.start(**clock.environment)
    pipeline.until_stored()
    assert pipeline.end() == 0
    (row,) = pipeline.ledger()
    assert (row.stored, row.rejected) == (2, {Reason.TOO_NEW: 2})
    verified = pipeline.run("verify")
    assert verified.stdout.startswith("All agree: lines 4, requests 2, rejected 2 (too_new 2), customers 1, days")
    assert verified.returncode == 0
    # It is the dead letters that say which they were.
    pipeline.log.with_name("dead_letters.jsonl").unlink()
    assert pipeline.run("verify").returncode == 1


@pytest.mark.parametrize(
    ("at_first", "later", "accepted", "rejected"),
    [
        # The clock is two days ahead, and set right then.
        (2 * DAY, 0, 2.5 * DAY, 4 * DAY),
        # The next start comes a day and a half later.
        (0, 1.5 * DAY, 0.5 * DAY, 2 * DAY),
    ],
)
def test_a_line_that_is_read_again_after_a_crash_is_judged_as_before(
    tmp_path: Path,
    influxd: InfluxServer,
    clock: WrongClock,
    at_first: float,
    later: float,
    accepted: float,
    rejected: float,
) -> None:
    letters = tmp_path / "dead_letters.jsonl"
    intents: list[Request] = []

    def refuse_intents(request: Request) -> int | None:
        if not request.body.startswith(b"intents"):
            return None
        intents.append(request)
        return 503

    with influxdb_store(influxd) as store, faulty_proxy(influxd.url) as proxy:
        pipeline = Pipeline(tmp_path, {**store.environment, "INFLUXDB_URL": proxy.url}, store.open)
        try:
            clock.set(int(at_first))
            pipeline.append(line())
            pipeline.start(**clock.environment)
            pipeline.until_stored()
            # The lines are stored and rejected, and not counted.
            proxy.decide = refuse_intents
            pipeline.append(line(accepted) + line(rejected))
            pipeline.until(lambda: bool(intents), "it begins to commit")
            pipeline.end(signal.SIGKILL)
            proxy.decide = lambda request: None
            clock.set(int(later))
            pipeline.start(**clock.environment)
            pipeline.until_stored()
            pipeline.until_rolled_up()
            assert pipeline.end() == 0
            (row,) = pipeline.ledger()
            assert (row.stored, row.rejected, row.gaps) == (2, {Reason.TOO_NEW: 1}, ())
            assert letters.read_text().count("too_new") == 1
            verified = pipeline.run("verify", **clock.environment)
            assert verified.returncode == 0, verified.stdout
        finally:
            pipeline.close()
