"""Old logs are read into the store, each line once, beside a processor and without one."""

import bz2
import gzip
import lzma
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

import oracle
from asking import ago, answer, line, response, today
from lines import valid_lines
from pipeline import Pipeline
from stores import Store

LINES = valid_lines(1_000)
on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def backfill(pipeline: Pipeline, *files: Path) -> str:
    """What `backfill` of these files says; it must succeed, and leave nothing to be read."""
    end = pipeline.run("backfill", *map(str, files))
    assert end.returncode == 0, end.stdout + end.stderr
    assert not list((pipeline.log.parent / "backfill").glob("backfill-*"))
    return end.stdout


def refused(pipeline: Pipeline, file: Path, **environment: str) -> str:
    """What `backfill` says of a file that it refuses; nothing of it is stored then."""
    before = pipeline.ledger()
    end = pipeline.run("backfill", str(file), **environment)
    assert end.returncode == 1
    assert end.stdout.count("\n") == 1
    assert end.stderr == ""
    assert pipeline.ledger() == before
    assert not list((pipeline.log.parent / "backfill").glob("backfill-*"))
    return end.stdout


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def write(path: Path, lines: bytes) -> Path:
    path.write_bytes(COMPRESSORS[path.suffix](lines) if path.suffix in COMPRESSORS else lines)
    return path


def read(pipeline: Pipeline) -> int:
    """How many lines were read in all."""
    return sum(row.read for row in pipeline.ledger())


def verify(pipeline: Pipeline) -> None:
    end = pipeline.run("verify")
    assert end.returncode == 0, end.stdout + end.stderr


def test_files_are_read_without_a_processor_and_twice_changes_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    parts = [valid_lines(3_000, seed=seed, days=30) for seed in range(2)]
    # The last line has no newline.
    files = [write(tmp_path / "old.log.2.gz", parts[0]), write(tmp_path / "old.log.1", b"rejected\n" + parts[1][:-1])]
    said = backfill(pipeline, *files)
    assert said.splitlines()[-2:] == [
        f"{files[0]}: 3,000 lines read, 3,000 stored, 0 rejected.",
        f"{files[1]}: 3,001 lines read, 3,000 stored, 1 rejected (fields 1).",
    ]
    assert pipeline.stored() == oracle.days_of(b"".join(parts))
    assert pipeline.rolled_up() == oracle.rollups_of(b"".join(parts))
    ledger = pipeline.ledger()
    assert {row.path for row in ledger} == set(map(str, files))
    verify(pipeline)

    # Compressed or not, and whatever it is called.
    copies = [write(tmp_path / "copy", parts[0])]
    copies += [write(tmp_path / f"copy{kind}", b"rejected\n" + parts[1][:-1]) for kind in COMPRESSORS]
    assert backfill(pipeline, *files, *copies) == "".join(
        f"{file}: nothing is new in it.\n" for file in (*files, *copies)
    )
    assert pipeline.ledger() == ledger


def test_what_a_log_had_before_it_was_followed_is_read_beside_the_processor(pipeline: Pipeline, tmp_path: Path) -> None:
    rotated, before, after = (valid_lines(2_000, seed=seed, days=30) for seed in range(3))
    write(tmp_path / "api_requests.log.1", rotated)
    pipeline.append(before)
    pipeline.start(START_POSITION="end")
    pipeline.until(lambda: pipeline.ledger() != [], "the log is followed")
    pipeline.append(after)
    files = [pipeline.log, tmp_path / "api_requests.log.1"]
    said = backfill(pipeline, *files)
    assert [line.partition(": ")[2] for line in said.splitlines()[-2:]] == [
        "2,000 lines read, 2,000 stored, 0 rejected."
    ] * 2
    pipeline.until(lambda: pipeline.stored() == oracle.days_of(rotated + before + after), "all is counted once")
    pipeline.until_rolled_up()
    assert pipeline.rolled_up() == oracle.rollups_of(rotated + before + after)
    verify(pipeline)

    # What was followed itself is not read again after its rotation.
    files[1].rename(tmp_path / "api_requests.log.2")
    pipeline.log.rename(tmp_path / "api_requests.log.1")
    pipeline.append(line(today(), "last"))
    pipeline.until(lambda: ("last", str(today())) in pipeline.stored(), "the rotation is seen")
    compressed = write(tmp_path / "archived.gz", (tmp_path / "api_requests.log.1").read_bytes())
    assert backfill(pipeline, pipeline.log, compressed) == "".join(
        f"{file}: nothing is new in it.\n" for file in (pipeline.log, compressed)
    )
    pipeline.end()
    assert backfill(pipeline, compressed) == f"{compressed}: nothing is new in it.\n"
    assert pipeline.stored() == oracle.days_of(rotated + before + after + line(today(), "last"))


