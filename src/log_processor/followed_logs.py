"""All the logs that are followed, and those that wait in the spool, each from where the ledger is."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from log_processor.collector import Collector, WaitingLogCollector
from log_processor.log_files import LogFiles
from log_processor.metrics import forget
from log_processor.spool import Spool
from log_processor.start_position import first_row, position_at
from log_processor.tail import Tail
from rollups.counts import Position
from service.logs import logger
from storage.contract import BACKFILL, LedgerRow, Sighting

# While lines wait for their batch, what comes after them is not looked at for this share of the batch's wait, and at
# most this long: each look costs as much as a hundred lines.
PAUSE_SHARE = 0.05
LONGEST_PAUSE_SECONDS = 0.05

log = logger(__name__)


class FollowedLogs:
    """Starts to follow the logs that `files` finds, and finds new ones later."""

    def __init__(
        self, files: LogFiles, spool: Spool, ledger: Sequence[LedgerRow], max_lines: int, max_wait: float
    ) -> None:
        """`ledger`: the rows that the store has, of these logs and perhaps of others."""
        self._files = files
        self._spool = spool
        self._known = {row.log: (row.position, row.fingerprint) for row in ledger}
        self._backfilled = [row for row in ledger if row.log.startswith(BACKFILL)]
        self._max_lines = max_lines
        self._max_wait = max_wait
        self._collectors: dict[str, Collector] = {}
        self._waiting = spool.waiting()
        self._folders: set[Path] = set()

    def first_rows(self, start: Literal["end", "beginning"]) -> list[LedgerRow]:
        """Rows for the logs that the store has never seen, to be stored before they are followed: a process that dies
        at once must not begin further on.

        A log begins where `start` says. But what a glob finds when the store has logs already is a log that came while
        nobody followed, and begins at its beginning.
        """
        has_logs = len(self._known) > len(self._backfilled)
        rows = []
        for name, path in self._files.found().items():
            if name not in self._known:
                from_start = has_logs and self._files.is_from_glob(path)
                rows.append(first_row(name, path, "beginning" if from_start else start, self._backfilled))
        for waiting in self._spool.waiting():
            if waiting.name not in self._known:
                position, fingerprint = position_at(waiting.path, waiting.begin)
                rows.append(LedgerRow(waiting.name, waiting.origin, position, position, fingerprint))
        self._known.update({row.log: (row.position, row.fingerprint) for row in rows})
        return rows

    def discover(self) -> list[Collector]:
        """Collectors of the logs that are new since the last call."""
        found = self._files.found()
        new: list[Collector] = []
        for name, path in found.items():
            if name not in self._collectors:
                tail = Tail(path, *self._known.get(name, (Position(0, 0), "")))
                new.append(Collector(name, str(path), tail, self._max_lines, self._max_wait))
                # A link changes in the one, what it points to in the other.
                self._folders |= {path.parent, path.resolve().parent}
        self._waiting = self._spool.waiting()
        for waiting in self._waiting:
            if waiting.name not in self._collectors:
                tail = Tail(waiting.path, *self._known.get(waiting.name) or position_at(waiting.path, waiting.begin))
                collector = WaitingLogCollector(waiting.name, waiting.origin, tail, self._max_lines, self._max_wait)
                # What is followed is to be fresh.
                collector.may_be_behind = not found
                new.append(collector)
        self._collectors.update({collector.log_name: collector for collector in new})
        for added in new:
            log.info("following", log=added.log_name, path=added.path, **added.tail.position._asdict())
        return new

    def finish(self, collector: Collector) -> None:
        """Let go of a log that is done, and stored."""
        tail = collector.tail
        tail.close()
        self._known[collector.log_name] = tail.position, tail.fingerprint
        del self._collectors[collector.log_name]
        self._spool.remove(collector.log_name)
        forget(collector.log_name)
        log.info("backfilled", log=collector.log_name, path=collector.path, bytes=tail.position.offset)

    @property
    def are_done(self) -> bool:
        """Whether nothing is followed or waits."""
        return not self._collectors and not self._waiting

    def folders(self) -> set[Path]:
        """Where the logs are."""
        return self._folders

    def due_in(self) -> float:
        """In how many seconds the first of the batches that wait becomes due; without one, never."""
        due = min((collector.due for collector in self._collectors.values()), default=math.inf)
        return max(0.0, due - time.monotonic())

    def pause(self) -> float:
        """For how many seconds no log need be looked at: what comes now would only wait."""
        due_in = self.due_in()
        longest = min(PAUSE_SHARE * self._max_wait, LONGEST_PAUSE_SECONDS)
        return min(due_in, longest) if due_in < math.inf else 0.0

    def have_grown(self) -> bool:
        """Whether a log's file has something that was not read."""
        return any(collector.tail.has_grown() for collector in self._collectors.values())

    def sightings(self) -> list[Sighting]:
        """Each log as it is now."""
        return [collector.sighting() for collector in self._collectors.values()]
