"""The processor as a process: what is in the log is in the store, once."""

import random
import signal
import sqlite3
import time
from contextlib import closing
from itertools import count

import pytest

import oracle
from lines import valid_lines
from log_processor.counting.pace import LONGEST_WAIT_SECONDS
from pipeline import Pipeline
from request_log.line import Reason


def test_every_line_is_stored_and_counted_once(pipeline: Pipeline) -> None:
    lines = valid_lines(3_000, days=45)
    pipeline.append(lines[:100_000])
    pipeline.start()
    pipeline.append(lines[100_000:])
    pipeline.until_stored()
    assert pipeline.end() == 0
    assert pipeline.stored() == oracle.days_of(lines)
    (row,) = pipeline.ledger()
    assert (row.read, row.stored, row.rejected) == (3_000, 3_000, {})


def test_a_hundred_thousand_lines_of_one_second(pipeline: Pipeline) -> None:
    second = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    lines = "".join(f"{second} cust_{n % 50} /api/v1/resource{n % 9} 200 0.{n % 1000:03d}\n" for n in range(100_000))
    pipeline.append(lines.encode())
    pipeline.start()
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines.encode())


def test_it_starts_at_the_end_of_a_log_it_has_never_seen(pipeline: Pipeline) -> None:
    old, new = valid_lines(50), valid_lines(50, seed=2)
    # The half line is finished later: it counts.
    pipeline.append(old + new[:30])
    pipeline.start(START_POSITION="end")
    pipeline.until(lambda: "event=following" in pipeline.said(), "it follows")
    pipeline.append(new[30:])
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(new)


def test_where_it_started_stays_when_it_dies_at_once(pipeline: Pipeline) -> None:
    pipeline.append(valid_lines(50))
    pipeline.start(START_POSITION="end")
    pipeline.until(lambda: "event=following" in pipeline.said(), "it follows")
    pipeline.end(signal.SIGKILL)
    new = valid_lines(50, seed=2)
    pipeline.append(new)
    pipeline.start(START_POSITION="end")
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(new)


def test_a_half_line_is_waited_for(pipeline: Pipeline) -> None:
    lines = valid_lines(3)
    half = len(lines) - 10
    whole = lines[:half].rfind(b"\n") + 1
    pipeline.append(lines[:half])
    pipeline.start()
    pipeline.until_stored(offset=whole)
    pipeline.append(lines[half:])
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines)


def test_bad_lines_are_rejected_with_their_reason_and_counted(pipeline: Pipeline) -> None:
    good = valid_lines(10).decode().splitlines()
    day = time.strftime("%Y-%m-%d")
    bad = {
        Reason.EMPTY: "",
        Reason.FIELDS: "what is this",
        Reason.TIME: f"{day} 24:00:00 cust_1 /path 200 0.1",
        Reason.STATUS: f"{day} 12:00:00 cust_1 /path 600 0.1",
        Reason.DURATION: f"{day} 12:00:00 cust_1 /path 200 1e3",
        Reason.CUSTOMER: f"{day} 12:00:00 {'c' * 257} /path 200 0.1",
        Reason.CONTROL_CHARACTER: f"{day} 12:00:00 cu\x07st /path 200 0.1",
        Reason.TOO_LONG: f"{day} 12:00:00 cust_1 /{'x' * 70_000} 200 0.1",
        Reason.TOO_OLD: "1999-12-31 12:00:00 cust_1 /path 200 0.1",
        Reason.TOO_NEW: "2199-12-31 12:00:00 cust_1 /path 200 0.1",
    }
    lines = "\n".join([*good[:5], *bad.values(), *good[5:], ""]).encode()
    pipeline.append(lines + b"\xff\xfe\n")
    pipeline.start()
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of("\n".join(good).encode())
    (row,) = pipeline.ledger()
    assert row.rejected == dict.fromkeys([*bad, Reason.NOT_UTF8], 1)
    assert (row.read, row.stored) == (10 + len(bad) + 1, 10)
    for reason in bad:
        assert f"reason={reason.value}" in pipeline.said()


def test_a_batch_that_is_full_before_its_wait_is_over_is_counted_a_second_later_at_most(pipeline: Pipeline) -> None:
    lines = valid_lines(20)
    pipeline.start(STREAM_MAX_SIZE="10", STREAM_MAX_WAIT_TIME_IN_SECONDS="3600", START_POSITION="end")
    pipeline.until(lambda: "event=following" in pipeline.said(), "it follows")
    began = time.monotonic()
    pipeline.append(lines)
    pipeline.until_stored()
    assert time.monotonic() - began >= LONGEST_WAIT_SECONDS
    assert pipeline.stored() == oracle.days_of(lines)


@pytest.mark.parametrize("workers", [1, 4])
def test_sigterm_stores_what_was_read(pipeline: Pipeline, workers: int) -> None:
    lines = valid_lines(20)
    pipeline.append(valid_lines(5, seed=2))
    pipeline.start(STREAM_MAX_WAIT_TIME_IN_SECONDS="3600", WORKERS=str(workers), START_POSITION="end")
    pipeline.until(lambda: "event=following" in pipeline.said(), "it follows")
    pipeline.append(lines)
    # The batch waits for its time; nothing tells from outside that the lines were read, so read them twice over.
    time.sleep(0.3)
    assert pipeline.end() == 0
    assert pipeline.stored() == oracle.days_of(lines)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_requests_of_a_backlog_that_are_stored_but_not_counted_are_counted_by_the_next_start(
    pipeline: Pipeline,
) -> None:
    lines = valid_lines(400_000)
    pipeline.append(lines)

    def stored_requests() -> int:
        (number,) = store.execute("SELECT count(*) FROM requests").fetchone()
        return int(number)

    with closing(sqlite3.connect(pipeline.environment["SQLITE_PATH"])) as store:
        pipeline.start()
        pipeline.until(lambda: stored_requests() > 0, "some are stored")
        pipeline.end(signal.SIGKILL)
        assert pipeline.ledger()[0].stored < stored_requests()
        pipeline.start()
        pipeline.until_stored()
        assert stored_requests() == 400_000
    assert pipeline.stored() == oracle.days_of(lines)


def test_signals_at_any_moment_lose_and_double_nothing(pipeline: Pipeline) -> None:
    pick = random.Random(7)
    lines = b""
    for seed in range(10):
        pipeline.start()
        end = time.monotonic() + pick.uniform(0.3, 1.5)
        for part in count():
            if time.monotonic() > end:
                break
            more = valid_lines(250, seed=1000 * seed + part)
            lines += more
            pipeline.append(more)
            time.sleep(0.05)
        pipeline.end(pick.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
    pipeline.start()
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines)
    assert [row.stored for row in pipeline.ledger()] == [lines.count(b"\n")]
