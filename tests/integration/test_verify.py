"""`python -m log_processor verify`: says whether the store is what the log's files say."""

import gzip
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from msgspec import structs

from lines import valid_lines
from pipeline import Pipeline
from request_log.formats import simple
from rollups.counters import pack, unpack
from rollups.counts import DailyKey
from rollups.rows import encode_daily
from storage.contract import Storage
from storage.keys import LogKey, StateKey
from storage.ledger import decode_intent, decode_ledger, encode_ledger
from storage.logs import LedgerRow, decode_file, encode_log
from storage.requests import FileId, StoredRequests
from stores import Store

OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"
NOT_READ = " are not accounted for, and no processor runs to read them."
on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
ODD_LINES = [
    b"",
    b"\r",
    b"no request",
    b"\xff\xfe",
    b"2026-11-23 16:15:35 nul\x00 /path 200 0.1",
    b"2026-11-23 16:15:35 cust " + b"x" * 300_000 + b" 200 0.1",
    b"1999-11-23 16:15:35 cust /path 200 0.1",
    b"2026-13-23 16:15:35 cust /path 200 0.1",
    b'"2026-11-23 16:15:35 cust /path 200 0.1',
]


def date(age: int) -> str:
    """The UTC date so many days ago."""
    return str(datetime.now(timezone.utc).date() - timedelta(days=age))


def lines_of(age: int, count: int = 20, customer: str = "cust") -> bytes:
    """Valid lines of one day."""
    return "".join(
        f"{date(age)} 12:00:00 {customer} /path {200 + n % 20} 0.{n % 20:03}\n" for n in range(count)
    ).encode()


def rotate(log: Path) -> None:
    """`log` becomes `log.1`, which becomes `log.2`, ..."""
    number = 1
    while log.with_name(f"{log.name}.{number}").exists():
        number += 1
    for older in range(number, 1, -1):
        log.with_name(f"{log.name}.{older - 1}").rename(log.with_name(f"{log.name}.{older}"))
    log.rename(log.with_name(f"{log.name}.1"))


def compress(file: Path) -> None:
    """`file` becomes `file.gz`."""
    file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()


def store(pipeline: Pipeline, *files: bytes) -> None:
    """Have these lines stored, with a rotation after each but the last. The processor has ended then."""
    pipeline.start()
    for number, lines in enumerate(files):
        if number:
            rotate(pipeline.log)
        pipeline.append(lines)
        pipeline.until_stored()
    assert pipeline.end() == 0


@contextmanager
def opened(pipeline: Pipeline) -> Iterator[Storage]:
    """The store, as the processor writes it."""
    storage = pipeline.open_storage()
    storage.acquire()
    try:
        yield storage
    finally:
        storage.close()


def set_ledger(pipeline: Pipeline, row: LedgerRow) -> None:
    with opened(pipeline) as storage:
        storage.write({LogKey(row.log): encode_log(row)})


def verify(pipeline: Pipeline, **environment: str) -> tuple[int, list[str]]:
    """Exit status, and the lines that were printed."""
    done = pipeline.run("verify", **environment)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_it_says_that_all_agree(pipeline: Pipeline) -> None:
    good = valid_lines(2_000, days=40)
    store(pipeline, good.replace(b"\n", b"\r\n", 100) + b"\n".join([*ODD_LINES, b""]))
    assert verify(pipeline) == (
        0,
        [
            "All agree: lines 2,009, requests 2,000, rejected 9 (control_character 1, empty 2, fields 1, not_utf8 1,"
            f" time 2, too_long 1, too_old 1), customers 9, days {len(dates_in(good))}."
        ],
    )


@on_sqlite
@pytest.mark.parametrize("drops", ["yes", "no"])
def test_a_path_that_is_nothing_but_a_query_is_the_root(pipeline: Pipeline, drops: str) -> None:
    pipeline.start(LOG_DROP_QUERY=drops)
    pipeline.append(lines_of(0).replace(b"/path", b"?q=1") + lines_of(0).replace(b"/path", b"/"))
    pipeline.until_stored()
    pipeline.until_rolled_up()
    assert pipeline.end() == 0
    assert verify(pipeline)[1][-1].startswith("All agree: lines 40, requests 40,")


def dates_in(lines: bytes) -> set[bytes]:
    return {line[:10] for line in lines.splitlines()}


