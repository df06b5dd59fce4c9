"""`verify` on a store that moves on between any two of its questions: it never cries wolf, and misses nothing."""

import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import counting_by_hand
from counting_by_hand import Counting, Read
from lines import valid_lines
from log_processor.commands.verify.result import VerifyResult, date_of
from log_processor.commands.verify.text_file import FilesChanged
from log_processor.counting.limits import Limits
from request_log.line import SECONDS_A_DAY
from rollups.counters import pack, unpack
from rollups.counts import DailyAggregate, DailyKey, RollupRow
from rollups.rows import encode_daily
from storage.keys import FileKey, Rows
from storage.ledger import StoredIntent, WriterState
from storage.logs import FileRow, LedgerRow
from storage.sqlite import SqliteStorage
from stores import Store, sqlite_store

TODAY = int(time.time()) // SECONDS_A_DAY
RETENTION_DAYS = 3
CUSTOMERS = ["a", "b", "c"]
# A slice has one row of roll-ups, and a row goes on in others.
LIMITS = Limits(rollups_at_once=1, slice_characters=1, row_characters=300)


class Killed(Exception):
    """The processor was killed."""


class KillableStorage(SqliteStorage):
    """A writer's connection that is killed in the middle of a write."""

    rows_left: int | None = None
    """How many rows are still written; None: all."""

    def write(self, *groups: Rows) -> None:
        for group in groups:
            if self.rows_left is None:
                super().write(group)
                continue
            super().write(dict(list(group.items())[: self.rows_left]))
            self.rows_left -= len(group)
            if self.rows_left < 0:
                raise Killed


class WatchedStorage(SqliteStorage):
    """A reader's connection; something may happen before each of its questions."""

    def __init__(self, path: Path, happen: Callable[[str], None]) -> None:
        super().__init__(path)
        self._happen = happen

    async def states(self) -> list[WriterState]:
        self._happen("states")
        return await super().states()

    async def logs(self) -> list[tuple[str, LedgerRow]]:
        self._happen("logs")
        return await super().logs()

    async def files(self) -> list[tuple[str, FileRow]]:
        self._happen("files")
        return await super().files()

    async def intents(self, since: Any) -> list[StoredIntent]:
        self._happen("intents")
        return await super().intents(since)

    async def daily_of_customer(self, customer: str | None, first: int, last: int) -> dict[int, DailyAggregate]:
        self._happen("days")
        return await super().daily_of_customer(customer, first, last)

    async def daily_of_all_customers(
        self, first: int, last: int
    ) -> AsyncIterator[dict[str, dict[int, DailyAggregate]]]:
        self._happen("customers")
        async for some in super().daily_of_all_customers(first, last):
            yield some

    def read_daily(self, keys: Any) -> dict[DailyKey, DailyAggregate]:
        self._happen("read_daily")
        return super().read_daily(keys)

    def read_logs(self) -> tuple[dict[str, str], dict[FileKey, str], dict[str, str]]:
        self._happen("read_logs")
        return super().read_logs()

    async def rollups(self, group: int, kinds: Any, first: int, last: int) -> dict[int, list[RollupRow]]:
        self._happen("rollups")
        return await super().rollups(group, kinds, first, last)


