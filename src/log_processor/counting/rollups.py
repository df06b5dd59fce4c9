"""Commits of roll-ups, at a pace of their own.

Their rows are many and wide, so they are not written with each commit of counts. Counted requests wait in a buffer;
after a crash they are read back from the store.
"""

import math
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from log_processor.counting import pace
from log_processor.counting.buffer import Buffer, is_full
from log_processor.counting.daily import Counts
from log_processor.counting.journal import SLOTS, read_journals
from log_processor.counting.limits import Limits
from log_processor.counting.logs import Logs
from log_processor.counting.rows import RollupRows
from log_processor.process.metrics import WRITE_SECONDS
from log_processor.process.retry import until_stored
from rollups.counts import RollupKey, RollupRow, RollupSegmentKey
from rollups.delta import RollupDelta, RowRequests
from rollups.groups import ALL_CUSTOMERS
from rollups.rows import encode_rollup
from rollups.rules import Rules
from service.logs import logger
from storage.contract import Storage
from storage.damage import naming, rollup_name
from storage.keys import Key, RolledUpKey, Rows, StateKey
from storage.ledger import (
    RollupIntent,
    RollupLedger,
    encode_rolled_up,
    encode_rollup_intent,
    encode_rollup_ledger,
    is_rolled_up,
)
from storage.requests import OffsetRange
from storage.rules import RuleHistory, encode_rules

log = logger(__name__)