def test_a_row_that_was_changed_is_shown(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(0) + lines_of(1) + lines_of(1, customer="other"))
    key = DailyKey("other", (datetime.now(timezone.utc).date() - datetime(1970, 1, 1).date()).days - 1)
    with opened(pipeline) as storage:
        row = storage.read_daily([key])[key]
        changed = unpack(row)
        changed.statuses[599] += 1
        changed.latencies[19] += 1
        storage.write({key: encode_daily(pack(changed, row.commit))})
    status, said = verify(pipeline)
    assert status == 1
    assert [line.split() for line in said[:-1]] == [
        ["customer", "date", "figure", "in", "the", "log", "in", "the", "store"],
        ["other", date(1), "total_requests", "20", "21"],
        ["other", date(1), "failed_requests", "0", "1"],
        ["other", date(1), "server_errors", "0", "1"],
        ["other", date(1), "uptime", "100.0", str(2_000 / 21)],
        ["other", date(1), "availability", "100.0", str(2_000 / 21)],
        ["other", date(1), "average_latency", "0.0095", str(209 / 21_000)],
        ["other", date(1), "median_latency", "0.0095", "0.01"],
        ["other", date(1), "requests", "with", "status", "599", "0", "1"],
        ["other", date(1), "requests", "of", "19", "ms", "1", "2"],
    ]
    assert said[-1].startswith("Figures that differ: 9. In the log: lines 60, requests 60,")


@on_sqlite
def test_the_difference_in_the_documentation_is_what_it_prints(pipeline: Pipeline) -> None:
    blocks = re.findall(r"^```text\n(.*?)^```$", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)
    (shown,) = (block for block in blocks if block.startswith("customer "))
    statuses = [200] * 34 + [201] * 2 + [204] * 2
    latencies = [2, *[40] * 17, 93, 94, *[192] * 16, 198, 633]
    requests = [("cust_7", status, ms) for status, ms in zip(statuses, latencies, strict=True)]
    requests += [(f"cust_{20 + number % 19}", 200, 100) for number in range(1_000 - len(requests))]
    lines = [f"{date(1)} 12:00:00 {customer} /path {status} {ms / 1000}\n" for customer, status, ms in requests]
    store(pipeline, "".join(lines).encode())
    with closing(sqlite3.connect(pipeline.environment["SQLITE_PATH"])) as connection, connection:
        connection.execute("DELETE FROM daily WHERE customer = 'cust_7'")
    assert verify(pipeline) == (1, shown.replace("2026-11-24", date(1)).splitlines())


@pytest.mark.parametrize(
    ("at", "before", "after", "shown"),
    [
        (5, b" 205 ", b" 599 ", "stored requests with status 205 1 0"),
        (5, b" 0.005", b" 0.050", "stored requests of 5 ms 1 0"),
        (5, b"/path", b"/other", "stored requests of /other 0 1"),
        (5.5, b"", b"", "stored requests 20 21"),
    ],
)
def test_a_stored_request_that_is_not_in_the_log_is_shown(
    pipeline: Pipeline, at: float, before: bytes, after: bytes, shown: str
) -> None:
    lines = lines_of(0)
    store(pipeline, lines)
    line = lines.splitlines(keepends=True)[5]
    with opened(pipeline) as storage:
        requests, *_ = simple.parse(line.replace(before, after), int(at * len(line)), 0)
        storage.prepare([StoredRequests([file_of(storage)], requests.offsets * 0, requests)])()
        storage.flush()
    status, said = verify(pipeline)
    assert status == 1
    assert [line.split() for line in said[1:-1]] == [["cust", date(0), *shown.split()]]
    assert said[-1].startswith("Figures that differ: 1. In the log: lines 20, requests 20,")


def test_requests_that_are_not_stored_are_shown(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(0) + lines_of(1))
    with opened(pipeline) as storage:
        storage.remove_requests("api_requests", [file_of(storage)])
    status, said = verify(pipeline)
    assert status == 1
    assert [line.split() for line in said[1:-1]] == [
        ["cust", date(age), *["stored", "requests", "20", "0"]] for age in (1, 0)
    ]


@on_sqlite
def test_requests_that_have_expired_are_not_missed(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(0) + lines_of(3))
    with closing(sqlite3.connect(pipeline.environment["SQLITE_PATH"])) as connection, connection:
        connection.execute("DELETE FROM requests WHERE time < (SELECT max(time) FROM requests)")
    status, said = verify(pipeline)
    assert (status, said[0][:11]) == (0, "All agree: ")
    assert said[1] == f"Stored requests of days before {date(0)} were not compared: none is kept."