def test_what_is_killed_goes_on_and_counts_each_line_once(pipeline: Pipeline, tmp_path: Path) -> None:
    lines = valid_lines(60_000, days=30)
    old = write(tmp_path / "old.log", lines)
    process = pipeline.begin("backfill", str(old), STREAM_MAX_SIZE="250")
    pipeline.until(lambda: any(row.stored for row in pipeline.ledger()), "something is stored")
    process.kill()
    process.wait()
    assert 0 < sum(row.stored for row in pipeline.ledger()) < 60_000
    # A processor that begins takes what waits, and is killed as well.
    pipeline.start(START_POSITION="end", STREAM_MAX_SIZE="250")
    stored = sum(row.stored for row in pipeline.ledger())
    pipeline.until(lambda: sum(row.stored for row in pipeline.ledger()) > stored, "it goes on")
    pipeline.close()
    backfill(pipeline, old)
    assert pipeline.stored() == oracle.days_of(lines)
    verify(pipeline)


@on_sqlite
def test_a_rotated_file_that_the_processor_has_still_to_read_is_left_to_it(pipeline: Pipeline, tmp_path: Path) -> None:
    parts = [valid_lines(500, seed=seed) for seed in range(3)]
    pipeline.append(parts[0])
    pipeline.start()
    pipeline.until_stored()
    pipeline.end()
    pipeline.log.rename(tmp_path / "api_requests.log.2")
    write(tmp_path / "api_requests.log.1", parts[1])
    pipeline.append(parts[2])
    files = [tmp_path / "api_requests.log.2", tmp_path / "api_requests.log.1", pipeline.log]
    assert backfill(pipeline, *files) == "".join(f"{file}: nothing is new in it.\n" for file in files)
    pipeline.start()
    pipeline.until(lambda: pipeline.stored() == oracle.days_of(b"".join(parts)), "all is counted once")


@on_sqlite
@pytest.mark.parametrize("start", ["beginning", "end"])
def test_a_log_that_was_backfilled_is_followed_from_there(pipeline: Pipeline, start: str) -> None:
    lines = valid_lines(1_000)
    pipeline.append(lines[:20_000].rpartition(b"\n")[0] + b"\n")
    backfill(pipeline, pipeline.log)
    pipeline.log.write_bytes(lines)
    pipeline.start(START_POSITION=start)
    pipeline.until(lambda: sum(row.read for row in pipeline.ledger()) == 1_000, "all lines are read")
    assert pipeline.stored() == oracle.days_of(lines)


@on_sqlite
def test_answers_say_how_fresh_they_are_after_a_backfill(pipeline: Pipeline, store: Store, tmp_path: Path) -> None:
    pipeline.append(line(ago(1), "live"))
    pipeline.start()
    pipeline.until_stored()
    pipeline.until(lambda: answer(store, "/status")["complete_through"] is not None, "the processor has reported")
    backfill(pipeline, write(tmp_path / "old.log", line(ago(2), "old")))
    before = answer(store, "/status")["complete_through"]
    assert before is not None
    pipeline.until(lambda: answer(store, "/customers/old/stats")["complete_through"] > before, "it goes on")


