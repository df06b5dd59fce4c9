"""A store that was emptied, or put back to what it was: the processor goes on from what the store's ledger says."""

import json
import shutil
import signal
from datetime import date, datetime, timezone
from pathlib import Path

import pytest

import oracle
from influxd import InfluxServer
from lines import valid_lines
from pipeline import Pipeline
from rollups.counts import DailyKey
from rollups.rows import encode_daily
from storage.influxdb import InfluxStorage
from storage.keys import Key, LogKey, StateKey
from storage.logs import Position

on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
on_influxdb = pytest.mark.parametrize("store", ["influxdb"], indirect=True)

A, B, C = (valid_lines(100, seed=seed) for seed in range(3))


def store_files(pipeline: Pipeline) -> list[Path]:
    return sorted(pipeline.output.parent.glob("requests.sqlite*"))


def delete(server: InfluxServer, bucket: str, **what: str) -> None:
    """Delete data of a bucket: all, unless `what` says less."""
    everything = {"start": "1970-01-01T00:00:00Z", "stop": "2261-01-01T00:00:00Z"}
    with server.client() as client:
        where = {"org": server.org, "bucket": bucket}
        client.post("/api/v2/delete", params=where, json={**everything, **what}).raise_for_status()


def delete_all(pipeline: Pipeline, server: InfluxServer) -> None:
    """Delete all data of the store's buckets."""
    for bucket in buckets(pipeline):
        delete(server, bucket)


def take_the_last_ledger_away(pipeline: Pipeline, server: InfluxServer) -> None:
    """Delete the ledger of the counts that the last run wrote, and how far it says the logs are; each run writes at a
    later time."""
    _, counts = buckets(pipeline)
    with server.client() as client:
        query = "SELECT row FROM state WHERE state = 'counts' ORDER BY time DESC LIMIT 1"
        question = {"db": counts, "epoch": "ns", "q": query}
        answer = client.get("/query", params=question).raise_for_status().json()
    seconds, rest = divmod(answer["results"][0]["series"][0]["values"][0][0], 10**9)
    start = f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    for predicate in ('_measurement="state" AND state="counts"', '_measurement="logs"'):
        delete(server, counts, predicate=predicate, start=start)


def buckets(pipeline: Pipeline) -> tuple[str, str]:
    """That of the requests, and that of the rows."""
    storage = pipeline.open_storage()
    assert isinstance(storage, InfluxStorage)
    return storage._bucket, storage._counts


def empty(pipeline: Pipeline, request: pytest.FixtureRequest) -> None:
    if store_files(pipeline):
        for file in store_files(pipeline):
            file.unlink()
    else:
        delete_all(pipeline, request.getfixturevalue("influxd"))
    pipeline.open_storage().set_up()


