"""Breaks the counts of the customers' days down, by hour and by path, at a pace of its own.

Their rows are many and wide, so they are not written with each commit of counts. What is stored and counted waits in
memory, and the ledger says from where. After a crash it is read back from the store, where each request is.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from log_processor.metrics import WRITE_SECONDS
from log_processor.pending import Group, Pending, characters_of
from log_processor.retry import until_stored
from rollups.counts import Breakdown, BreakdownKey, Kind, Position
from rollups.groups import EMPTY
from storage.contract import LedgerRow, Storage, Stretch

KINDS: tuple[Kind, ...] = ("hours", "paths")
# So many may wait, and so many different paths of them, and customers' names of so many characters.
LINES_IN_MEMORY = 1_000_000
PATHS_IN_MEMORY = 50_000
NAMES_IN_MEMORY = 8 << 20
# What is worked on at a time, so that the counts do not wait for long.
SLICE_SECONDS = 0.1
SLICE_CHARACTERS = 4 << 20
GROUPS_A_READ = 100
# It takes a twentieth of the time: slice by slice while lines come, and as a whole, since it is begun again after a
# pause.
PAUSE_FACTOR = 19
SHORTEST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 30.0
# Of the rows that stay in memory; one that has left is read back.
CHARACTERS_IN_MEMORY = 8 << 20
ROWS_IN_MEMORY = 10_000


class Breakdowns:
    """Takes in what is counted. What was taken in before a commit is broken down after it, a slice at a time."""

    def __init__(self, storage: Storage, ledger: Sequence[LedgerRow]) -> None:
        """`ledger`: what the store's says; what the breakdowns lack is read back."""
        self._storage = storage
        self._open: dict[str, Pending] = {}
        self._closed: deque[Pending] = deque()
        self._groups: Iterator[Group] | None = None
        """Of the first of those that are closed."""
        self._rows: dict[BreakdownKey, Breakdown] = {}
        self._characters = 0
        self._took = 0.0
        """Seconds, for what was broken down since it was last begun."""
        self._next_slice = self._next_begin = 0.0
        for row in ledger:
            if row.pending is not None:
                self._read_back(row, row.pending)

    def open(self, log: str, start: Position) -> Pending:
        """What takes in the requests of a log, with the templates of their paths; the next one begins at `start`."""
        if log not in self._open:
            self._open[log] = Pending(log, start)
        return self._open[log]

    def pending(self, log: str) -> Stretch | None:
        """What of a log was taken in and is not in the breakdowns yet."""
        pending = [one.stretch for one in (*self._closed, *self._open.values()) if one.log == log]
        if not pending:
            return None
        ends = {end.generation: end for stretch in pending for end in stretch.ends}
        return Stretch(
            pending[0].start,
            min(stretch.oldest for stretch in pending),
            max(stretch.newest for stretch in pending),
            tuple(ends.values()),
        )

    def is_full(self) -> bool:
        """Whether no more may wait."""
        waiting = [*self._closed, *self._open.values()]
        return (
            sum(one.lines for one in waiting) >= LINES_IN_MEMORY
            or sum(one.paths for one in waiting) >= PATHS_IN_MEMORY
            or sum(one.characters for one in waiting) >= NAMES_IN_MEMORY
        )

    def is_due(self, is_idle: bool) -> bool:
        """Whether there is something to do now. `is_idle`: whether there is nothing else to do."""
        if self._closed:
            return is_idle or time.monotonic() >= self._next_slice
        return bool(self._open) and time.monotonic() >= self._next_begin

    def work(self, all_is_committed: bool) -> set[str]:
        """Do a slice: the logs of which the breakdowns have come further. Nothing is begun that is not committed."""
        return self._work_until(0.0, all_is_committed)

    def work_for(self, seconds: float) -> set[str]:
        """Do all that there is, or as much as can be done in so many seconds; all of it is committed."""
        return self._work_until(time.monotonic() + seconds, True)

    def _work_until(self, deadline: float, may_begin: bool) -> set[str]:
        done = set()
        while True:
            if not self._closed and self._open and may_begin:
                self._closed.extend(self._open.values())
                self._open.clear()
                self._took = 0.0
            if not self._closed:
                break
            began = time.monotonic()
            if self._slice(self._closed[0]):
                done.add(self._closed.popleft().log)
            now = time.monotonic()
            WRITE_SECONDS.labels("breakdowns").observe(now - began)
            self._took += now - began
            self._next_slice = now + PAUSE_FACTOR * (now - began)
            self._next_begin = now + min(max(SHORTEST_PAUSE_SECONDS, PAUSE_FACTOR * self._took), LONGEST_PAUSE_SECONDS)
            if now >= deadline:
                break
        return done

    def _slice(self, pending: Pending) -> bool:
        """Break some of it down; whether that was the last of it."""
        if self._groups is None:
            self._groups = pending.groups()
        began = time.monotonic()
        changed: dict[BreakdownKey, Breakdown] = {}
        characters = 0
        is_last = False
        while time.monotonic() < began + SLICE_SECONDS and characters < SLICE_CHARACTERS and not is_last:
            groups = list(islice(self._groups, GROUPS_A_READ))
            is_last = len(groups) < GROUPS_A_READ
            self._read([BreakdownKey(group.number, group.day, kind) for group in groups for kind in KINDS])
            for group in groups:
                for kind in KINDS:
                    key = BreakdownKey(group.number, group.day, kind)
                    *full, changed[key] = pending.add(group, kind, self._rows[key])
                    for row in full:
                        until_stored(partial(self._storage.write_breakdowns, {key: row}))
                    characters += characters_of(changed[key])
        if changed:
            until_stored(partial(self._storage.write_breakdowns, changed))
            self._hold(changed)
        if len(self._rows) > ROWS_IN_MEMORY or self._characters > CHARACTERS_IN_MEMORY:
            self._rows.clear()
            self._characters = 0
        if is_last:
            self._groups = None
        return is_last

    def _read(self, keys: Sequence[BreakdownKey]) -> None:
        """Have these rows in memory."""
        missing = [key for key in keys if key not in self._rows]
        if missing:
            found = until_stored(partial(self._storage.read_breakdowns, missing))
            self._hold({key: found.get(key, EMPTY) for key in missing})

    def _hold(self, rows: dict[BreakdownKey, Breakdown]) -> None:
        held = (row for key in rows if (row := self._rows.get(key)) is not None)
        self._characters += sum(map(characters_of, rows.values())) - sum(map(characters_of, held))
        self._rows.update(rows)

    def _read_back(self, row: LedgerRow, stretch: Stretch) -> None:
        def read() -> Pending:
            pending = Pending(row.log, stretch.start)
            for stored in self._storage.read_requests(row.log, stretch, row.position):
                pending.take(stored.generation, stored.requests.to_count(), row.position)
            return pending

        pending = until_stored(read)
        # There are none where they have expired.
        if pending.lines:
            self._closed.append(pending)