class Rollups:
    """The numbered commits of roll-ups of one writer, which proceed slice by slice."""

    def __init__(
        self,
        storage: Storage,
        logs: Logs,
        counts: Counts,
        ledger: RollupLedger,
        token: int,
        limits: Limits,
        history: RuleHistory,
    ) -> None:
        """`token`: the fencing token of the lease. `history`: the rules of what is counted."""
        self._storage = storage
        self._logs = logs
        self._counts = counts
        self.ledger = ledger
        self._token = token
        self._limits = limits
        self._history = history
        self.open = Buffer()
        """Requests that came since the last commit of roll-ups began."""
        self._closed: Buffer | None = None
        """Requests that are being rolled up."""
        self._slices: Iterator[float] = iter(())
        """The commit that is under way: does a slice, and yields its seconds."""
        self._rows = RollupRows(storage, limits)
        self._took = 0.0
        """Seconds that the last commit has taken so far."""
        self._next_slice = self._next_begin = 0.0

    def redo(self, intent: RollupIntent) -> None:
        """Finish a commit that was broken off, before all other commits. Its requests are in the store."""
        self._commit_stored(intent, self._journaled(intent.through))

    def take_back(self) -> None:
        """Take back the requests that the roll-ups have and that were taken back from the counts."""
        rollup_backlog = self._counts.ledger.rollup_backlog or (0, 0)
        if ranges := self._logs.taken_back():
            intent = RollupIntent(
                number=self.ledger.number + 1,
                token=self._token,
                # They may lack other requests.
                through=self.ledger.through,
                ranges=ranges,
                oldest=rollup_backlog[0],
                newest=rollup_backlog[1],
                positions=self._logs.after_taking_back(),
                weight=-1,
            )
            self._commit_stored(intent, None)

    @property
    def rules(self) -> Rules:
        """The rules by which requests are rolled up that are not counted yet."""
        return self._history.latest

    def begin_rules(self, rules: Rules) -> None:
        """Roll up all that is counted, and the rest by these rules."""
        if rules != self.rules:
            self.finish(math.inf)
        self._history = self._history.changed(rules, self._logs.places())
        # Stored also where they stay the same, so that a late write of a predecessor changes nothing.
        until_stored(partial(self._storage.write, {StateKey("rules"): encode_rules(self._history)}))

    def read_backlog(self) -> None:
        """Read the roll-ups' backlog back from the store. All of a backlog is in a journal, or all of it is stored. So
        what a journal has, and what precedes a journal, is rolled up at once."""
        self.take_back()
        if (journaled := self._journaled(self._counts.ledger.number)) is not None:
            self.open = journaled
            self.finish(math.inf)
            return
        rollup_backlog = self._counts.ledger.rollup_backlog
        if (ranges := self._logs.not_rolled_up()) and rollup_backlog is not None:
            self.open = self._read_back(ranges, *rollup_backlog)
            if self._counts.has_journal:
                self.finish(math.inf)

    @property
    def is_full(self) -> bool:
        """Whether no more requests may wait in memory, or no more commits in a journal."""
        is_journal_full = self._counts.has_journal and self._counts.ledger.number - self.ledger.through >= SLOTS // 2
        return is_full(self.open, self._closed) or (is_journal_full and not self.is_done)

    @property
    def is_done(self) -> bool:
        """Whether no commit is under way or wanted."""
        return self._closed is None and not self._is_next_wanted

    def is_due(self, is_idle: bool) -> bool:
        """Whether it is time for a slice. `is_idle`: whether the processor has nothing else to do."""
        if self._closed is not None:
            return is_idle or time.monotonic() >= self._next_slice
        return self._is_next_wanted and time.monotonic() >= self._next_begin

    def work(self) -> None:
        """Do a slice."""
        self._work_until(0.0)

    def finish(self, seconds: float) -> None:
        """Do all slices, or as many as begin within `seconds`."""
        self._work_until(time.monotonic() + seconds)

    @property
    def _is_next_wanted(self) -> bool:
        """Whether another commit is wanted: for the requests of the buffer, or because the ledger of counts still names
        requests that were rolled up meanwhile or have expired."""
        return bool(self.open.lines) or not is_rolled_up(self._counts.ledger, self.ledger)

    def _work_until(self, deadline: float) -> None:
        while True:
            # Requests are rolled up after they are counted.
            if self._closed is None and self._is_next_wanted and not self._logs.have_changed:
                self._begin_next()
            if self._closed is None:
                return
            took = next(self._slices, None)
            now = time.monotonic()
            if took is not None:
                WRITE_SECONDS.labels("rollups").observe(took)
                self._took += took
                self._next_slice = now + pace.pause_between_slices(took)
                self._next_begin = now + pace.pause_between_rollups(self._took)
            if now >= deadline:
                return

    def _begin_next(self) -> None:
        buffer, self.open = self.open, Buffer()
        oldest, newest = buffer.seconds or (0, 0)
        intent = RollupIntent(
            number=self.ledger.number + 1,
            token=self._token,
            through=self._counts.ledger.number,
            ranges=self._logs.not_rolled_up(),
            oldest=oldest,
            newest=newest,
            positions=self._logs.rolled_up_after(),
        )
        self._begin(intent, buffer)

    def _begin(self, intent: RollupIntent, buffer: Buffer) -> None:
        self._closed = buffer
        self._took = 0.0
        self._slices = self._commit(intent, buffer)

    def _journaled(self, through: int) -> Buffer | None:
        """The requests of the commits of counts through this one that the roll-ups lack, if a journal has them."""
        # Earlier commits have no requests that the roll-ups lack: see is_full.
        first = max(self.ledger.through, self._counts.ledger.number - SLOTS + 1) + 1
        numbers = range(first, through + 1)
        # A journal may also have rows of a process that wrote them and died before the intent.
        if not self._counts.ledger.journal or not numbers:
            return None
        found = read_journals(self._storage, numbers)
        if found is None:
            log.error("journal_missing", first_commit=first, last_commit=through)
        return found

    def _commit_stored(self, intent: RollupIntent, journaled: Buffer | None) -> None:
        """Do a commit as a whole, while no other is under way, from a journal or from the stored requests."""
        self._begin(intent, journaled or self._read_back(intent.ranges, intent.oldest, intent.newest))
        for _ in self._slices:
            pass

    def _commit(self, intent: RollupIntent, buffer: Buffer) -> Iterator[float]:
        """A commit in the order of log_processor.counting.commit. Yields the seconds of each slice, after it."""
        began = time.monotonic()
        until_stored(partial(self._storage.write, {StateKey("rollups_intent"): encode_rollup_intent(intent)}))
        until_stored(self._storage.check_lease)
        delta = RollupDelta(
            buffer.customers(), buffer.endpoints(), self._limits.row_characters, intent.weight, self.rules
        )
        requests = delta.divided(buffer.parts) if buffer.lines else iter(())
        while self._slice(delta, requests, intent.number, began + self._limits.slice_seconds):
            yield time.monotonic() - began
            began = time.monotonic()
        self.ledger = RollupLedger(intent.number, intent.through)
        ledger: dict[Key, str] = {StateKey("rollups"): encode_rollup_ledger(self.ledger)}
        positions: dict[Key, str] = {RolledUpKey(log): encode_rolled_up(at) for log, at in intent.positions.items()}
        until_stored(partial(self._storage.write, positions, ledger))
        self._logs.roll_up(intent.positions)
        self._closed = None
        yield time.monotonic() - began

    def _slice(self, delta: RollupDelta, requests: Iterator[RowRequests], commit: int, deadline: float) -> bool:
        """Add some of the requests to their rows. Returns whether there may be more."""
        changed: dict[RollupKey, RollupRow] = {}
        characters = 0
        is_last = False
        while time.monotonic() < deadline and characters < self._limits.slice_characters and not is_last:
            some = list(islice(requests, self._limits.rollups_at_once))
            is_last = len(some) < self._limits.rollups_at_once
            for of_row, row in zip(some, self._rows.of([of_row.key for of_row in some]), strict=True):
                rows = until_stored(partial(_added, delta, of_row, row, commit))
                for earlier in rows[:-1]:
                    self._write({of_row.key: earlier})
                if rows:
                    changed[of_row.key] = rows[-1]
                    characters += rows[-1].size
        self._write(changed)
        self._rows.hold(changed)
        self._rows.let_go()
        return not is_last

    def _write(self, rows: dict[RollupKey, RollupRow]) -> None:
        """Write segments, first those of all customers together, which every day has."""
        of_all = {key: row for key, row in rows.items() if key.group >= ALL_CUSTOMERS}
        others = {key: row for key, row in rows.items() if key not in of_all}
        if rows:
            until_stored(partial(self._storage.write, _encoded(of_all), _encoded(others)))

    def _read_back(self, ranges: Sequence[OffsetRange], oldest: int, newest: int) -> Buffer:
        def read() -> Buffer:
            buffer = Buffer()
            for rules, some in self._history.by_rules(ranges):
                for requests in self._storage.read_requests(some, oldest, newest):
                    buffer.take(requests.to_count(rules.template_of), rules.counts_methods)
            return buffer

        buffer = until_stored(read)
        self._counts.folding.fold_counted(buffer)
        return buffer


def _added(delta: RollupDelta, requests: RowRequests, row: RollupRow, commit: int) -> list[RollupRow]:
    key = requests.key
    with naming(lambda: [(rollup_name(key.group, key.day, key.kind), row)]):
        return delta.add(requests, row, commit)


def _encoded(rows: dict[RollupKey, RollupRow]) -> Rows:
    return {RollupSegmentKey(*key, row.segment): encode_rollup(row) for key, row in rows.items()}
