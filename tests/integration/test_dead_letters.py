"""Rejected lines are kept, each once, whatever happens to the processor."""

import json
import os
import random
import signal
import threading
import time
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import oracle
from chunks import chunk_of
from lines import valid_lines
from log_processor.counting.start import start
from log_processor.parsing.batch import parse_chunk
from log_processor.process.reporter import Reporter
from log_processor.storing.dead_letters import DeadLetters
from log_processor.storing.log_handler import LogHandler
from pipeline import Pipeline
from request_log.formats.simple import parse
from request_log.line import Reason
from storage.keys import LogKey, Rows
from storage.logs import LedgerRow, Position, decode_log
from storage.sqlite import SqliteStorage

on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def dead_letters(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Every entry, oldest first."""
    current = pipeline.log.with_name("dead_letters.jsonl")
    older = sorted(current.parent.glob("dead_letters.jsonl.*"), reverse=True)
    return [json.loads(line) for file in [*older, current] for line in file.read_bytes().splitlines()]


def rejected_of(log: bytes, rejected: set[bytes]) -> list[tuple[int, bytes]]:
    """Offset and bytes of those lines of a log that are to be rejected."""
    found, offset = [], 0
    for line in log.split(b"\n")[:-1]:
        if line in rejected:
            found.append((offset, line))
        offset += len(line) + 1
    return found


def test_each_rejected_line_is_kept_with_its_place_and_its_bytes(pipeline: Pipeline) -> None:
    bad = [b"", b"what is this", b"\xff\xfe \xc3", b"a\x00\x1b[31mb\x7f", "ü".encode(), b"one\r", b"x" * 70_000]
    good = valid_lines(40).splitlines(keepends=True)
    lines = b"".join([*good[:20], *(line + b"\n" for line in bad), *good[20:]])
    pipeline.append(lines)
    pipeline.start()
    pipeline.until_stored()
    kept = dead_letters(pipeline)
    assert [(entry["log"], entry["generation"]) for entry in kept] == [("api_requests", 0)] * len(bad)
    assert [entry["reason"] for entry in kept] == [
        "empty",
        "fields",
        "not_utf8",
        "control_character",
        "fields",
        "fields",
        "too_long",
    ]
    assert [entry["length"] for entry in kept] == [len(line) for line in bad]
    assert [entry["offset"] for entry in kept] == [offset for offset, _ in rejected_of(lines, set(bad))]
    bytes_kept = [entry["line"].encode(errors="surrogateescape") for entry in kept]
    assert bytes_kept == [*bad[:-1], bad[-1][:1024]]
    assert kept[-1]["blake2b"] == blake2b(bad[-1], digest_size=16).hexdigest()


def test_a_mended_line_counts_on_its_own_day(pipeline: Pipeline) -> None:
    lines = valid_lines(50, days=20)
    mended = valid_lines(1, seed=9)
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 10 * 86_400)).encode()
    mended = day + mended[mended.index(b" ") :]
    pipeline.append(lines + mended.replace(b" ", b"  ", 1))
    pipeline.start()
    pipeline.until_stored()
    (entry,) = dead_letters(pipeline)
    pipeline.append(entry["line"].replace("  ", " ").encode() + b"\n")
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines + mended)
    assert len(dead_letters(pipeline)) == 1


@on_sqlite
def test_files_are_bounded_and_all_lines_are_counted(pipeline: Pipeline) -> None:
    pipeline.append(b"".join(b"bad line %d\n" % n for n in range(5_000)))
    pipeline.start(DEAD_LETTERS_MAX_BYTES="2048")
    pipeline.until_stored()
    assert [row.rejected for row in pipeline.ledger()] == [{Reason.FIELDS: 5_000}]
    files = sorted(pipeline.log.parent.glob("dead_letters.*"))
    assert len(files) == 5
    assert all(file.stat().st_size < 2_048 + 200 for file in files)
    kept = [entry["line"] for entry in dead_letters(pipeline)]
    assert kept == [f"bad line {n}" for n in range(5_000 - len(kept), 5_000)]


def test_killed_at_any_moment_it_keeps_each_line_once(pipeline: Pipeline) -> None:
    pick = random.Random(3)
    lines, bad = b"", set()
    for run in range(4):
        pipeline.start()
        pipeline.until_said("event=following", run + 1)
        end = time.monotonic() + pick.uniform(0.0, 0.4)
        for part in count():
            more = valid_lines(20, seed=1000 * run + part).splitlines(keepends=True)
            broken = [b"bad %d %d %d" % (run, part, n) for n in range(20)]
            bad.update(broken)
            mixed = [*more, *(line + b"\n" for line in broken)]
            pick.shuffle(mixed)
            lines += b"".join(mixed)
            pipeline.append(b"".join(mixed))
            if time.monotonic() > end:
                break
        pipeline.end(pick.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
    pipeline.start()
    pipeline.until_stored()
    assert [(e["offset"], e["line"].encode()) for e in dead_letters(pipeline)] == rejected_of(lines, bad)
    assert [row.read for row in pipeline.ledger()] == [lines.count(b"\n")]


def test_they_are_on_the_disk_before_the_ledger_moves_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dead_letters.jsonl"
    on_disk = b""
    fsync = os.fsync

    def note_what_is_synced(descriptor: int) -> None:
        nonlocal on_disk
        fsync(descriptor)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            on_disk = path.read_bytes()

    monkeypatch.setattr(os, "fsync", note_what_is_synced)
    committed = []

    class Watched(SqliteStorage):
        def write(self, *groups: Rows) -> None:
            for key, row in ((key, row) for group in groups for key, row in group.items() if isinstance(key, LogKey)):
                committed.append(sum(decode_log(key.log, row).rejected.values()))
                assert on_disk.count(b"\n") == committed[-1]
            super().write(*groups)

    storage = Watched(tmp_path / "requests.sqlite")
    storage.set_up()
    counting = start(storage, storage.acquire(), "")
    logs = counting.logs
    logs.begin(LedgerRow("log", "/logs/log", Position(0, 0), Position(0, 0)))
    letters = DeadLetters(path, 1_000_000, {}, storage.check_lease)
    reporter = Reporter(storage, list, tmp_path / "heartbeat")
    commit_each_look = threading.Event()
    commit_each_look.set()
    handler = LogHandler(storage, *counting, letters, reporter, lambda: 0, commit_each_look)
    for offset in (0, 8, 16):
        handler.handle(parse_chunk(chunk_of(b"bad\nbad\n", offset), parse, 0, logs.file, storage.prepare))
        handler.end_look()
    handler.close()
    storage.close()
    assert committed == [2, 4, 6]
