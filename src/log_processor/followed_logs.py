"""All the logs that are followed, and those that wait in the spool, each from where the ledger is."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from log_processor.log_files import LogFiles
from log_processor.metrics import forget
from log_processor.spool import Spool
from log_processor.start_position import first_row, position_at
from log_processor.tail import Tail
from service.logs import logger
from storage.contract import BACKFILL, LedgerRow, Position, Sighting

# New files are looked for so often; less often where that takes more than this share of the time.
DISCOVER_SECONDS = 0.5
DISCOVER_SHARE = 0.01

log = logger(__name__)


class FollowedLog:
    """A log, and how far it is read."""

    is_complete = False
    """Whether it does not grow any more."""
    may_be_behind = True
    """Whether speed counts more than freshness while there is much to read."""

    def __init__(self, name: str, path: str, tail: Tail) -> None:
        """`path`: where the log is, for people."""
        self.name = name
        self.path = path
        self.tail = tail
        self.begun = ""
        """The fingerprint of the last beginning of a generation that was handed on."""

    def sighting(self, now: float, has_changed: bool) -> Sighting:
        """The log as it is `now` (Unix time, s). `has_changed`: since it was read."""
        tail = self.tail
        position = tail.position
        if has_changed:
            return Sighting(self.name, now, position, tail.size, tail.bytes_behind)
        end = tail.read_through
        return Sighting(self.name, now, position, end, end - position.offset)


class CompleteLog(FollowedLog):
    """A log that waited in the spool."""

    is_complete = True

    def __init__(self, name: str, path: str, tail: Tail, may_be_behind: bool) -> None:
        super().__init__(name, path, tail)
        self.may_be_behind = may_be_behind


class FollowedLogs:
    """Starts to follow the logs that `files` finds, and finds new ones later."""

    def __init__(self, files: LogFiles, spool: Spool, ledger: Sequence[LedgerRow], look_seconds: float) -> None:
        """`ledger`: the rows that the store has, of these logs and perhaps of others. `look_seconds`: all logs are
        looked at so often, for not all that happens to a log may be told."""
        self._files = files
        self._spool = spool
        self._known = {row.log: (row.position, row.fingerprint) for row in ledger}
        self._backfilled = [row for row in ledger if row.log.startswith(BACKFILL)]
        self._look_seconds = look_seconds
        self._logs: dict[str, FollowedLog] = {}
        self._complete: list[CompleteLog] = []
        self._paths: set[str] = set()
        """Of the logs in `_logs`, but for the complete ones."""
        self._waiting = spool.waiting()
        self._at: dict[Path, dict[str, list[FollowedLog]]] = {}
        """By folder and file name."""
        self._next_discovery = 0.0
        self._next_look = 0.0
        self.to_read: dict[FollowedLog, None] = {}
        """The logs that may have something to read, in turn."""

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

    def discover(self, now: float) -> list[FollowedLog]:
        """The logs that are new since the last call. `now`: monotonic seconds; it does nothing where the last time was
        just before."""
        if now < self._next_discovery:
            return []
        began = time.monotonic()
        new: list[FollowedLog] = []
        for name, path in self._files.found(self._paths).items():
            if name not in self._logs:
                followed = FollowedLog(name, str(path), Tail(path, *self._known.get(name, (Position(0, 0), ""))))
                new.append(followed)
                self._paths.add(str(path))
                # A link changes in the one, what it points to in the other.
                for place in {path, path.resolve()}:
                    self._at.setdefault(place.parent, {}).setdefault(place.name, []).append(followed)
        self._waiting = self._spool.waiting()
        for waiting in self._waiting:
            if waiting.name not in self._logs:
                tail = Tail(waiting.path, *self._known.get(waiting.name) or position_at(waiting.path, waiting.begin))
                # What is followed is to be fresh.
                complete = CompleteLog(waiting.name, waiting.origin, tail, may_be_behind=not self._paths)
                new.append(complete)
                self._complete.append(complete)
        self._logs.update({added.name: added for added in new})
        for added in new:
            log.info("following", log=added.name, path=added.path, **added.tail.position._asdict())
        self._next_discovery = now + max(DISCOVER_SECONDS, (time.monotonic() - began) / DISCOVER_SHARE)
        return new

    def finished(self, is_stored: Callable[[FollowedLog], bool]) -> Sequence[FollowedLog]:
        """Let go of the logs of which nothing more can come, and all is stored."""
        done = [one for one in self._complete if one.tail.bytes_behind == 0 and is_stored(one)]
        for finished in done:
            tail = finished.tail
            tail.close()
            self._known[finished.name] = tail.position, tail.fingerprint
            del self._logs[finished.name]
            self._complete.remove(finished)
            self.to_read.pop(finished, None)
            self._spool.remove(finished.name)
            forget(finished.name)
            log.info("backfilled", log=finished.name, path=finished.path, bytes=tail.position.offset)
        return done

    @property
    def are_done(self) -> bool:
        """Whether nothing is followed or waits."""
        return not self._logs and not self._waiting

    def __iter__(self) -> Iterator[FollowedLog]:
        return iter(self._logs.values())

    def folders(self) -> set[Path]:
        """Where the logs are."""
        return set(self._at)

    def has_changed(self, folder: Path, name: str) -> None:
        """Something happened to a file in one of the logs' folders; `name` is empty where nobody knows to which."""
        of_folder = self._at.get(folder, {})
        if name in of_folder:
            self.to_read.update(dict.fromkeys(of_folder[name]))
        else:
            # A rotated file, perhaps: then the log whose writer goes on with it for a while is not at its path.
            for followed in [one for of_name in of_folder.values() for one in of_name if not name or one.tail.is_away]:
                self.to_read[followed] = None

    def have_grown(self) -> bool:
        """Whether a log's file has something that was not read."""
        grown = [followed for followed in self._logs.values() if followed.tail.has_grown()]
        self.to_read.update(dict.fromkeys(grown))
        return bool(grown)

    def look(self, now: float) -> None:
        """Look at all logs, where it is time. `now`: monotonic seconds."""
        if now >= self._next_look:
            self._look(now)

    def look_in(self) -> float:
        """In how many seconds all logs are to be looked at."""
        return max(0.0, self._next_look - time.monotonic())

    def sightings(self) -> list[Sighting]:
        """Each log as it is now."""
        now = time.time()
        changed = self._look(time.monotonic())
        return [followed.sighting(now, followed in changed) for followed in self._logs.values()]

    def close(self) -> None:
        """Close the files."""
        for followed in self._logs.values():
            followed.tail.close()

    def _look(self, now: float) -> dict[FollowedLog, None]:
        """The logs that may have something to read."""
        changed = {followed: None for followed in self._logs.values() if followed.tail.may_have_more()}
        self.to_read.update(changed)
        self._next_look = now + self._look_seconds
        return changed
