"""Commits by example: the rows that a first and a second request leave, and what a start does with half a commit.

A counter is decoded here: `{200: 1}` is one request with the status 200, or with a latency of 200 ms.
"""

import random
import re
from collections.abc import Callable

import pytest

from log_processor.counting.limits import LIMITS
from log_processor.counting.start import Counting, start
from log_processor.parsing.batch import after_storing, parse_chunk
from log_processor.parsing.chunk import Chunk, Part
from log_processor.process.retry import until_stored
from memory_store import MemoryStorage, MemoryStore
from parsed_log import parse, parsed_line
from request_log.line import SECONDS_A_DAY
from rollups.counters import decode_counter
from rollups.counts import DailyKey
from storage.keys import IntentKey, StateKey
from storage.logs import LedgerRow, Position
from storage.writers import MAIN

DAY = 20_780
"""2026-11-23, in days since 1970-01-01."""
FIRST = parsed_line(DAY * SECONDS_A_DAY + 35, "acme", "/orders", 200, "0.05")
SECOND = parsed_line(DAY * SECONDS_A_DAY + 95, "acme", "/orders", 404, "0.07")


class Killed(BaseException):
    """Ends a processor at a write."""


class Processor:
    """A processor that stores a request and counts it by a commit."""

    def __init__(self, store: MemoryStore, turn: Callable[[], None] = lambda: None) -> None:
        """`turn`: called before each step at the store."""
        self._storage = MemoryStorage(store, MAIN, turn, random.Random(1), False)
        self.counting: Counting = start(self._storage, until_stored(self._storage.acquire), "", LIMITS)
        if "log" not in self.counting.logs.committed:
            self.counting.logs.begin(LedgerRow("log", "/logs/log", Position(0, 0), Position(0, 0)))
            self.take(b"", 0)
            self.commit()

    def take(self, line: bytes, offset: int) -> None:
        logs, _, rollups = self.counting
        part = Part("log", "/logs/log", Position(0, offset), Position(0, offset + len(line)), "hashes", len(line))
        batch = parse_chunk(Chunk((part,), line), parse, 0, logs.file, self._storage.prepare, 1)
        batch = after_storing(batch, until_stored(batch.store))
        for taken in batch.parts:
            logs.take(taken)
        rollups.open.take(batch.requests)

    def commit(self) -> None:
        _, counts, rollups = self.counting
        new = len(rollups.open.parts) - 1
        counts.commit(rollups.open, max(new, 0), lambda _: None, rollups.ledger.through, 0)


def rows(store: MemoryStore, kind: type[DailyKey | StateKey | IntentKey]) -> dict[object, str]:
    """The rows of a kind, with their counters decoded."""
    return {
        key: re.sub(r"(?<==)H[\w+/]*=*", lambda counter: str(dict(decode_counter(counter[0]))), row)
        for key, (_, row) in store.rows.get((MAIN, kind), {}).items()
    }


def test_a_row_an_addition_and_the_row_after() -> None:
    store = MemoryStore()
    processor = Processor(store)
    processor.take(FIRST, 0)
    processor.commit()
    # Commit 1 gave the log its row. Commit 2 counts a request of the customer, and of all customers together.
    assert rows(store, DailyKey) == {
        DailyKey("acme", DAY): "2 status={200: 1} latency={50: 1}",
        DailyKey(None, DAY): "2 status={200: 1} latency={50: 1}",
    }
    processor.take(SECOND, len(FIRST))
    processor.commit()
    assert rows(store, DailyKey) == {
        DailyKey("acme", DAY): "3 status={200: 1, 404: 1} latency={50: 1, 70: 1}",
        DailyKey(None, DAY): "3 status={200: 1, 404: 1} latency={50: 1, 70: 1}",
    }
    assert rows(store, StateKey)[StateKey("counts")].startswith("[3,")


def test_a_start_adds_to_the_rows_that_a_broken_commit_has_left_out() -> None:
    store = MemoryStore()

    def die_with_a_row() -> None:
        if any(row.startswith("3 ") for row in rows(store, DailyKey).values()):
            raise Killed

    processor = Processor(store, die_with_a_row)
    processor.take(FIRST, 0)
    processor.commit()
    processor.take(SECOND, len(FIRST))
    with pytest.raises(Killed):
        processor.commit()
    # The intent says what commit 3 counts. One row has it already, and the ledger is still at commit 2.
    assert IntentKey(3) in rows(store, IntentKey)
    assert sorted(rows(store, DailyKey).values()) == [
        "2 status={200: 1} latency={50: 1}",
        "3 status={200: 1, 404: 1} latency={50: 1, 70: 1}",
    ]
    assert rows(store, StateKey)[StateKey("counts")].startswith("[2,")
    Processor(store)
    assert rows(store, DailyKey) == {
        DailyKey("acme", DAY): "3 status={200: 1, 404: 1} latency={50: 1, 70: 1}",
        DailyKey(None, DAY): "3 status={200: 1, 404: 1} latency={50: 1, 70: 1}",
    }
    assert rows(store, StateKey)[StateKey("counts")].startswith("[3,")
