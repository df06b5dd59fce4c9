"""The log handler on a store in memory: what it commits, and when."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chunks import chunk_of
from log_processor.counting import pace
from log_processor.counting.start import start
from log_processor.parsing.batch import parse_chunk
from log_processor.process.reporter import Reporter
from log_processor.storing.dead_letters import DeadLetters
from log_processor.storing.log_handler import LogHandler
from memory_store import MemoryStorage, MemoryStore
from request_log.formats.simple import parse
from request_log.line import Reason
from storage.logs import LedgerRow, decode_log
from stores import ask, days_of
from until import wait_until

LINE = b"2026-11-23 16:15:35 cust_1 /a 200 0.5\n"
DAY = 20_780
"""2026-11-23"""
BAD = b"no request at all\n"


class Handled:
    """A log handler, the time by which it goes, and a log of which it gets the next lines."""

    def __init__(self, folder: Path, store: MemoryStore) -> None:
        self.now = 1_000.0
        self.oldest_day = 0
        self.stop = threading.Event()
        self.storage = MemoryStorage(store)
        self.store = store
        self.dead_letters = folder / "dead_letters.jsonl"
        self._counting = start(self.storage, self.storage.acquire(), "simple")
        self._offset = 0
        self.handler = LogHandler(
            self.storage,
            *self._counting,
            DeadLetters(self.dead_letters, 1_000_000, {}, self.storage.check_lease),
            Reporter(self.storage, list, folder / "heartbeat"),
            lambda: self.oldest_day,
            self.stop,
            lambda: self.now,
        )

    def take(self, lines: bytes, due: float = 0.0, has_backlog: bool = False) -> None:
        """Hand a batch of the next lines to the handler, and end the look at the logs. `due`: seconds from now."""
        chunk = replace(chunk_of(lines, self._offset), due=self.now + due, has_backlog=has_backlog)
        self._offset += len(lines)
        batch = parse_chunk(chunk, parse, self.oldest_day, self._counting.logs.file, self.storage.prepare)
        self.handler.handle(batch)
        if has_backlog:
            # During a backlog the handler does not wait for the sender.
            wait_until(lambda: len(self.store.requests) * len(LINE) == self._offset, "the batch is stored")
        self.handler.end_look()

    def look(self, after: float) -> None:
        """Let time pass, and end a look at the logs that has found no lines."""
        self.now += after
        self.handler.end_look()

    def row(self) -> LedgerRow:
        """What is committed of the log."""
        logs, _, _ = MemoryStorage(self.store).read_logs()
        return decode_log("log", logs["log"])


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(refused=["refused"])


@pytest.fixture
def handled(tmp_path: Path, store: MemoryStore) -> Iterator[Handled]:
    handled = Handled(tmp_path, store)
    handled.take(b"")
    yield handled
    handled.handler.close()


def test_the_beginning_of_a_file_is_committed_at_once(handled: Handled) -> None:
    assert (handled.row().read, handled.row().position.offset) == (0, 0)


def test_lines_are_stored_at_once_and_committed_when_they_are_due(handled: Handled) -> None:
    handled.take(LINE * 3, due=0.5)
    assert len(handled.store.requests) == 3
    handled.look(after=0.4)
    assert handled.row().read == 0
    handled.look(after=0.1)
    assert (handled.row().read, handled.row().stored, handled.row().position.offset) == (3, 3, 3 * len(LINE))
    (day,) = ask(MemoryStorage(handled.store), lambda storage: days_of(storage, "cust_1", DAY, DAY)).values()
    assert (day.statuses, day.latencies) == ({200: 3}, {500: 3})


def test_lines_wait_a_second_at_most_whatever_their_batch_says(handled: Handled) -> None:
    handled.take(LINE, due=60)
    handled.look(after=0.9)
    assert handled.row().read == 0
    handled.look(after=0.1)
    assert handled.row().read == 1


def test_after_a_commit_there_is_a_pause(handled: Handled) -> None:
    handled.now += 1
    handled.take(LINE)
    assert handled.row().read == 1
    handled.take(LINE)
    handled.look(after=0.04)
    assert handled.row().read == 1
    handled.look(after=0.02)
    assert handled.row().read == 2


def test_during_a_backlog_commits_are_rare(handled: Handled) -> None:
    handled.take(LINE, has_backlog=True)
    handled.look(after=pace.LONGEST_PAUSE_BEHIND_SECONDS - 1)
    assert handled.row().read == 0
    handled.look(after=1)
    assert handled.row().read == 1


def test_a_shutdown_commits_what_is_stored(handled: Handled) -> None:
    handled.take(LINE, due=60)
    handled.stop.set()
    handled.look(after=0)
    assert handled.row().read == 1


def test_rejected_lines_are_dead_letters_and_are_counted_by_reason(handled: Handled) -> None:
    handled.take(LINE + BAD + LINE.replace(b"cust_1", b"refused"))
    handled.look(after=1)
    assert (handled.row().read, handled.row().stored) == (3, 1)
    assert handled.row().rejected == {Reason.FIELDS: 1, Reason.REFUSED: 1}
    found = [json.loads(line) for line in handled.dead_letters.read_text().splitlines()]
    assert [(entry["offset"], entry["reason"], entry["line"]) for entry in found] == [
        (len(LINE), "fields", "no request at all"),
        (len(LINE + BAD), "refused", "2026-11-23 16:15:35 refused /a 200 0.5"),
    ]


def test_what_waits_for_a_commit_is_said_to_be_busy(handled: Handled) -> None:
    assert not handled.handler.is_busy()
    handled.take(LINE, due=0.5)
    assert handled.handler.is_busy()
    handled.look(after=0.5)
    assert not handled.handler.is_busy()