class Processor:
    """Counts logs in a folder as a processor does, a step at a time."""

    def __init__(self, folder: Path, path: Path) -> None:
        self._folder = folder
        self._storage = KillableStorage(path)
        self._is_killed = False
        self._seed = 0
        self._start()

    def _start(self) -> None:
        self._counting = Counting(self._storage, self._folder / "log", LIMITS)

    def close(self) -> None:
        self._counting.__exit__()

    def restart(self) -> None:
        """End, if it was not killed, and start again: a start redoes a commit that was broken off."""
        self.close()
        self._is_killed = False
        self._start()

    def count(self, names: Sequence[str] = ("log",), lines: int = 3) -> None:
        """Append lines to these logs, and commit them."""
        if self._is_killed:
            self.restart()
        for name in names:
            self._append(name, lines)
        self._counting.count(*map(self._unread, names), roll_up=False)
        self._storage.compact()

    def roll_up(self, slices: int) -> None:
        """Roll something up, a row each slice."""
        if self._is_killed:
            self.restart()
        self._counting.roll_up(slices)

    def rotate(self) -> None:
        """Rotate the log when all of it is committed; commit that when the new file has a line."""
        self.count()
        path, (generation, _) = self._folder / "log", self._counting.logs.committed["log"].position
        for number in range(generation, 0, -1):
            path.with_name(f"log.{number}").rename(path.with_name(f"log.{number + 1}"))
        path.rename(path.with_name("log.1"))
        self._append("log", 1)
        self._counting.count(Read(path, generation + 1, end=0), roll_up=False)

    def be_killed(self, names: Sequence[str], rows: int) -> None:
        """Append lines to these logs, and be killed when so many rows of their commit are written."""
        if self._is_killed:
            self.restart()
        self._storage.rows_left = rows
        try:
            self.count(names)
        except Killed:
            self._is_killed = True
        self._storage.rows_left = None

    def tamper(self, key: DailyKey) -> None:
        """Add a request to a row that no line says; the processor then begins anew, and counts further in that row."""
        row = self._storage.read_daily([key])[key]
        counts = unpack(row)
        counts.statuses[599] += 1
        self._storage.write({key: encode_daily(pack(counts, row.commit))})
        self.restart()

    def keys(self) -> list[DailyKey]:
        """Those of all rows."""
        found = [DailyKey(name, TODAY - age) for age in range(3) for name in (None, *CUSTOMERS)]
        return sorted(self._storage.read_daily(found), key=str)

    def _append(self, name: str, lines: int) -> None:
        self._seed += 1
        with (self._folder / name).open("ab") as log:
            log.write(valid_lines(lines, days=2, seed=self._seed, customers=CUSTOMERS))

    def _unread(self, name: str) -> Read:
        row = self._counting.logs.committed.get(name)
        generation, offset = row.position if row is not None else (0, 0)
        return Read(self._folder / name, generation, offset, log=name, begun=0)


def verified(store: Store, happen: Callable[[str], None]) -> VerifyResult:
    return counting_by_hand.verified(WatchedStorage(Path(store.environment["SQLITE_PATH"]), happen), RETENTION_DAYS)


def begun(stack: ExitStack) -> tuple[Store, Processor]:
    """A store, and a processor that has counted a log."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    store = stack.enter_context(sqlite_store(folder / "store"))
    (folder / "logs").mkdir()
    processor = Processor(folder / "logs", Path(store.environment["SQLITE_PATH"]))
    stack.callback(processor.close)
    processor.count(lines=20)
    return store, processor


names = st.sampled_from([["log"], ["second"], ["log", "second"]])
steps = st.one_of(
    st.builds(lambda names: lambda processor: processor.count(names), names),
    st.builds(lambda names, rows: lambda processor: processor.be_killed(names, rows), names, st.integers(0, 14)),
    st.builds(lambda slices: lambda processor: processor.roll_up(slices), st.integers(1, 20)),
    st.sampled_from([Processor.restart, Processor.rotate]),
)


@settings(max_examples=40)
@given(st.data())
def test_whatever_happens_between_its_questions_it_says_what_is_so(data: st.DataObject) -> None:
    with ExitStack() as stack:
        store, processor = begun(stack)
        for step in data.draw(st.lists(steps, max_size=4)):
            step(processor)
        plan = data.draw(st.dictionaries(st.integers(0, 50), st.lists(steps, min_size=1, max_size=2), max_size=15))
        questions = count()

        def happen(_: str) -> None:
            for step in plan.get(next(questions), ()):
                step(processor)

        key = data.draw(st.one_of(st.none(), st.sampled_from(processor.keys())))
        if key is not None:
            processor.tamper(key)
        result = verified(store, happen)
        assert {(row.customer, row.date) for row in result.differences} == (
            {(key.customer or "(all)", date_of(key.day))} if key is not None else set()
        )


def test_however_many_commits_come_while_lines_are_counted() -> None:
    with ExitStack() as stack:
        store, processor = begun(stack)
        assert verified(store, commits_before("days", processor)).differences == []


def test_where_the_intents_that_it_needs_are_gone_it_has_to_begin_anew() -> None:
    with ExitStack() as stack:
        store, processor = begun(stack)
        with pytest.raises(FilesChanged, match=r"The store no longer has what commit 3 counted\."):
            verified(store, commits_before("read_daily", processor))


def commits_before(moment: str, processor: Processor) -> Callable[[str], None]:
    """More commits than the store keeps intents of before one question, and one before the store's days are read."""

    def happen(question: str) -> None:
        if question == moment:
            for _ in range(1_001):
                processor.count(lines=1)
        elif question == "days":
            processor.count()

    return happen