def run_until_stored(pipeline: Pipeline, end: signal.Signals = signal.SIGTERM) -> None:
    """Run the processor until all is stored."""
    pipeline.start()
    pipeline.until_stored()
    pipeline.end(end)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_an_emptied_store_is_filled_anew(
    pipeline: Pipeline, request: pytest.FixtureRequest, end: signal.Signals
) -> None:
    pipeline.append(A + b"bad\n")
    run_until_stored(pipeline, end=end)
    pipeline.log.rename(f"{pipeline.log}.1")
    pipeline.append(B + b"worse\n")
    run_until_stored(pipeline, end=end)
    empty(pipeline, request)
    # For the store it is a log that it has never seen: the generations count from 0 again.
    run_until_stored(pipeline)
    pipeline.append(C + b"worst\n")
    run_until_stored(pipeline)
    assert pipeline.stored() == oracle.days_of(B + C)
    (row,) = pipeline.ledger()
    assert (row.first, row.read, row.stored, row.gaps) == (Position(0, 0), 202, 200, ())
    letters = pipeline.output.with_name("dead_letters.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in letters][-2:] == ["worse", "worst"]


@on_sqlite
def test_an_older_copy_that_is_put_back_catches_up(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.append(A)
    run_until_stored(pipeline)
    copy = shutil.copy(tmp_path / "requests.sqlite", tmp_path / "copy")
    pipeline.append(B)
    run_until_stored(pipeline)
    pipeline.log.rename(f"{pipeline.log}.1")
    pipeline.append(C)
    run_until_stored(pipeline)
    shutil.copy(copy, tmp_path / "requests.sqlite")
    run_until_stored(pipeline)
    assert pipeline.stored() == oracle.days_of(A + B + C)
    (row,) = pipeline.ledger()
    assert (row.read, row.stored, row.gaps) == (300, 300, ())


@on_sqlite
def test_lines_that_are_in_no_log_any_more_are_a_gap(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.append(A)
    run_until_stored(pipeline)
    copy = shutil.copy(tmp_path / "requests.sqlite", tmp_path / "copy")
    pipeline.append(B)
    run_until_stored(pipeline)
    rotated = pipeline.log.rename(f"{pipeline.log}.1")
    pipeline.append(C)
    run_until_stored(pipeline)
    rotated.unlink()
    shutil.copy(copy, tmp_path / "requests.sqlite")
    pipeline.start()
    pipeline.until(lambda: bool(pipeline.ledger()[0].gaps), "a file is lost")
    pipeline.until_stored()
    pipeline.end()
    assert pipeline.stored() == oracle.days_of(A + C)
    (row,) = pipeline.ledger()
    assert (row.read, row.stored) == (200, 200)
    assert [gap.position for gap in row.gaps] == [Position(0, len(A))]
    assert "event=bytes_lost" in pipeline.said()


@on_influxdb
def test_a_ledger_that_is_older_than_the_counts_doubles_nothing(pipeline: Pipeline, influxd: InfluxServer) -> None:
    pipeline.append(A)
    run_until_stored(pipeline)
    pipeline.append(B)
    run_until_stored(pipeline)
    take_the_last_ledger_away(pipeline, influxd)
    assert [row.position for row in pipeline.ledger()] == [(0, len(A))]
    pipeline.append(C)
    run_until_stored(pipeline)
    assert pipeline.stored() == oracle.days_of(A + B + C)
    (row,) = pipeline.ledger()
    assert (row.read, row.stored, row.gaps) == (300, 300, ())


@on_influxdb
def test_what_an_older_ledger_misses_is_read_back_from_the_store(pipeline: Pipeline, influxd: InfluxServer) -> None:
    pipeline.append(A)
    run_until_stored(pipeline)
    pipeline.append(B)
    run_until_stored(pipeline)
    take_the_last_ledger_away(pipeline, influxd)
    pipeline.log.unlink()
    pipeline.append(C)
    pipeline.start()
    pipeline.until(lambda: bool(pipeline.ledger()[0].gaps), "the file is lost")
    pipeline.until_stored()
    pipeline.end()
    assert pipeline.stored() == oracle.days_of(A + B + C)
    (row,) = pipeline.ledger()
    assert (row.read, row.stored) == (300, 300)
    # Whether the log went on after B nobody can tell.
    assert [gap.position for gap in row.gaps] == [Position(0, len(A + B))]


@on_influxdb
def test_all_commits_that_an_older_ledger_misses_are_redone(pipeline: Pipeline, influxd: InfluxServer) -> None:
    pipeline.append(A)
    run_until_stored(pipeline)
    pipeline.start()
    for part in (B, C):
        pipeline.append(part)
        pipeline.until_stored()
        pipeline.until_rolled_up()
    pipeline.end()
    take_the_last_ledger_away(pipeline, influxd)
    pipeline.append(A)
    run_until_stored(pipeline)
    assert pipeline.stored() == oracle.days_of(A + B + C + A)
    assert pipeline.rolled_up() == oracle.rollups_of(A + B + C + A)
    (row,) = pipeline.ledger()
    assert (row.read, row.stored, row.gaps) == (400, 400, ())


@on_sqlite
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_is_taken_away_ends_the_processor(pipeline: Pipeline, tmp_path: Path, how: str) -> None:
    path = tmp_path / "requests.sqlite"
    copy = shutil.copy(path, tmp_path / "copy")
    pipeline.append(A)
    pipeline.start()
    pipeline.until_stored()
    if how == "deleted":
        path.unlink()
    else:
        Path(copy).replace(path)
    pipeline.append(B)
    # Else it would store in a file that nobody sees.
    assert pipeline.wait() == 1
    assert f"The store {path} was deleted or replaced while it was written: start again." in pipeline.said()
    assert "Traceback" not in pipeline.said()
    for file in store_files(pipeline):
        file.unlink()
    pipeline.open_storage().set_up()
    run_until_stored(pipeline)
    assert pipeline.stored() == oracle.days_of(A + B)


@on_influxdb
def test_a_bucket_that_is_emptied_ends_the_processor(pipeline: Pipeline, influxd: InfluxServer) -> None:
    pipeline.append(A)
    pipeline.start()
    pipeline.until_stored()
    delete_all(pipeline, influxd)
    pipeline.append(B)
    assert pipeline.wait() == 1
    assert "The store was emptied or restored while this process wrote to it: start again." in pipeline.said()
    assert "Traceback" not in pipeline.said()
    pipeline.open_storage().set_up()
    start_again(pipeline)
    assert pipeline.stored() == oracle.days_of(A + B)
    (row,) = pipeline.ledger()
    assert (row.read, row.stored) == (200, 200)


@on_influxdb
def test_what_was_written_before_it_was_noticed_does_not_count(pipeline: Pipeline, influxd: InfluxServer) -> None:
    pipeline.append(A + B)
    run_until_stored(pipeline)
    storage = pipeline.open_storage()
    assert isinstance(storage, InfluxStorage)
    storage.acquire()
    keys = [
        DailyKey(customer, (date.fromisoformat(day) - date(1970, 1, 1)).days) for customer, day in oracle.days_of(A + B)
    ]
    counts, ledger, (logs, _, _) = storage.read_daily(keys), storage.read_state("counts"), storage.read_logs()
    delete_all(pipeline, influxd)
    # A part of the counts, and a ledger that says that it is all.
    some: dict[Key, str] = {
        key: encode_daily(row) for key, row in counts.items() if key.customer in (None, keys[0].customer)
    }
    storage.write(some, {LogKey(log): row for log, row in logs.items()}, {StateKey("counts"): ledger})
    assert [row.position for row in pipeline.ledger()] == [(0, len(A + B))]
    # It dies without a word.
    storage._lease._released.set()
    pipeline.open_storage().set_up()
    start_again(pipeline)
    assert pipeline.stored() == oracle.days_of(A + B)


def start_again(pipeline: Pipeline) -> None:
    """Start the processor, and wait until all is stored. Before it follows, the ledger is the one that was left."""
    begun = pipeline.said().count("event=following")
    pipeline.start()
    pipeline.until(lambda: pipeline.said().count("event=following") > begun, "it follows again")
    pipeline.until_stored()
