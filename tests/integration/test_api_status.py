"""`/status` and `complete_through`: how far the store is."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import pytest

from api.app import build_app
from lines import valid_lines
from pipeline import Pipeline
from request_log.line import Mended, Reason
from storage.contract import Storage
from storage.ledger import Report
from storage.logs import Gap, LedgerRow, Position
from storage.observed import ObservedEnd, complete_through
from stores import Store, commit_daily, write_report

NOW = 1_795_000_000
on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def get(open_storage: Callable[[], Storage], *urls: str) -> list[Any]:
    """The answers of the api."""

    async def ask() -> list[Any]:
        storage = open_storage()
        transport = httpx.ASGITransport(build_app(storage, 45))
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                return [(await client.get(url)).raise_for_status().json() for url in urls]
        finally:
            await storage.aclose()

    return asyncio.run(ask())


def fill(pipeline: Pipeline, logs: Sequence[LedgerRow], observed_ends: Sequence[ObservedEnd]) -> None:
    """Store what a processor does that commits once and then reports once on the logs that it has seen."""
    storage = pipeline.open_storage()
    commit_daily(storage, {}, 1, storage.acquire(), logs)
    if observed_ends:
        reported = max(observed_end.time for observed_end in observed_ends)
        through = complete_through(logs, {observed_end.log: observed_end for observed_end in observed_ends})
        write_report(storage, Report(reported, 1, through), observed_ends)
    storage.close()


def row(position: Position, newest: int = NOW - 5, log: str = "log", last: tuple[int, ...] = ()) -> LedgerRow:
    return LedgerRow(
        log, f"/logs/{log}", Position(0, 0), position, read_through(position), newest=newest, last_seconds=last
    )


def read_through(position: Position) -> int:
    """Bytes of all files; the first file had a hundred."""
    return 100 * position.generation + position.offset


def seen(position: Position, size: int, behind: int, age: float = 0.0, log: str = "log") -> ObservedEnd:
    return ObservedEnd(log, NOW - age, position, size, behind, read_through(position))


def unix(text: str | None) -> float | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text is not None else None


def test_the_status_of_a_log_is_complete(pipeline: Pipeline) -> None:
    ledger = LedgerRow(
        "a log",
        "/logs/a.log",
        first=Position(0, 10),
        position=Position(2, 4_000),
        read=54,
        stored=47,
        rejected={Reason.FIELDS: 2, Reason.TIME: 1},
        skipped=4,
        mended={Mended.DURATION: 5, Mended.STATUS: 1},
        gaps=(Gap(Position(1, 700), "deleted"),),
        newest=NOW,
    )
    now = time.time()
    fill(pipeline, [ledger], [ObservedEnd("a log", now - 60, Position(2, 4_000), 4_000, 0, 0)])
    (status,) = get(pipeline.open_storage, "/status")
    (log,) = status["logs"]
    sight = log.pop("seen")
    assert unix(sight.pop("time")) == pytest.approx(now - 60, abs=1e-5)
    assert 60 <= sight.pop("age_seconds") < 120
    assert sight == {"position": {"generation": 2, "offset": 4_000}, "size": 4_000}
    assert unix(log.pop("complete_through")) == unix(status["complete_through"]) == pytest.approx(now - 60, abs=1e-5)
    assert log == {
        "log": "a log",
        "writer": "main",
        "path": "/logs/a.log",
        "first": {"generation": 0, "offset": 10},
        "position": {"generation": 2, "offset": 4_000},
        "lines_read": 54,
        "lines_stored": 47,
        "lines_rejected": 3,
        "rejected": {"fields": 2, "time": 1},
        "lines_skipped": 4,
        "mended": {"duration": 5, "status": 1},
        "gaps": [{"position": {"generation": 1, "offset": 700}, "reason": "deleted"}],
        "format": "",
        "files": [],
        "newest_request": datetime.fromtimestamp(NOW, timezone.utc).isoformat().replace("+00:00", "Z"),
        "bytes_behind": 0,
        "records_behind": None,
        "seconds_behind": 0.0,
    }


@on_sqlite
@pytest.mark.parametrize(
    ("ledger", "observed_end", "bytes_behind", "complete"),
    [
        # Everything that was seen is stored.
        (row(Position(0, 100)), seen(Position(0, 100), 100, 0), 0, NOW),
        # The log was partly read when it was seen, and is stored now.
        (row(Position(0, 100)), seen(Position(0, 60), 100, 40), 0, NOW),
        (row(Position(1, 20)), seen(Position(0, 60), 100, 40), 0, NOW),
        # Read, but not stored yet.
        (row(Position(0, 40)), seen(Position(0, 100), 100, 0), 60, NOW - 5),
        (row(Position(0, 40)), seen(Position(0, 60), 100, 40), 60, NOW - 5),
        (row(Position(0, 40)), seen(Position(1, 100), 150, 50), 210, NOW - 5),
        # Further files were expected, and it is unknown how much of them is stored now.
        (row(Position(1, 20)), seen(Position(0, 60), 100, 540), 480, NOW - 5),
        # The newest time is in the future, so it says nothing.
        (row(Position(0, 40), newest=0), seen(Position(0, 100), 100, 0), 60, None),
        (row(Position(0, 40), newest=NOW + 10**6), seen(Position(0, 100), 100, 0), 60, None),
        (row(Position(0, 0), newest=0), seen(Position(0, 0), 0, 0), 0, NOW),
        # A single line that is ahead of its neighbours says nothing about what lies between, now or later.
        (
            row(Position(0, 40), newest=NOW + 10**4, last=(NOW - 9, NOW + 10**4, NOW - 8)),
            seen(Position(0, 100), 100, 0),
            60,
            NOW - 8,
        ),
        (
            row(Position(0, 40), newest=NOW - 1, last=(NOW - 900, NOW - 1, NOW - 899)),
            seen(Position(0, 100), 100, 0),
            60,
            NOW - 899,
        ),
    ],
)
def test_how_far_it_is(
    pipeline: Pipeline, ledger: LedgerRow, observed_end: ObservedEnd, bytes_behind: int, complete: float | None
) -> None:
    fill(pipeline, [ledger], [observed_end])
    status, *answers = get(pipeline.open_storage, "/status", "/customers/stats", "/customers")
    (log,) = status["logs"]
    assert log["bytes_behind"] == bytes_behind
    assert [unix(found["complete_through"]) for found in [log, status, *answers]] == [complete] * 4
    if bytes_behind == 0:
        assert log["seconds_behind"] == 0
    elif complete is None:
        assert log["seconds_behind"] is None
    else:
        assert log["seconds_behind"] >= 0


@on_sqlite
def test_paths_that_are_not_utf_8_are_shown(pipeline: Pipeline) -> None:
    moved, old = (Path(os.fsdecode(os.fsencode(pipeline.log.parent) + name)) for name in (b"/moved\xff", b"/old\xfe"))
    pipeline.append(valid_lines(10))
    old.write_bytes(valid_lines(10, seed=2))
    pipeline.start()
    pipeline.until_stored()
    pipeline.log.rename(moved)
    pipeline.until(lambda: pipeline.files()[0].path == str(moved), "the move is noted")
    assert pipeline.run("backfill", str(old)).returncode == 0
    (status,) = get(pipeline.open_storage, "/status")
    log, backfilled = status["logs"]
    assert log["files"][0]["path"] == f"{pipeline.log.parent}/moved\\xff"
    assert backfilled["path"] == f"{pipeline.log.parent}/old\\xfe"


def test_the_slowest_log_decides_complete_through(pipeline: Pipeline) -> None:
    ledger = [row(Position(0, 100), log="a"), row(Position(0, 40), log="b"), row(Position(0, 10), NOW - 10**6, "old")]
    seen_now = [seen(Position(0, 100), 100, 0, log=log) for log in ("a", "b")]
    # The third log is not followed any more: the latest reports do not have it.
    fill(pipeline, ledger, [*seen_now, seen(Position(0, 10), 100, 90, age=3_600, log="old")])
    (status,) = get(pipeline.open_storage, "/status")
    assert unix(status["complete_through"]) == NOW - 5
    assert [log["bytes_behind"] for log in status["logs"]] == [0, 60, 90]


def test_complete_through_is_unknown_before_the_first_report(pipeline: Pipeline) -> None:
    status, stats = get(pipeline.open_storage, "/status", "/customers/stats")
    assert status == {"complete_through": None, "missing": [], "clock_faults": [], "writers": [], "logs": []}
    assert stats["complete_through"] is None
    fill(pipeline, [row(Position(0, 100))], [])
    status, stats = get(pipeline.open_storage, "/status", "/customers/stats")
    (log,) = status["logs"]
    assert (log["seen"], log["bytes_behind"], log["seconds_behind"]) == (None, None, None)
    assert status["complete_through"] is stats["complete_through"] is None


def test_an_idle_log_is_as_fresh_as_the_report(pipeline: Pipeline) -> None:
    now = time.time()
    rows = [row(Position(0, 100), log=log) for log in ("changing", "gone", "quiet", "waiting")]
    storage = pipeline.open_storage()
    commit_daily(storage, {}, 1, storage.acquire(), rows)
    write_report(
        storage,
        Report(now, 1, now - 0.1),
        [
            ObservedEnd("changing", now - 0.1, Position(0, 100), 100, 0, 100),
            # The log is not followed any more.
            ObservedEnd("gone", now - 40, Position(0, 100), 100, 0, 100),
            # The observed end of an unchanged log is not stored with each report.
            ObservedEnd("quiet", now - 9, Position(0, 100), 100, 0, 100),
        ],
    )
    storage.close()
    (status,) = get(pipeline.open_storage, "/status")
    changing, gone, quiet, waiting = status["logs"]
    assert changing["seen"]["age_seconds"] == quiet["seen"]["age_seconds"] < 9
    assert gone["seen"]["age_seconds"] >= 40
    assert waiting["seen"] is None
    assert [unix(log["complete_through"]) for log in (status, changing, quiet, gone)] == pytest.approx(
        [now - 0.1, now - 0.1, now - 0.1, now - 40], abs=1e-5
    )


def test_a_log_that_was_last_seen_before_the_clock_was_set_back_is_not_in_the_report(pipeline: Pipeline) -> None:
    now = time.time()
    storage = pipeline.open_storage()
    rows = [row(Position(0, 100), int(now) + 3_000, log) for log in ("followed", "gone")]
    commit_daily(storage, {}, 1, storage.acquire(), rows)
    observed_ends = [
        ObservedEnd("followed", now, Position(0, 100), 100, 0, 100),
        ObservedEnd("gone", now + 3_600, Position(0, 100), 100, 0, 100),
    ]
    write_report(storage, Report(now, 1, now), observed_ends)
    storage.close()
    (status,) = get(pipeline.open_storage, "/status")
    assert [log["seen"]["age_seconds"] > -1 for log in status["logs"]] == [True, False]
    (fault,) = status["clock_faults"]
    assert "of log followed are 3,000 s ahead" in fault or "of log followed are 2,999 s ahead" in fault


def test_a_line_that_is_ahead_of_its_neighbours_blames_no_clock(pipeline: Pipeline) -> None:
    now = int(time.time())
    ahead = now + 23 * 3_600
    storage = pipeline.open_storage()
    rows = [row(Position(0, 100), ahead, "log", (now - 3, now - 2, now - 1, ahead, now))]
    commit_daily(storage, {}, 1, storage.acquire(), rows)
    write_report(storage, Report(now, 1, now), [ObservedEnd("log", now, Position(0, 100), 100, 0, 100)])
    storage.close()
    (status,) = get(pipeline.open_storage, "/status")
    assert status["clock_faults"] == []
    assert unix(status["logs"][0]["newest_request"]) == ahead


def test_a_report_from_before_the_commit_says_nothing_about_it(pipeline: Pipeline) -> None:
    storage = pipeline.open_storage()
    token = storage.acquire()
    for number, complete in ((1, NOW - 9), (2, NOW - 5)):
        commit_daily(storage, {}, number, token, [row(Position(0, 50))], complete_through=complete)
        if number == 1:
            write_report(storage, Report(NOW - 8, 1, NOW - 8))
    storage.close()
    (stats,) = get(pipeline.open_storage, "/customers/stats")
    assert unix(stats["complete_through"]) == NOW - 5


def test_the_slowest_writer_decides_complete_through(store: Store) -> None:
    for writer, complete in (("main", NOW), ("web-1", NOW - 7)):
        storage = store.open(writer)
        commit_daily(storage, {}, 1, storage.acquire(), [row(Position(0, 100))], complete)
        storage.close()
    status, stats = get(store.open, "/status", "/customers/stats")
    assert [(log["writer"], log["log"]) for log in status["logs"]] == [("main", "log"), ("web-1", "log")]
    assert unix(status["complete_through"]) == unix(stats["complete_through"]) == NOW - 7
    storage = store.open("web-2")
    commit_daily(storage, {}, 1, storage.acquire(), [row(Position(0, 100))])
    storage.close()
    assert [found["complete_through"] for found in get(store.open, "/status", "/customers/stats")] == [None, None]


def test_all_that_was_logged_before_complete_through_is_counted(pipeline: Pipeline) -> None:
    ended = Event()
    written = [(time.time(), 0)]

    def write() -> None:
        while not ended.wait(0.05):
            now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
            pipeline.append(f"{now} cust /path 200 0.1\n".encode() * 100)
            written.append((time.time(), written[-1][1] + 100))

    pipeline.append(valid_lines(1))
    pipeline.start()
    pipeline.until_stored()
    writer = Thread(target=write)
    writer.start()
    answers = []
    try:
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            answers += get(pipeline.open_storage, *["/customers/stats"] * 20)
    finally:
        ended.set()
        writer.join()
    told = [(unix(answer["complete_through"]), answer["total_requests"] - 1) for answer in answers]
    for complete, counted in told:
        assert complete is not None
        assert counted >= max((lines for when, lines in written if when <= complete), default=0)
    assert len({complete for complete, _ in told}) > 3
    pipeline.until_stored()
    pipeline.until(lambda: get(pipeline.open_storage, "/status")[0]["logs"][0]["bytes_behind"] == 0, "it caught up")