@on_sqlite
def test_requests_of_which_only_the_failed_ones_are_stored_are_not_compared(pipeline: Pipeline) -> None:
    pipeline.start(STORE_REQUESTS="failed")
    pipeline.append(lines_of(0))
    pipeline.until_stored()
    assert pipeline.end() == 0
    status, said = verify(pipeline)
    assert (status, said[0][:11]) == (0, "All agree: ")
    assert said[1] == "Stored requests were not compared: not all are stored (STORE_REQUESTS)."


def file_of(storage: Storage) -> FileId:
    """The only file of the log."""
    _, files, _ = storage.read_logs()
    ((key, text),) = files.items()
    row = decode_file(*key, text)
    return FileId(row.log, row.generation, row.lane, row.base)


@on_sqlite
def test_counts_of_a_writer_that_nobody_knows_are_shown(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(0) + lines_of(0, customer="other"))
    with closing(sqlite3.connect(pipeline.environment["SQLITE_PATH"])) as connection, connection:
        connection.execute("INSERT INTO daily SELECT customer, day, 6, row FROM daily WHERE customer <> 'other'")
    status, said = verify(pipeline)
    assert status == 1
    assert [line.split() for line in said[1:3]] == [
        [customer, date(0), "requests", "of", "no", "known", "writer", "0", str(more)]
        for customer, more in (("(all)", 40), ("cust", 20))
    ]
    assert said[3].startswith("Figures that differ: 2.")


@on_sqlite
def test_it_says_which_days_are_not_checked(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(0))
    with closing(sqlite3.connect(pipeline.environment["SQLITE_PATH"])) as connection, connection:
        connection.execute("INSERT INTO daily SELECT customer, day - 60, writer, row FROM daily")
    status, said = verify(pipeline)
    assert status == 0
    assert said[-1] == f"Counts of days before {date(45)} were not checked: their lines are too old."


@on_sqlite
def test_a_row_too_many_or_too_few_is_shown(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(0) + lines_of(0, customer="other"))
    log = pipeline.log.read_bytes()
    # The same bytes at the ends, where a file is told from others.
    pipeline.log.write_bytes(log[:1024] + log[1024:].replace(b" other ", b" third ", 1))
    status, said = verify(pipeline)
    assert status == 1
    totals = [line.split() for line in said if "total_requests" in line]
    assert totals == [["other", date(0), "total_requests", "19", "20"], ["third", date(0), "total_requests", "1", "0"]]


@on_sqlite
def test_a_ledger_that_is_not_the_log_is_shown(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(0) + b"no request\n")
    (row,) = pipeline.ledger()
    set_ledger(pipeline, structs.replace(row, read=22, stored=21, rejected={}))
    status, said = verify(pipeline)
    assert status == 1
    assert [line.split()[-4:] for line in said[1:-1]] == [
        ["lines", "read", "21", "22"],
        ["lines", "stored", "20", "21"],
        ["rejected:", "fields", "1", "0"],
    ]


@on_sqlite
@pytest.mark.parametrize("compressed", [[], [2], [1, 2]])
def test_rotated_files_are_read(pipeline: Pipeline, compressed: Sequence[int]) -> None:
    store(pipeline, lines_of(3), lines_of(2) + lines_of(1), lines_of(0))
    for number in compressed:
        compress(pipeline.log.with_name(f"{pipeline.log.name}.{number}"))
    assert verify(pipeline) == (0, ["All agree: lines 80, requests 80, rejected 0, customers 1, days 4."])


@on_sqlite
def test_what_was_rotated_since_the_processor_ended_is_told(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(3), lines_of(2))
    pipeline.append(lines_of(1))
    rotate(pipeline.log)
    pipeline.append(lines_of(0))
    # The second file is read in part.
    compress(pipeline.log.with_name(f"{pipeline.log.name}.1"))
    status, said = verify(pipeline)
    assert status == 1
    assert said[0].startswith("Lines are missing in the store. The rest agrees: lines 40,")
    places = {f"{pipeline.log} (lines 1 to 20)", f"{pipeline.log}.1.gz (lines 21 to 40)"}
    assert {line.removesuffix(NOT_READ) for line in said[1:]} == {f"820 bytes of {place}" for place in places}
    pipeline.start()
    pipeline.until(lambda: sum(row.stored for row in pipeline.ledger()) == 80, "all is stored")
    pipeline.end()
    assert verify(pipeline) == (0, ["All agree: lines 80, requests 80, rejected 0, customers 1, days 4."])