@on_sqlite
def test_a_live_log_stays_fresh_while_old_ones_are_read(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.append(line(ago(1), "first"))
    pipeline.start(STREAM_MAX_SIZE="250")
    pipeline.until_stored()
    old = write(tmp_path / "old.log", valid_lines(400_000, days=30))
    process = pipeline.begin("backfill", str(old))
    pipeline.until(lambda: any(row.stored > 1 for row in pipeline.ledger()), "it is being read")
    pipeline.append(line(today(), "live"))
    stored: dict[str, int] = {}

    def is_live_line_counted() -> bool:
        stored.update({row.log: row.stored for row in pipeline.ledger()})
        return stored[pipeline.log_name] == 2

    pipeline.until(is_live_line_counted, "the live line is counted")
    assert sum(stored.values()) < 400_000, "all old lines were read first"
    assert process.wait(timeout=60) == 0
    assert ("live", str(today())) in pipeline.stored()


@on_sqlite
def test_a_file_that_has_grown_goes_on_where_it_ended(pipeline: Pipeline, tmp_path: Path) -> None:
    lines = valid_lines(2_000)
    old = write(tmp_path / "old.log", lines[:50_000])
    backfill(pipeline, old)
    write(old, lines)
    backfill(pipeline, old)
    assert sum(row.bytes for row in pipeline.ledger()) == len(lines)
    # Its first part ended within a line, which counts as it was then.
    assert read(pipeline) == 2_001


@on_sqlite
def test_files_of_which_one_is_the_beginning_of_the_other_count_once(pipeline: Pipeline, tmp_path: Path) -> None:
    lines = valid_lines(2_000)
    beginning = lines[:50_000].rpartition(b"\n")[0] + b"\n"
    missing = tmp_path / "missing"
    files = [write(tmp_path / "a", beginning), missing, write(tmp_path / "b.gz", lines), write(tmp_path / "c", lines)]
    end = pipeline.run("backfill", *map(str, files))
    assert end.returncode == 1
    assert f"{missing} cannot be read: No such file or directory." in end.stdout
    assert f"{files[-1]}: nothing is new in it." in end.stdout
    assert pipeline.stored() == oracle.days_of(lines)
    assert sum(row.read for row in pipeline.ledger()) == 2_000


@on_sqlite
def test_what_cannot_be_read_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    missing, cut = tmp_path / "missing.log", tmp_path / "cut"
    assert refused(pipeline, missing) == f"{missing} cannot be read: No such file or directory.\n"
    for compress in COMPRESSORS.values():
        cut.write_bytes(compress(LINES)[:-20])
        assert refused(pipeline, cut).startswith(f"{cut} is no whole compressed file: ")


@on_sqlite
def test_files_that_were_put_together_are_known(pipeline: Pipeline, tmp_path: Path) -> None:
    parts = [valid_lines(lines, seed=lines) for lines in (900, 30, 400, 700)]
    pipeline.append(parts[0])
    pipeline.start()
    pipeline.until_stored()
    pipeline.log.rename(tmp_path / "api_requests.log.1")
    pipeline.append(parts[1])
    pipeline.until(lambda: read(pipeline) == 930, "the next file is read")
    # Beside the processor, and all at once.
    second = write(tmp_path / "second.xz", parts[2])
    together = write(tmp_path / "together.gz", parts[2] + parts[0] + parts[1])
    more = write(tmp_path / "more", parts[0] + parts[3] + parts[2])
    said = backfill(pipeline, second, together, more)
    assert f"{together}: nothing is new in it." in said
    assert f"{more}: 700 lines read, 700 stored, 0 rejected." in said
    assert pipeline.stored() == oracle.days_of(b"".join(parts))


@on_sqlite
def test_a_part_of_a_file_is_refused_unless_it_is_to_be_read_anyway(pipeline: Pipeline, tmp_path: Path) -> None:
    backfill(pipeline, write(tmp_path / "read.log", LINES))
    begin, end = LINES.index(b"\n", 20_000) + 1, LINES.index(b"\n", 40_000) + 1
    part = write(tmp_path / "part.gz", LINES[begin:end])
    assert refused(pipeline, part) == (
        f"{part}: all lines that were looked up are stored already, so nothing is read. "
        "`backfill --anyway` reads the file.\n"
    )
    assert pipeline.stored() == oracle.days_of(LINES)
    said = pipeline.run("backfill", "--anyway", str(part))
    assert said.returncode == 0
    assert pipeline.stored() == oracle.days_of(LINES + LINES[begin:end])
    assert backfill(pipeline, part) == f"{part}: nothing is new in it.\n"


@on_sqlite
def test_a_part_of_a_file_that_waits_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    begin = LINES.index(b"\n", 20_000) + 1
    files = [write(tmp_path / "whole", LINES), write(tmp_path / "part", LINES[begin:])]
    end = pipeline.run("backfill", *map(str, files))
    assert end.returncode == 1
    assert f"{files[1]}: all lines that were looked up are stored already, so nothing is read." in end.stdout
    assert pipeline.stored() == oracle.days_of(LINES)


@on_sqlite
def test_a_file_of_another_format_is_refused_and_can_be_read_in_its_own(pipeline: Pipeline, tmp_path: Path) -> None:
    json = b"".join(
        b'{"time": "%s 12:00:00", "customer": "c", "path": "/", "status": 200, "duration": %d}\n'
        % (str(ago(1)).encode(), number)
        for number in range(100)
    )
    old = write(tmp_path / "old.log", json)
    assert refused(pipeline, old) == f"{old}: no line is understood as LOG_FORMAT=simple, so nothing is read.\n"
    assert "100 lines read, 100 stored" in pipeline.run("backfill", str(old), LOG_FORMAT="json").stdout
    assert [row.format for row in pipeline.ledger()] == ["LOG_FORMAT=json"]
    # Of a file that was read as far as it went, too.
    write(old, json + b"no JSON\n" * 50)
    assert refused(pipeline, old, LOG_FORMAT="json") == (
        f"{old}: no line from byte {len(json):,} to {len(json) + 400:,} is understood as LOG_FORMAT=json, "
        "so nothing is read.\n"
    )


@on_sqlite
def test_lines_of_a_file_of_another_format_are_rejected_beside_one_that_is_understood(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    files = [
        write(tmp_path / "a", b"shop.example.net and more words than this has\n" * 3),
        write(tmp_path / "b", LINES),
    ]
    end = pipeline.run("backfill", *map(str, files))
    assert end.returncode == 0
    assert f"{files[0]}: no line is understood as LOG_FORMAT=simple: its lines are rejected." in end.stdout
    assert "3 lines read, 0 stored, 3 rejected (fields 3)." in end.stdout
    assert pipeline.stored() == oracle.days_of(LINES)


@on_sqlite
def test_a_file_is_not_read_in_another_format_than_it_was_tried_in(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.append(LINES)
    pipeline.start()
    pipeline.until_stored()
    old = write(tmp_path / "old.log", LINES)
    assert refused(pipeline, old, LOG_FORMAT="json", LOG_CUSTOMER_FROM="path:/(.)") == (
        "The running processor reads LOG_FORMAT=simple, and not LOG_FORMAT=json LOG_CUSTOMER_FROM='path:/(.)': "
        "stop it first.\n"
    )


@on_sqlite
def test_a_backfill_that_is_stopped_says_that_it_goes_on(pipeline: Pipeline, tmp_path: Path) -> None:
    lines = valid_lines(20_000, days=30)
    old = write(tmp_path / "old.log", lines)
    process = pipeline.begin("backfill", str(old), STREAM_MAX_SIZE="1")
    pipeline.until(lambda: pipeline.ledger() != [], "it has begun")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 1
    said = pipeline.said()
    assert (
        "Stopped. The next processor or backfill reads what was copied." in said
        or "event=stopped_before_all_was_stored" in said
    )
    backfill(pipeline, old)
    assert pipeline.stored() == oracle.days_of(lines)


def test_a_file_is_taken_out_of_the_store_again_and_read_anew(pipeline: Pipeline, store: Store, tmp_path: Path) -> None:
    kept, wrong = (
        valid_lines(3_000, seed=1, days=30),
        valid_lines(3_000, seed=2, days=30, customers=["cust_1", "nobody"]),
    )
    pipeline.append(kept)
    pipeline.start()
    pipeline.until_stored()
    old = write(tmp_path / "old.log.gz", wrong)
    backfill(pipeline, old)
    assert pipeline.stored() == oracle.days_of(kept + wrong)

    # The processor would not know.
    end = pipeline.run("backfill", "--forget", str(old))
    assert end.returncode == 1
    assert end.stdout == "A processor is running. Stop it first: nothing can be removed meanwhile.\n"
    pipeline.end()

    (name,) = (row.log for row in pipeline.ledger() if row.path == str(old))
    end = pipeline.run("backfill", "--forget", str(old))
    assert end.stdout == f"{old}: 3,000 requests of {name} were removed.\n"
    assert end.stderr == ""
    assert end.returncode == 0
    assert pipeline.stored() == oracle.days_of(kept)
    assert pipeline.rolled_up() == oracle.rollups_of(kept)
    assert [row.log for row in pipeline.ledger()] == ["api_requests"]
    assert answer(store, "/customers/cust_1/requests")["requests"]
    assert response(store, "/customers/nobody/requests").status_code == 404
    verify(pipeline)
    assert pipeline.run("backfill", "--forget", str(old)).returncode == 1

    # It is as if it had never been read.
    backfill(pipeline, old)
    assert pipeline.stored() == oracle.days_of(kept + wrong)
    assert pipeline.rolled_up() == oracle.rollups_of(kept + wrong)
    assert pipeline.run("backfill", "--forget", name).returncode == 0
    assert pipeline.stored() == oracle.days_of(kept)


@on_sqlite
def test_taking_a_file_back_goes_on_after_it_was_killed(pipeline: Pipeline, tmp_path: Path) -> None:
    kept, wrong = valid_lines(2_000, seed=1), valid_lines(50_000, seed=2, days=30)
    backfill(pipeline, write(tmp_path / "kept.log", kept))
    old = write(tmp_path / "old.log", wrong)
    backfill(pipeline, old)
    for seconds in (0.1, 0.3, 0.6, 0.9):
        process = pipeline.begin("backfill", "--forget", str(old))
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        process.wait()
    # A processor that runs between does no harm.
    pipeline.start()
    pipeline.until_rolled_up()
    pipeline.end()
    pipeline.run("backfill", "--forget", str(old))
    assert pipeline.stored() == oracle.days_of(kept)
    assert pipeline.rolled_up() == oracle.rollups_of(kept)
    backfill(pipeline, old)
    assert pipeline.stored() == oracle.days_of(kept + wrong)
