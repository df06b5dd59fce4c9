"""Each line is counted exactly once, whatever crashes, pauses and writes late.

The code under test is the processor's own: what a start does, commits of counts and of roll-ups. It counts drawn logs
on a store in memory. A drawn schedule says after which single write a processor dies, or is paused while another one
takes over, and when it wakes up.
"""

import asyncio
import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from log_processor.counting.buffer import Buffer
from log_processor.counting.forget import forget
from log_processor.counting.journal import encode_journal
from log_processor.counting.limits import LIMITS, Limits
from log_processor.counting.retire import retire
from log_processor.counting.start import start
from log_processor.parsing.batch import after_storing, parse_chunk
from log_processor.parsing.chunk import Chunk, Part
from log_processor.process.retry import until_stored
from log_processor.storing.kept_requests import preparing
from memory_store import MemoryStorage, MemoryStore, Write
from parsed_log import REJECTED, SKIPPED, parse, parsed_line
from request_log.line import SECONDS_A_DAY, Mended, Reason
from rollups.counts import SUCCESS, RollupKind, RollupRow
from rollups.groups import (
    ALL_CUSTOMERS,
    ALL_OF_HOUR,
    EVERYBODY,
    OTHER,
    Endpoint,
    escaped,
    group_of,
    histograms_by_method,
    histograms_of_endpoints,
    histograms_of_hours,
    sizes_of_endpoints,
)
from rollups.histogram import Histogram
from storage.contract import Storage
from storage.errors import StorageRefused, StorageUnavailable
from storage.kept import KeptRequests
from storage.keys import FileKey, IntentKey, JournalKey, StateName
from storage.ledger import Intent, Ledger, decode_ledger, decode_rollup_ledger, encode_intent, is_rolled_up
from storage.logs import FileRow, FileState, LedgerRow, Position
from storage.requests import FileId, OffsetRange, StoredRequests
from storage.writers import ARCHIVE, MAIN
from stored_rows import histograms_of_endpoint_parts
from stores import days_of

FIRST_DAY = 20_780
"""2026-11-23, in days since 1970-01-01."""
REFUSED = "refused"
TO_THE_END = 1 << 60
"""More steps than any processor takes."""
OF_ONE_GROUP = [name for name in (f"cust_{number}" for number in range(9_000)) if group_of(name) == 7][:2]


class Line(NamedTuple):
    """A line of a log. A line without a customer is rejected, or skipped if its status is 0."""

    customer: str | None
    day: int
    """After the first day."""
    minute: int
    """Of the day."""
    path: str
    status: int
    duration: str
    """Seconds; empty where none was logged."""
    method: str
    """Empty where none was logged."""
    size: int | None
    """Bytes; None where they were not logged."""
    mended: tuple[Mended, ...] = ()


@cache
def text_of(line: Line) -> bytes:
    if line.customer is None:
        return REJECTED if line.status else SKIPPED
    second = (FIRST_DAY + line.day) * SECONDS_A_DAY + line.minute * 60 + 35
    customer, path, status = line.customer, line.path, line.status
    return parsed_line(second, customer, path, status, line.duration, line.method, line.size, line.mended)


Answer = TypeVar("Answer")
Action = Literal["run", "fail", "crash", "pause", "wake", "land"]


