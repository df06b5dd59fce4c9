"""All the logs that are followed, each from where the ledger is."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from log_processor.collector import Collector
from log_processor.log_files import LogFiles
from log_processor.start_position import first_row
from log_processor.tail import Tail
from service.logs import logger
from storage.contract import LedgerRow, Sighting
from storage.counts import Position

log = logger(__name__)


class FollowedLogs:
    """Starts to follow the logs that `files` finds, and finds new ones later."""

    def __init__(self, files: LogFiles, ledger: Sequence[LedgerRow], max_lines: int, max_wait: float) -> None:
        """`ledger`: the rows that the store has, of these logs and perhaps of others."""
        self._files = files
        self._known = {row.log: row for row in ledger}
        self._max_lines = max_lines
        self._max_wait = max_wait
        self._collectors: dict[str, Collector] = {}
        self._folders: set[Path] = set()

    def first_rows(self, start: Literal["end", "beginning"]) -> list[LedgerRow]:
        """Rows for the logs that the store has never seen, to be stored before they are followed: a process that dies
        at once must not begin further on.

        A log begins where `start` says. But what a glob finds when the store has logs already is a log that came while
        nobody followed, and begins at its beginning.
        """
        rows = [
            first_row(name, path, "beginning" if self._known and self._files.is_from_glob(path) else start)
            for name, path in self._files.found().items()
            if name not in self._known
        ]
        self._known.update({row.log: row for row in rows})
        return rows

    def discover(self) -> list[Collector]:
        """Collectors of the logs that are new since the last call."""
        new = {name: path for name, path in self._files.found().items() if name not in self._collectors}
        for name, path in new.items():
            row = self._known.get(name)
            position, fingerprint = (row.position, row.fingerprint) if row else (Position(0, 0), "")
            tail = Tail(path, position, fingerprint)
            self._collectors[name] = Collector(name, tail, self._max_lines, self._max_wait)
            # A link changes in the one, what it points to in the other.
            self._folders |= {path.parent, path.resolve().parent}
            log.info("following", log=name, path=str(path), generation=position.generation, offset=position.offset)
        return [self._collectors[name] for name in new]

    def folders(self) -> set[Path]:
        """Where the logs are."""
        return self._folders

    def due_in(self) -> float:
        """In how many seconds the first of the batches that wait becomes due; without one, never."""
        due = min((collector.due for collector in self._collectors.values()), default=math.inf)
        return max(0.0, due - time.monotonic())

    def have_grown(self) -> bool:
        """Whether a log's file has something that was not read."""
        return any(collector.tail.has_grown() for collector in self._collectors.values())

    def sightings(self) -> list[Sighting]:
        """Each log as it is now."""
        return [collector.sighting() for collector in self._collectors.values()]
