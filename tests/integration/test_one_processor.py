"""One processor writes to a store: a second one refuses, and takes over from one that is dead."""

import copy
import re
import signal
import socket
import time
from collections.abc import Iterator

import pytest

import oracle
from lines import valid_lines
from pipeline import Pipeline
from request_log.line import SECONDS_A_DAY
from rollups.counts import DailyKey
from storage.errors import LeaseHeld
from storage.influxdb import InfluxStorage
from storage.keys import StateKey

on_influxdb = pytest.mark.parametrize("store", ["influxdb"], indirect=True)


@pytest.fixture
def second(pipeline: Pipeline) -> Iterator[Pipeline]:
    """Another processor on the same store and log."""
    second = copy.copy(pipeline)
    second.output = pipeline.output.with_name("second.out")
    yield second
    second.close()


def start_and_follow(pipeline: Pipeline) -> int:
    """Start the processor and wait until it follows; its process id."""
    begun = pipeline.said().count("event=following") if pipeline.output.exists() else 0
    pipeline.start()
    pipeline.until(lambda: pipeline.said().count("event=following") > begun, "it follows")
    assert pipeline._process is not None
    return pipeline._process.pid


def test_a_second_one_refuses_and_says_who_holds_the_store(pipeline: Pipeline) -> None:
    process_id = start_and_follow(pipeline)
    end = pipeline.run()
    assert end.returncode == 1
    assert end.stderr == ""
    (line,) = end.stdout.splitlines()
    assert f"is written by process {process_id} on {socket.gethostname()}: only one can." in line
    # The first one is not disturbed.
    lines = valid_lines(50)
    pipeline.append(lines)
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines)
    assert pipeline.end() == 0


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_ended_is_taken_over(pipeline: Pipeline, second: Pipeline, end: signal.Signals) -> None:
    first_lines, second_lines = valid_lines(50), valid_lines(50, seed=2)
    pipeline.append(first_lines)
    start_and_follow(pipeline)
    pipeline.until_stored()
    pipeline.end(end)
    second.start()
    second.append(second_lines)
    second.until_stored()
    assert second.stored() == oracle.days_of(first_lines + second_lines)


@on_influxdb
def test_one_of_another_host_is_taken_over_when_it_is_silent(pipeline: Pipeline, second: Pipeline) -> None:
    # Whether a process of another host is dead cannot be seen, only that it says nothing any more.
    dead = pipeline.open_storage()
    assert isinstance(dead, InfluxStorage)
    dead._lease._owner = "another-host 1 1"
    dead.acquire()
    # It dies without a word.
    dead._lease._released.set()
    lines = valid_lines(50)
    second.append(lines)
    second.start()
    second.until_stored()
    assert second.stored() == oracle.days_of(lines)


@on_influxdb
def test_one_that_has_much_to_do_is_not_taken_over(pipeline: Pipeline) -> None:
    # It does not report for a while.
    busy, next_one = pipeline.open_storage(), pipeline.open_storage()
    assert isinstance(busy, InfluxStorage)
    busy._lease._owner = "another-host 1 1"
    busy.acquire()
    with pytest.raises(LeaseHeld, match="is written by process 1 on another-host"):
        next_one.acquire()


@on_influxdb
def test_one_that_is_taken_over_while_it_cannot_write_does_not_take_the_store_back(pipeline: Pipeline) -> None:
    stalled, next_one = pipeline.open_storage(), pipeline.open_storage()
    assert isinstance(stalled, InfluxStorage)
    assert isinstance(next_one, InfluxStorage)
    stalled.acquire()
    next_one._lease._owner = "another-host 1 1"
    next_one._lease.acquire()
    # As after a write that failed.
    stalled._lease.token = None
    with pytest.raises(LeaseHeld, match="process 1 on another-host has taken over"):
        stalled.write({StateKey("report"): ""})
    stalled.close()
    # The lease is not released: its owner still sends heartbeats.
    with pytest.raises(LeaseHeld):
        pipeline.open_storage().acquire()


@on_influxdb
def test_one_that_starts_and_is_overtaken_removes_no_row_of_the_other(pipeline: Pipeline) -> None:
    stopped, next_one, reader = (pipeline.open_storage() for _ in range(3))
    assert isinstance(stopped, InfluxStorage)
    wait = stopped._lease.wait_until_free
    of_today = DailyKey(None, int(time.time()) // SECONDS_A_DAY)

    def wait_and_be_overtaken() -> None:
        wait()
        next_one.acquire()
        next_one.write({of_today: "1"}, {StateKey("counts"): "[1, null, null]"})

    stopped._lease.wait_until_free = wait_and_be_overtaken  # type: ignore[method-assign]
    stopped.acquire()
    assert reader.read_state("counts") == "[1, null, null]"
    assert reader.read_daily([of_today])[of_today].commit == 1


@on_influxdb
def test_one_that_was_stopped_and_taken_over_ends_by_itself(pipeline: Pipeline, second: Pipeline) -> None:
    parts = [valid_lines(50, seed=seed) for seed in range(4)]
    pipeline.append(parts[0])
    start_and_follow(pipeline)
    pipeline.until_stored()
    pipeline.send(signal.SIGSTOP)
    second.append(parts[1])
    process_id = start_and_follow(second)
    second.until_stored()
    second.append(parts[2])
    pipeline.send(signal.SIGCONT)
    assert pipeline.wait() == 1
    said = pipeline.said().splitlines()[-1]
    assert re.search(rf"process {process_id} on \S+ has taken over writing to this store\.", said)
    second.append(parts[3])
    second.until_stored()
    assert second.stored() == oracle.days_of(b"".join(parts))
    (row,) = second.ledger()
    assert (row.read, row.stored) == (200, 200)
    assert second.end() == 0
    # What the next one finds is right as well.
    second.start()
    second.append(parts[0])
    second.until_stored()
    assert second.stored() == oracle.days_of(b"".join([*parts, parts[0]]))