@dataclass(frozen=True)
class Case:
    """Some logs, and what happens to their processors."""

    logs: Sequence[Sequence[Sequence[Line]]]
    """Log -> its files, which are read side by side -> lines."""
    schedule: Sequence[tuple[Action, int]]
    """The number: of steps, or which one of those that are paused or under way."""
    limits: Limits
    holds: bool
    """Whether the store holds requests until they are flushed."""
    kept: KeptRequests
    """Which requests are stored."""
    seed: int
    """The seed of what a processor does next, and of the order in which the rows of a group land."""

    def file(self, log: str, generation: int) -> bytes:
        return b"".join(text_of(line) for line in self.logs[int(log)][generation // 2])

    def requests(self) -> list[Line]:
        lines = [line for files in self.logs for lines in files for line in lines]
        return [line for line in lines if self.is_request(line)]

    def is_stored(self, line: Line) -> bool:
        """Whether the request of a line is given to the store."""
        return self.kept == "all" or (self.kept == "failed" and line.status not in SUCCESS)

    def is_request(self, line: Line) -> bool:
        """Whether a line is counted as a request. The store refuses some that it is given."""
        return line.customer is not None and not (line.customer == REFUSED and self.is_stored(line))


lines = st.builds(
    Line,
    st.sampled_from(["a", "b", *OF_ONE_GROUP, OTHER, None, REFUSED]),
    st.integers(0, 1),
    st.sampled_from([0, 14, 15, 1_439]),
    st.sampled_from(["/a", "/b", "/c"]),
    st.sampled_from([200, 404, 0, 999]),
    st.sampled_from(["0.001", "0.5", ""]),
    st.sampled_from(["GET", "POST", ""]),
    st.sampled_from([0, 512, None]),
    st.sampled_from([(), (), (Mended.DURATION,), (Mended.STATUS, Mended.ENCODING)]),
)
actions: st.SearchStrategy[Action] = st.sampled_from(
    ["run", "run", "run", "crash", "pause", "wake", "wake", "wake", "land"]
)
limits = st.builds(
    Limits,
    daily_rows_at_once=st.sampled_from([1, 2, LIMITS.daily_rows_at_once]),
    daily_rows=st.sampled_from([0, 3, LIMITS.daily_rows]),
    daily_characters=st.just(LIMITS.daily_characters),
    rollups_at_once=st.sampled_from([1, 3, LIMITS.rollups_at_once]),
    rollups=st.sampled_from([0, 3, LIMITS.rollups]),
    rollups_characters=st.just(LIMITS.rollups_characters),
    row_characters=st.sampled_from([40, 80, 160, LIMITS.row_characters]),
    journal_characters=st.sampled_from([8, 64, LIMITS.journal_characters]),
    slice_characters=st.sampled_from([1, 200, LIMITS.slice_characters]),
    # A run must not depend on its speed.
    slice_seconds=st.just(math.inf),
    new_customers=st.sampled_from([1, 2, 3, LIMITS.new_customers]),
    names_asked_for=st.sampled_from([0, 1, LIMITS.names_asked_for]),
)
cases = st.builds(
    Case,
    st.lists(st.lists(st.lists(lines, max_size=12), min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(st.tuples(actions, st.integers(0, 3) | st.integers(0, 40)), min_size=10, max_size=40),
    limits,
    st.booleans(),
    st.sampled_from(["all", "all", "failed", "none"]),
    st.integers(0, 1 << 32),
)


class Ended(BaseException):
    """Ends a processor: it was killed, or it found out that another one has taken over."""


class Processor:
    """A processor in a thread, which takes steps at the store when it is told to."""

    def __init__(
        self,
        store: MemoryStore,
        case: Case,
        number: int,
        storage: type[MemoryStorage] = MemoryStorage,
        work: "Callable[[MemoryStorage, Case, random.Random], None] | None" = None,
        writer: str = MAIN,
    ) -> None:
        """`work`: what it does; it counts all that there is."""
        self._case = case
        self._what = work or count
        self._pick = random.Random(f"{case.seed} {number}")
        self._storage = storage(store, writer, self._turn, self._pick, case.holds)
        self._steps = 0
        self.steps_taken = 0
        self._is_killed = self._is_to_fail = self.has_ended = False
        self._error: Exception | None = None
        # The thread that lets the other one go on releases each semaphore.
        self._go, self._waits = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._waits.acquire()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self._waits.acquire()

    def run(self, steps: int) -> None:
        """Take so many steps, or fewer to the end."""
        if self.has_ended:
            return
        self._steps = steps
        self._go.release()
        self._waits.acquire()
        if self._error is not None:
            raise self._error

    def fail(self) -> None:
        """At the next step the store does not answer."""
        self._is_to_fail = True

    def kill(self) -> list[Write]:
        """End now; the writes that may still land."""
        self._is_killed = True
        self.run(0)
        self._thread.join()
        return self._storage.late_writes()

    def _turn(self) -> None:
        while not self._steps and not self._is_killed:
            self._waits.release()
            self._go.acquire()
        if self._is_killed:
            raise Ended
        self._steps -= 1
        self.steps_taken += 1
        if self._is_to_fail:
            self._is_to_fail = False
            raise StorageUnavailable("It does not answer.")

    def _work(self) -> None:
        try:
            self._what(self._storage, self._case, self._pick)
        except Ended:
            pass
        except Exception as error:  # noqa: BLE001
            self._error = error
        self.has_ended = True
        self._waits.release()


def count(storage: MemoryStorage, case: Case, pick: random.Random) -> None:
    """Store and count all lines, like the processor but at random times."""
    token = until_stored(storage.acquire)
    logs, counts, rollups = start(storage, token, "", case.limits, has_journal=case.kept != "all")
    prepare = preparing(case.kept, storage.prepare)
    counted = len(rollups.open.parts)
    places = {key: row.offset for key, row in logs.files.items()}

    def commit() -> None:
        nonlocal counted
        counts.commit(rollups.open, counted, lambda _: None, rollups.ledger.through, 0)
        counted = len(rollups.open.parts)

    def take(*parts: Part, text: bytes = b"") -> None:
        batch = parse_chunk(Chunk(parts, text), parse, 0, logs.file, prepare, pick.choice([1, 128 << 10]))
        batch = after_storing(batch, until_stored(batch.store))
        for part in batch.parts:
            logs.take(part)
            places[FileKey(part.log, part.start.generation)] = part.end.offset
        rollups.open.take(batch.requests)

    def part_of(key: FileKey, length: int, state: FileState = "open") -> Part:
        log, generation = key
        start, end = places.get(key, 0), places.get(key, 0) + length
        positions = Position(generation, start), Position(generation, end)
        return Part(log, f"/logs/{log}", *positions, str(end), length, state=state)

    def read(key: FileKey) -> tuple[Part, bytes]:
        """Some of the next lines of a file; with its last ones it may be closed."""
        text = b"".join(case.file(*key)[places[key] :].splitlines(keepends=True)[: pick.randrange(1, 5)])
        is_last = places[key] + len(text) == len(case.file(*key))
        return part_of(key, len(text), "closed" if is_last and pick.random() < 0.5 else "open"), text

    try:
        # Every other number of a file is left out.
        files = [FileKey(str(log), 2 * number) for log, of_log in enumerate(case.logs) for number in range(len(of_log))]
        new = [log for log in {key.log for key in files} if log not in logs.committed and pick.random() < 0.5]
        if new:
            for log in sorted(new):
                logs.begin(LedgerRow(log, f"/logs/{log}", Position(0, 0), Position(0, 0)))
            counts.commit(None, 0, lambda _: None, rollups.ledger.through, 0)
        while True:
            grown = [key for key in files if key in places and places[key] < len(case.file(*key))]
            unknown = {key.log: key for key in reversed(files) if key not in places}
            if not (grown or unknown or logs.have_changed) and rollups.is_done:
                return
            what = pick.choice(["take", "take", "begin", "commit", "roll up", "roll up", "finish", "check"])
            before = rollups.open
            if what == "take" and grown:
                some = [read(key) for key in pick.sample(grown, pick.randint(1, len(grown)))]
                take(*(part for part, _ in some), text=b"".join(text for _, text in some))
            elif what == "begin" and unknown:
                # The lines of a file are read when its number is committed.
                take(part_of(pick.choice(list(unknown.values())), 0))
                commit()
            elif what == "commit" and logs.have_changed:
                commit()
            elif what == "roll up":
                rollups.work()
            elif what == "finish":
                rollups.finish(math.inf)
            elif what == "check" and pick.random() < 0.2:
                until_stored(storage.check_lease)
            if rollups.open is not before:
                counted = 0
    finally:
        counts.close()


@contextmanager
def leaving() -> Iterator[None]:
    """What would end the process ends the processor, and no retry waits for the store."""
    with (
        patch("log_processor.process.retry.exit_now", side_effect=Ended),
        patch("log_processor.process.retry.time.sleep"),
    ):
        yield


def run(case: Case, storage: type[MemoryStorage] = MemoryStorage) -> MemoryStore:
    """The store after all processors have ended."""
    store = MemoryStore([REFUSED])
    begun = 0
    paused: list[Processor] = []
    late: list[Write] = []

    def begin() -> Processor:
        nonlocal begun
        begun += 1
        return Processor(store, case, begun, storage)

    with leaving():
        current = begin()
        try:
            for action, number in case.schedule:
                if current.has_ended:
                    current = begin()
                if action == "run":
                    current.run(number)
                elif action == "fail":
                    current.fail()
                    current.run(number)
                elif action == "crash":
                    late += current.kill()
                    current = begin()
                elif action == "pause":
                    paused.append(current)
                    current = begin()
                elif action == "wake" and paused:
                    paused[number % len(paused)].run(number)
                elif action == "land" and late:
                    late.pop(number % len(late))()
            for one in paused:
                # The last write of some processors fails.
                if case.seed % 2:
                    one.fail()
            # An undisturbed processor does all that is left, and another one begins after all have ended.
            for one in (current, *paused):
                one.run(TO_THE_END)
            for write in late:
                write()
            current = begin()
            current.run(TO_THE_END)
        finally:
            for one in (current, *paused):
                one.kill()
    return store


Counted = tuple[int, int, Counter[int]]
"""Requests, successful requests, and latency (ms) -> requests."""


def expected(
    case: Case,
    forgotten: int | None = None,
    counted_as: Callable[[str, int], str] = lambda customer, day: escaped(customer),
) -> dict[str, Any]:
    """The expected contents of the store, counted line by line. `forgotten`: the log that was taken out again.
    `counted_as`: customer, day -> the customer whose counts have its requests."""
    logs = [
        [[line for line in lines if number != forgotten] for lines in of_log] for number, of_log in enumerate(case.logs)
    ]
    requests = replace(case, logs=logs).requests()
    found: dict[str, Any] = {"lines": {}, "requests": Counter()}
    for number, files in enumerate(case.logs):
        if number == forgotten:
            continue
        of_log = [line for lines in files for line in lines]
        valid = [line for line in of_log if case.is_request(line)]
        sizes = [len(case.file(str(number), 2 * place)) for place in range(len(files))]
        skipped = sum(1 for line in of_log if line.customer is None and not line.status)
        rejected = len(of_log) - len(valid) - skipped
        mended = Counter(what for line in valid for what in line.mended)
        found["lines"][str(number)] = (
            sum(sizes),
            sizes,
            len(of_log),
            len(valid),
            rejected,
            skipped,
            mended,
            0,
        )
    for line in requests:
        duration = float(line.duration) if line.duration else None
        if case.is_stored(line):
            found["requests"][line.customer, line.path, line.status, duration, line.method or None, line.size] += 1
        day = FIRST_DAY + line.day
        hour, part = line.minute // 60, line.minute // 15
        customer = counted_as(line.customer or "", day)
        for key in (
            ("daily", customer, day),
            ("daily", None, day),
            ("hour", customer, day, hour),
            ("hour", EVERYBODY, day, hour),
            ("endpoint", customer, day, line.path),
            ("endpoint", EVERYBODY, day, line.path),
            ("endpoint and part", EVERYBODY, day, (line.path, part)),
        ):
            total, successful, latencies = found.get(str(key), (0, 0, Counter()))
            if line.duration:
                latencies[round(float(line.duration) * 1000)] += 1
            found[str(key)] = (total + 1, successful + (line.status in SUCCESS), latencies)
        for name in (customer, EVERYBODY):
            of_method = str(("endpoint by method", name, day, Endpoint(line.path, line.method)))
            found[of_method] = found.get(of_method, 0) + 1
            if line.size is not None:
                of_sizes = str(("bytes", name, day, Endpoint(line.path, line.method)))
                found[of_sizes] = found.get(of_sizes, 0) + line.size
    return found


def ask(store: MemoryStore, question: Callable[[Storage], Coroutine[Any, Any, Answer]]) -> Answer:
    return asyncio.run(question(MemoryStorage(store)))


def said(store: MemoryStore) -> dict[str, Any]:
    """The contents of the store."""

    async def look(storage: Storage) -> dict[str, Any]:
        logs = [row for _, row in await storage.logs()]
        offsets = {row.log: [file.offset for _, file in await storage.files() if file.log == row.log] for row in logs}
        found: dict[str, Any] = {
            "lines": {
                row.log: (
                    row.bytes,
                    offsets[row.log],
                    row.read,
                    row.stored,
                    sum(row.rejected.values()),
                    row.skipped,
                    row.mended,
                    len(row.gaps),
                )
                for row in logs
            },
            "requests": Counter((request.customer, *request.logged[2:]) for request in store.requests.values()),
        }
        (state,) = await storage.states()
        assert is_rolled_up(decode_ledger(state.counts), decode_rollup_ledger(state.rollups))
        return found | await counts_in(storage)

    return ask(store, look)


async def counts_in(storage: Storage) -> dict[str, Any]:
    """All daily aggregates and roll-ups, of all writers together."""
    found: dict[str, Any] = {}
    names = await storage.customer_names()
    for name in [*names, None]:
        for day, row in (await days_of(storage, name, 0, 99_999)).items():
            total, successful = row.statuses.total(), row.statuses[200]
            found[str(("daily", name, day))] = (total, successful, row.latencies)
    histograms: list[tuple[str, RollupKind, Callable[[list[RollupRow], str], Any]]] = [
        ("hour", "parts", histograms_of_hours),
        ("endpoint", "endpoints", histograms_of_endpoints),
        ("endpoint and part", "endpoint_parts", lambda rows, _: histograms_of_endpoint_parts(rows)),
    ]
    for what, kind, histograms_of in histograms:
        for name in [*names, EVERYBODY]:
            of_all = [ALL_OF_HOUR + hour for hour in range(24)] if kind == "endpoint_parts" else [ALL_CUSTOMERS]
            for group in of_all if name == EVERYBODY else [group_of(name)]:
                for day, rows in (await storage.rollups(group, [kind], 0, 99_999)).items():
                    for key, histogram in histograms_of(rows, name).items():
                        found[str((what, name, day, key))] = counted(histogram)
                    if kind == "endpoints":
                        for endpoint, histogram in histograms_by_method(rows, name).items():
                            found[str(("endpoint by method", name, day, endpoint))] = histogram.total
                        for endpoint, size in sizes_of_endpoints(rows, name).items():
                            found[str(("bytes", name, day, endpoint))] = size
    return found


def counted(histogram: Histogram) -> Counted:
    latencies: Counter[int] = Counter()
    for latency, requests in zip(histogram.latencies.tolist(), histogram.counts.tolist(), strict=True):
        latencies[latency] += requests
    return histogram.total, histogram.successful, latencies


def told_apart(store: MemoryStore) -> dict[int, set[str]]:
    """Day -> the customers that have an aggregate of it."""

    async def look(storage: Storage) -> dict[int, set[str]]:
        found: dict[int, set[str]] = {}
        for name in await storage.customer_names():
            for day in await storage.daily_of_customer(name, 0, 99_999):
                found.setdefault(day, set()).add(name)
        return found

    return ask(store, look)


def assert_counted_once(store: MemoryStore, case: Case, forgotten: int | None = None) -> None:
    """A customer's requests of a day are all its own or all folded."""
    days = told_apart(store)

    def counted_as(customer: str, day: int) -> str:
        return escaped(customer) if escaped(customer) in days.get(day, ()) else OTHER

    assert said(store) == expected(case, forgotten, counted_as)


@given(cases)
@settings(max_examples=2 * settings().max_examples)
def test_each_line_is_counted_once(case: Case) -> None:
    store = run(case)
    assert_counted_once(store, case)
    before: set[str] = set()
    for _, customers in sorted(told_apart(store).items()):
        new = customers - before - {OTHER}
        assert len(new) <= case.limits.new_customers
        if OTHER in customers and not before:
            assert len(new) == case.limits.new_customers
        before |= customers - {OTHER}


def of_customers(*files: Sequence[tuple[str, int]], new_customers: int) -> Case:
    """Files that are read side by side, with a request for each customer and day after the first one."""
    limits = SMALL.limits._replace(new_customers=new_customers)
    return replace(
        SMALL,
        logs=[[[SMALL.logs[0][0][0]._replace(customer=name, day=day) for name, day in file]] for file in files],
        limits=limits,
    )


def daily_requests(store: MemoryStore) -> dict[tuple[str, int], int]:
    """Customer, day after the first one -> its requests."""

    async def look(storage: Storage) -> dict[tuple[str, int], int]:
        return {
            (name, day - FIRST_DAY): row.statuses.total()
            for name in await storage.customer_names()
            for day, row in (await days_of(storage, name, 0, 99_999)).items()
        }

    return ask(store, look)


def in_turn(*cases: Case, store: MemoryStore | None = None) -> MemoryStore:
    """A store after a processor for each case, one after the other. Each log goes on in the next case."""
    store = store or MemoryStore()
    with leaving():
        for number, case in enumerate(cases):
            Processor(store, case, number).run(TO_THE_END)
    return store


def test_new_customers_beyond_the_bound_of_a_day_are_folded() -> None:
    store = in_turn(of_customers([("d", 0), ("c", 0), ("a", 0), ("b", 0), ("b", 0), ("d", 1)], new_customers=2))
    found = daily_requests(store)
    assert sum(found.values()) == 6
    assert sum(1 for name, day in found if day == 0 and name != OTHER) == 2
    assert found[OTHER, 0] in (2, 3)
    assert found["d", 1] == 1


def test_customers_of_earlier_days_are_never_folded() -> None:
    known = [(name, 0) for name in "abcdef"]
    first = of_customers(known, new_customers=6)
    later = of_customers([*known, *((name, 1) for name in "fedxyzcba")], new_customers=1)
    found = daily_requests(in_turn(first, later))
    assert {name for name, day in found if day == 1 and name in "abcdef"} == set("abcdef")
    assert found[OTHER, 1] == 2


def test_what_was_folded_on_a_day_stays_folded_on_it() -> None:
    first = of_customers([("a", 1), ("b", 1)], new_customers=1)
    # The one that was folded comes with lines of the day before, and then with more of its day.
    again = of_customers(
        [("a", 1), ("b", 1), ("a", 0), ("b", 0), ("c", 1)], [("a", 1), ("b", 1), ("c", 1)], new_customers=9
    )
    store = in_turn(first)
    before = daily_requests(store)
    ((kept, _), _) = sorted(before, key=lambda key: key[0] == OTHER)
    found = daily_requests(in_turn(again, store=store))
    other = {"a": "b", "b": "a"}[kept]
    assert (found[kept, 1], found[OTHER, 1]) == (2, 4)
    assert (other, 1) not in found
    assert found[other, 0] == found[kept, 0] == 1


def test_a_customer_that_is_called_as_the_folded_ones_is_told_apart() -> None:
    case = of_customers([(OTHER, 0), ("\\(other)", 0), ("a", 0), ("b", 0)], new_customers=3)
    found = daily_requests(in_turn(case))
    assert sum(found.values()) == 4
    assert found[OTHER, 0] == 1
    assert found["\\(other)", 0] == 1


def test_a_crash_at_any_step_decides_nothing_anew() -> None:
    case = of_customers(
        [("b", 0), ("d", 1), ("a", 1), ("c", 0), ("c", 1), ("a", 0), ("e", 1), ("b", 1)], new_customers=2
    )
    with leaving():
        for crashed_after in range(0, steps_of(case), 2):
            store = MemoryStore()
            first, second = (Processor(store, case, number, MemoryStorage) for number in (1, 2))
            first.run(crashed_after)
            first.kill()
            second.run(TO_THE_END)
            assert_counted_once(store, case)


def forget_first(storage: MemoryStorage, case: Case, pick: random.Random) -> None:
    """Take the first log out of the store."""
    logs, counts, rollups = start(storage, until_stored(storage.acquire), "", case.limits)
    try:
        if "0" in logs.committed:
            forget(storage, logs, counts, rollups, "0", 0, step_bytes=pick.choice([60, 300, 10_000]))
    finally:
        counts.close()


@given(cases.map(lambda case: replace(case, kept="all")))
def test_a_log_is_taken_out_of_the_store_whatever_crashes(case: Case) -> None:
    store = MemoryStore([REFUSED])
    with leaving():
        Processor(store, case, 0).run(TO_THE_END)
        for number, (action, steps) in enumerate(case.schedule, start=1):
            forgetting = Processor(store, case, number, work=forget_first)
            if action == "fail":
                forgetting.fail()
            forgetting.run(steps)
            for write in forgetting.kill():
                write()
        Processor(store, case, len(case.schedule) + 1, work=forget_first).run(TO_THE_END)
    assert_counted_once(store, case, forgotten=0)


def retire_writer(storage: MemoryStorage, case: Case, pick: random.Random) -> None:
    """Retire the writer of the connection. Roll-ups are divided as the case says."""
    archive = MemoryStorage(storage._store, ARCHIVE, storage._turn, pick)
    retire(storage, archive, storage._writer, case.limits)


def of_two_writers(case: Case) -> MemoryStore:
    """A store in which two writers have counted; one of them was retired, and the archive has its rows."""
    store = MemoryStore()
    Processor(store, case, 1, writer="web-1").run(TO_THE_END)
    Processor(store, case, 2, writer="web-1", work=retire_writer).run(TO_THE_END)
    Processor(store, replace(case, seed=case.seed + 1), 3, writer="web-2").run(TO_THE_END)
    return store


def everything(store: MemoryStore) -> tuple[dict[str, Any], dict[str, tuple[int, int, int]]]:
    """All counts; and of each log how many lines were read, stored and skipped."""
    logs: dict[str, tuple[int, int, int]] = {}
    for _, row in ask(store, lambda storage: storage.logs()):
        read, stored, skipped = logs.get(row.log, (0, 0, 0))
        logs[row.log] = (read + row.read, stored + row.stored, skipped + row.skipped)
    return ask(store, counts_in), logs


def writers_of(store: MemoryStore) -> list[str]:
    return [state.writer for state in ask(store, lambda storage: storage.states())]


@given(cases)
@settings(max_examples=settings().max_examples // 4)
def test_a_writer_is_retired_whatever_crashes(case: Case) -> None:
    with leaving():
        store = of_two_writers(case)
        before = everything(store)
        for number, (action, steps) in enumerate(case.schedule[:12], start=4):
            retiring = Processor(store, case, number, writer="web-2", work=retire_writer)
            if action == "fail":
                retiring.fail()
            retiring.run(3 * steps)
            for write in retiring.kill():
                write()
        Processor(store, case, 100, writer="web-2", work=retire_writer).run(TO_THE_END)
    assert writers_of(store) == [ARCHIVE]
    assert everything(store) == before


def test_a_crash_at_any_write_of_a_retirement_counts_nothing_twice() -> None:
    with leaving():
        store = of_two_writers(SMALL)
        before = everything(store)
        whole = Processor(store, SMALL, 4, writer="web-2", work=retire_writer)
        whole.run(TO_THE_END)
        assert everything(store) == before
        for crashed_after in range(whole.steps_taken):
            store = of_two_writers(SMALL)
            crashed = Processor(store, SMALL, 4, writer="web-2", work=retire_writer)
            crashed.run(crashed_after)
            late = crashed.kill()
            Processor(store, SMALL, 5, writer="web-2", work=retire_writer).run(TO_THE_END)
            for write in late:
                write()
            assert everything(store) == before, crashed_after
            assert writers_of(store) == [ARCHIVE]


def test_a_writer_that_was_killed_in_a_commit_is_retired_with_all_of_it() -> None:
    with leaving():
        for crashed_after in range(5, steps_of(SMALL), 3):
            store = MemoryStore()
            processor = Processor(store, SMALL, 1, writer="web-1")
            processor.run(crashed_after)
            processor.kill()
            try:
                Processor(store, SMALL, 2, writer="web-1", work=retire_writer).run(TO_THE_END)
            except StorageRefused:
                # It has not committed anything.
                assert writers_of(store) == []
                continue
            counts, logs = everything(store)
            days = [counts.get(str(("daily", None, FIRST_DAY + day)), (0,))[0] for day in (0, 1)]
            assert sum(days) == logs.get("0", (0, 0, 0))[1]


def test_a_retired_name_is_refused_and_retired_again_it_does_no_harm() -> None:
    with leaving():
        store = of_two_writers(SMALL)
        before = everything(store)
        refused = Processor(store, SMALL, 4, writer="web-1")
        refused.run(TO_THE_END)
        assert refused.has_ended
        storage, archive = MemoryStorage(store, "web-1"), MemoryStorage(store, ARCHIVE)
        assert not retire(storage, archive, "web-1")
        with pytest.raises(StorageRefused, match="no writer nobody"):
            retire(MemoryStorage(store, "nobody"), archive, "nobody")
    assert everything(store) == before
    assert writers_of(store) == [ARCHIVE, "web-2"]


def test_a_retirement_that_was_broken_off_is_finished_before_another_one() -> None:
    with leaving():
        store = of_two_writers(SMALL)
        Processor(store, SMALL, 4, writer="web-3").run(TO_THE_END)
        broken_off = Processor(store, SMALL, 5, writer="web-2", work=retire_writer)
        while not MemoryStorage(store, ARCHIVE).read_intent(4):
            broken_off.run(1)
        broken_off.kill()
        with pytest.raises(StorageRefused, match="web-2 is not retired yet"):
            retire(MemoryStorage(store, "web-3"), MemoryStorage(store, ARCHIVE), "web-3")


class UnfencedStorage(MemoryStorage):
    """A store whose processor does not find out that another one has taken over."""

    def check_lease(self) -> None:
        self._turn()


class ForgetfulStorage(MemoryStorage):
    """A store in which a start does not find a broken-off commit."""

    def read_intent(self, number: int) -> str:
        return ""

    def read_state(self, name: StateName) -> str:
        return "" if name == "rollups_intent" else super().read_state(name)


@pytest.mark.parametrize("broken", [UnfencedStorage, ForgetfulStorage])
def test_without_the_check_of_the_lease_or_the_intent_some_lines_are_not(broken: type[MemoryStorage]) -> None:
    """The test above finds such faults."""

    def is_wrong(case: Case) -> bool:
        try:
            case = replace(case, limits=case.limits._replace(new_customers=LIMITS.new_customers))
            return said(run(case, broken)) != expected(case)
        except (AssertionError, KeyError):
            # The processor found the fault by itself, and ended.
            return False

    budget = settings(max_examples=1_000, phases=[Phase.generate], derandomize=True, database=None)
    try:
        find(cases, is_wrong, settings=budget)
    except NoSuchExample:
        pytest.fail("nothing was wrong")


SMALL = Case(
    [[[Line(customer, day, 15, "/a", 200, "0.5", "GET", 512) for customer in "ab" for day in (0, 1)]]],
    schedule=[],
    limits=LIMITS._replace(slice_seconds=math.inf),
    holds=False,
    kept="all",
    seed=1,
)


def steps_of(case: Case) -> int:
    """The steps of an undisturbed processor."""
    processor = Processor(MemoryStore(), case, 1, MemoryStorage)
    processor.run(TO_THE_END)
    return processor.steps_taken


def test_a_predecessor_may_finish_its_commit_at_any_step_of_a_start() -> None:
    steps_of_a_start = 15
    with leaving():
        for paused_after in range(steps_of(SMALL)):
            for woken_after in range(steps_of_a_start):
                store = MemoryStore()
                first, second = (Processor(store, SMALL, number, MemoryStorage) for number in (1, 2))
                first.run(paused_after)
                second.run(woken_after)
                for processor in (first, second):
                    processor.run(TO_THE_END)
                assert said(store) == expected(SMALL), (paused_after, woken_after)


@pytest.mark.parametrize("kept", ["failed", "none"])
def test_what_is_not_stored_is_counted_once_whatever_crashes(kept: KeptRequests) -> None:
    case = replace(SMALL, kept=kept, limits=SMALL.limits._replace(journal_characters=40))
    with leaving():
        for crashed_after in range(steps_of(case)):
            store = MemoryStore()
            first, second, third = (Processor(store, case, number, MemoryStorage) for number in (1, 2, 3))
            first.run(crashed_after)
            first.kill()
            # The second one is killed in the middle of its redo.
            second.run(9)
            second.kill()
            third.run(TO_THE_END)
            assert said(store) == expected(case), crashed_after


def test_the_setting_may_change_at_each_start() -> None:
    kinds: list[KeptRequests] = ["all", "failed", "none", "all"]
    with leaving():
        for crashed_after in range(0, steps_of(SMALL), 3):
            store = MemoryStore()
            for number, kept in enumerate(kinds):
                processor = Processor(store, replace(SMALL, kept=kept), number)
                processor.run(crashed_after)
                processor.kill()
            Processor(store, replace(SMALL, kept="none"), 9).run(TO_THE_END)
            assert counts_of(store) == counts_expected(SMALL), crashed_after


def test_a_journal_of_a_process_that_died_before_its_intent_is_not_rolled_up() -> None:
    """The next process stores all requests. So the commit of that number has other requests, and no journal."""
    (counted,) = SMALL.logs[0]
    case = replace(SMALL, logs=[[counted, counted[:3]]])
    with leaving():
        for crashed_after in range(steps_of(SMALL)):
            store = MemoryStore()
            Processor(store, SMALL, 1).run(TO_THE_END)
            (state,) = ask(store, lambda storage: storage.states())
            number = decode_ledger(state.counts).number
            stale = Buffer()
            stale.take(parse(text_of(counted[0]) * 7).requests.to_count())
            died = MemoryStorage(store)
            died.acquire()
            for later in range(number + 1, number + 9):
                died.write(*encode_journal(later, stale.parts, stale, LIMITS.journal_characters))
            crashed = Processor(store, case, 2)
            crashed.run(crashed_after)
            crashed.kill()
            Processor(store, case, 3).run(TO_THE_END)
            assert said(store) == expected(case), crashed_after


def test_what_is_rolled_up_leaves_the_journal() -> None:
    case = replace(SMALL, logs=[[[*SMALL.logs[0][0]] * 50]], kept="none")
    store = MemoryStore()
    with leaving():
        Processor(store, case, 1).run(TO_THE_END)
    journal = [row for _, _, row in store.rows_of(JournalKey)]
    assert len(journal) > 10
    # Only the latest commits of counts may still have theirs.
    (state,) = ask(store, lambda storage: storage.states())
    number = decode_ledger(state.counts).number
    left = [int(row.split(" ")[0]) for row in journal if row]
    assert left
    assert min(left) > number - 10


def counts_of(store: MemoryStore) -> dict[str, Any]:
    return {what: found for what, found in said(store).items() if what != "requests"}


def counts_expected(case: Case) -> dict[str, Any]:
    return {what: found for what, found in expected(case).items() if what != "requests"}


def test_a_commit_that_cannot_read_back_all_of_its_requests_leaves_a_gap() -> None:
    outcomes = set()
    with leaving():
        for crashed_after in range(steps_of(SMALL)):
            store = MemoryStore()
            first, second = (Processor(store, SMALL, number, MemoryStorage) for number in (1, 2))
            first.run(crashed_after)
            first.kill()
            store.requests = dict(list(store.requests.items())[1:])
            second.run(TO_THE_END)
            (row,) = ask(store, lambda storage: storage.logs())
            counts = ask(store, lambda storage: days_of(storage, None, 0, 99_999))
            counted_lines = sum(of_day.statuses.total() for of_day in counts.values())
            outcomes.add((row[1].stored, counted_lines, *(gap.reason.split(":")[0] for gap in row[1].gaps)))
    # Where its rows had been written it only seems so.
    assert outcomes == {(4, 4), (4, 3, "partly counted"), (4, 4, "partly counted")}


def test_a_redo_does_not_count_a_request_that_was_too_old_when_it_was_read_again() -> None:
    storage = MemoryStorage(MemoryStore())
    token = storage.acquire()
    lines = b"".join(text_of(Line("cust", day, 15, "/a", 200, "0.5", "GET", 512)) for day in (1, 0, 1))
    requests, *_ = parse(lines)
    file = FileId("log", 0, lane=0, base=0)
    storage.prepare([StoredRequests([file], np.zeros(3, np.int64), requests)])()
    # The second request was stored before a crash, and its day has expired since.
    row = LedgerRow(
        "log", "/log", Position(0, 0), Position(0, len(lines)), len(lines), 3, 2, Counter({Reason.TOO_OLD: 1})
    )
    oldest, newest = int(requests.seconds.min()), int(requests.seconds.max())
    intent = Intent(
        number=1,
        token=token,
        ranges=(OffsetRange(file, 0, len(lines)),),
        oldest=oldest,
        newest=newest,
        stored=2,
        logs=(row,),
        files=(FileRow("log", 0, lane=0, base=0),),
        customers=("cust",),
        days=(FIRST_DAY + 1,),
        ledger=Ledger(1, None, (oldest, newest)),
    )
    storage.write({IntentKey(1): encode_intent(intent)})
    start(storage, token, "")
    assert [found for _, found in asyncio.run(storage.logs())] == [row]
    days = asyncio.run(days_of(storage, None, 0, 99_999))
    assert {day: counts.statuses.total() for day, counts in days.items()} == {FIRST_DAY + 1: 2}


def test_requests_that_expire_before_they_are_rolled_up_do_not_block_the_rollups() -> None:
    with leaving():
        for crashed_after in range(steps_of(SMALL)):
            store = MemoryStore()
            first, second = (Processor(store, SMALL, number, MemoryStorage) for number in (1, 2))
            first.run(crashed_after)
            first.kill()
            MemoryStorage(store).remove_expired(FIRST_DAY + 2, FIRST_DAY + 2)
            second.run(TO_THE_END)
            (state,) = ask(store, lambda storage: storage.states())
            assert is_rolled_up(decode_ledger(state.counts), decode_rollup_ledger(state.rollups)), crashed_after