@on_sqlite
def test_a_rotated_name_that_leads_out_of_the_folder_is_not_read(
    pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("elsewhere") / "secret"
    outside.write_bytes(lines_of(2))
    store(pipeline, lines_of(0))
    pipeline.log.with_name(f"{pipeline.log.name}.1").symlink_to(outside)
    assert verify(pipeline) == (0, ["All agree: lines 20, requests 20, rejected 0, customers 1, days 1."])
    status, said = verify(pipeline, LOG_ROOTS=str(outside.parent))
    assert status == 1
    assert any(f"820 bytes of {pipeline.log}.1" in line for line in said)


@on_sqlite
def test_files_rotated_under_a_date_are_read(pipeline: Pipeline) -> None:
    pipeline.start()
    for age in [2, 1, 0]:
        pipeline.append(lines_of(age))
        pipeline.until_stored()
        if age:
            pipeline.log.rename(pipeline.log.with_name(f"{pipeline.log.name}-{date(age).replace('-', '')}"))
    pipeline.end()
    compress(pipeline.log.with_name(f"{pipeline.log.name}-{date(2).replace('-', '')}"))
    assert verify(pipeline) == (0, ["All agree: lines 60, requests 60, rejected 0, customers 1, days 3."])


@on_sqlite
def test_lines_before_the_start_position_are_not_counted(pipeline: Pipeline) -> None:
    pipeline.append(lines_of(1))
    pipeline.start(START_POSITION="end")
    pipeline.until(lambda: bool(pipeline.ledger()), "the log has a ledger")
    pipeline.append(lines_of(0))
    pipeline.until_stored()
    pipeline.end()
    assert verify(pipeline) == (
        0,
        [
            "All agree: lines 20, requests 20, rejected 0, customers 1, days 1.",
            "Of log api_requests, 820 bytes were there before it was followed.",
        ],
    )


@on_sqlite
def test_what_only_a_deleted_file_had_is_not_checked(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(3) + lines_of(2), lines_of(2, customer="other") + lines_of(1), lines_of(0))
    pipeline.log.with_name(f"{pipeline.log.name}.2").unlink()
    assert verify(pipeline) == (
        0,
        [
            "All agree: lines 60, requests 60, rejected 0, customers 2, days 3.",
            "Of log api_requests, 1,640 bytes that were counted are not in files any more. They could not be checked:"
            " their requests are taken as they are stored.",
        ],
    )


@on_sqlite
def test_where_no_file_is_left_nothing_was_checked(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(1))
    pipeline.log.unlink()
    status, said = verify(pipeline)
    assert status == 1
    assert said[0] == "Nothing could be checked. In the log: lines 0, requests 0, rejected 0, customers 0, days 0."
    assert said[1].startswith("Of log api_requests, 820 bytes that were counted are not in files any more.")


@on_sqlite
def test_empty_files_are_passed_over(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(2), lines_of(1))
    for _ in range(2):
        rotate(pipeline.log)
        pipeline.log.touch()
    rotate(pipeline.log)
    pipeline.append(lines_of(0))
    pipeline.start()
    pipeline.until_stored()
    pipeline.end()
    compress(pipeline.log.with_name(f"{pipeline.log.name}.2"))
    assert verify(pipeline) == (0, ["All agree: lines 60, requests 60, rejected 0, customers 1, days 3."])


@on_sqlite
def test_a_gap_is_told(pipeline: Pipeline) -> None:
    pipeline.start()
    pipeline.append(lines_of(1))
    pipeline.until_stored()
    pipeline.end()
    pipeline.log.unlink()
    pipeline.append(lines_of(0))
    pipeline.start()
    pipeline.until(lambda: any(row.gaps for row in pipeline.ledger()), "the gap is noted")
    pipeline.until_stored()
    pipeline.end()
    status, said = verify(pipeline)
    assert status == 0
    assert said[0].startswith("All agree: lines 20,")
    assert said[2].startswith("Log api_requests has a gap: ")


@on_sqlite
def test_days_that_are_no_longer_kept_are_left_out(pipeline: Pipeline) -> None:
    store(pipeline, lines_of(5) + lines_of(1))
    assert verify(pipeline, RETENTION_DAYS="3") == (
        0,
        [
            "All agree: lines 40, requests 20, rejected 20 (too_old 20), customers 1, days 1.",
            f"Counts of days before {date(3)} were not checked: their lines are too old.",
        ],
    )


@on_sqlite
def test_several_logs_are_checked_together(pipeline: Pipeline, tmp_path: Path) -> None:
    second = tmp_path / "second.log"
    pipeline.append(lines_of(0))
    second.write_bytes(lines_of(0) + lines_of(1))
    pipeline.start(LOG_FILES=f"{pipeline.log},{second}")
    pipeline.until(lambda: sum(row.stored for row in pipeline.ledger()) == 60, "all is stored")
    pipeline.end()
    assert verify(pipeline) == (0, ["All agree: lines 60, requests 60, rejected 0, customers 1, days 2."])
    second.unlink()
    status, said = verify(pipeline)
    assert status == 0
    assert said[1].startswith("Of log ")
    assert "could not be checked" in said[1]


@on_sqlite
def test_without_a_ledger_there_is_nothing_to_check(pipeline: Pipeline) -> None:
    status, said = verify(pipeline)
    assert status == 1
    assert said == ["Nothing could be checked: the store has no ledger, because no log was followed yet."]


@on_sqlite
def test_a_store_that_is_away_is_said(pipeline: Pipeline, tmp_path: Path) -> None:
    done = pipeline.run("verify", SQLITE_PATH=str(tmp_path / "nothing" / "store.sqlite"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "SQLite store" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("is_log_ahead", [True, False])
def test_rows_that_are_ahead_of_the_ledger_are_right(pipeline: Pipeline, is_log_ahead: bool) -> None:
    """As a crash leaves them: after the daily rows and before the ledger, the log's row written or not."""
    pipeline.start()
    pipeline.append(lines_of(1) + lines_of(0))
    pipeline.until_stored()
    rotate(pipeline.log)
    pipeline.append(lines_of(0) + lines_of(0, customer="new"))
    pipeline.until_stored()
    pipeline.end()
    with opened(pipeline) as storage:
        number = decode_ledger(storage.read_state("counts")).number
        before = decode_intent(storage.read_intent(number - 1))
        (row,) = before.logs
        storage.write({StateKey("counts"): encode_ledger(before.ledger)})
        if not is_log_ahead:
            storage.write({LogKey(row.log): encode_log(row)})
    status, said = verify(pipeline)
    assert (status, len(said)) == (0, 1)
    assert said[0].startswith(f"All agree: lines {row.read}, requests {row.read}, rejected 0, customers 1, days 2.")


def test_other_writers_are_named(pipeline: Pipeline, store: Store) -> None:
    pipeline.append(lines_of(1))
    pipeline.start()
    pipeline.until_stored()
    pipeline.end()
    store.fill(lines_of(1) + lines_of(0, customer="other"), writer="second")
    assert verify(pipeline) == (
        0,
        [
            "All agree: lines 20, requests 20, rejected 0, customers 1, days 1.",
            "The counts of other writers were not checked, nor roll-ups: second.",
        ],
    )


def test_a_store_that_moves_on_gives_no_false_alarm(pipeline: Pipeline) -> None:
    ended = threading.Event()

    def write() -> None:
        """1,000 lines a second of 200 customers, with a rotation now and then."""
        began, written = time.monotonic(), 0
        while not ended.wait(0.02):
            due = int(1_000 * (time.monotonic() - began))
            pipeline.append(valid_lines(due - written, days=2, seed=due, customers=[f"c{n}" for n in range(200)]))
            if due // 3_000 > written // 3_000:
                rotate(pipeline.log)
            written = due

    pipeline.append(valid_lines(20_000, days=2))
    pipeline.start()
    pipeline.until_stored()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        outcomes = [verify(pipeline) for _ in range(3)]
    finally:
        ended.set()
        writer.join()
    assert [said for status, said in outcomes if status] == []
    assert all(said[0].startswith("All agree") for _, said in outcomes)
    read = [int(said[0].split()[3].replace(",", "")) for _, said in outcomes]
    assert read == sorted(set(read)), "it did not move on"
