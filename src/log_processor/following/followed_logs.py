"""All logs that are followed, and the logs that wait in the spool."""

import time
from collections.abc import Callable, Container, Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Literal

from log_processor.following.clock import SYSTEM, Clock
from log_processor.following.family import Family
from log_processor.following.file import File
from log_processor.following.handed_in import HandedIn
from log_processor.following.log_files import Folders, FoundLog, LogFiles, names_in
from log_processor.following.names import base_of
from log_processor.following.owners import Owners
from log_processor.following.present import Decompressor
from log_processor.following.reader import Reader
from log_processor.following.roots import without_links
from log_processor.process.effort import begun, pause_after
from log_processor.process.metrics import forget
from log_processor.spool import Spool
from request_log.framing.protocol import PLAIN, Framing
from service.logs import logger
from storage.keys import FileKey
from storage.logs import BACKFILL, FileRow, LedgerRow
from storage.observed import ObservedEnd

# Seconds between two searches for new logs, at least.
DISCOVER_SECONDS = 0.5
# Seconds after which all files of all logs get a look, whatever was noticed.
LOOK_ANYWAY_SECONDS = 60.0
# The largest shares of a core that these may take where there are many logs: a search for new logs, a look at whether
# logs have changed, and a look at all files.
DISCOVER_SHARE = 0.004
LOOK_SHARE = 0.003
LOOK_ANYWAY_SHARE = 0.001
# Age in seconds of a folder's time up to which the folder is listed again. A file system's times have steps, so a
# younger time may hide another change.
SETTLED_SECONDS = 2.0

# Files that a process may have open, if the system allows it: each log that is read has one. Often just 1,024 are
# allowed unless a program asks for more.
MOST_OPEN_FILES = 100_000

log = logger(__name__)


class FollowedLogs:
    """Follows the logs that `files` finds, and finds new logs later."""

    def __init__(
        self,
        files: LogFiles,
        spool: Spool,
        ledger: Mapping[str, LedgerRow],
        rows: Mapping[FileKey, FileRow],
        scratch: Path,
        look_seconds: float,
        clock: Clock = SYSTEM,
        thread: Executor | None = None,
        framing: Framing = PLAIN,
    ) -> None:
        """`ledger`, `rows`: rows of the store, of these logs and perhaps of others.

        `scratch`: a folder for decompressed texts. `look_seconds`: seconds between two looks at all logs, because
        events do not tell every change. `thread`: runs the decompression. `framing`: how lines lie in the files.
        """
        self._log_files = files
        self._spool = spool
        self._ledger = ledger
        self._all_rows = rows
        self._rows: dict[str, list[FileRow]] = {}
        for key, row in sorted(rows.items()):
            self._rows.setdefault(key.log, []).append(row)
        self._decompressor = Decompressor(scratch, thread)
        self._look_seconds = look_seconds
        self._clock = clock
        self._framing = framing
        self._owners = Owners()
        self._families: dict[str, Family] = {}
        self._gone: dict[str, Family] = {}
        """Logs that a glob had found, and that have no file any more."""
        self._handed_in: list[HandedIn] = []
        self._waiting = spool.waiting()
        self._at: dict[Path, dict[str, Family]] = {}
        """Folder -> file name of a log there -> the log."""
        self._folders_seen: dict[Path, tuple[int, frozenset[str]]] = {}
        """Folder -> its time (Unix time, ns) and its names when it was last listed."""
        self._next_discovery = 0.0
        self._next_look = 0.0
        self._next_look_anyway = 0.0
        self._pause_after_all = 0.0
        """Seconds to pause after the last look at all files."""
        self.to_read: dict[File, None] = {}
        """The files that may have bytes to read, in turn."""

    def begin(self, start: Literal["end", "beginning"]) -> list[LedgerRow]:
        """Begin with the logs that are there, and return rows for logs that the store has never seen.

        The caller stores these rows, with the news of their files, before the logs are followed. Otherwise a process
        that dies at once would begin further on the next time.

        A log begins where `start` says. A log is read whole if a glob finds it and the store has logs already: it came
        while no process followed the logs.
        """
        has_logs = any(not name.startswith(BACKFILL) for name in self._ledger)
        rows = []
        folders = Folders()
        found_logs = self._log_files.found(self._families, self._rows)
        found_logs += self._vanished({found.name for found in found_logs})
        # Logs that the store knows come first, and all of them are there before the first look, so that their files
        # stay theirs under any other name.
        found_logs.sort(key=lambda found: found.name not in self._ledger)
        for found, family in [(found, self._add(found)) for found in found_logs]:
            if found.name in self._ledger:
                family.look(folders)
            else:
                rows.append(family.begin("whole" if has_logs and found.is_from_glob else start, folders))
            self._note_folders(family)
        return rows

    def _vanished(self, found: Container[str]) -> Iterator[FoundLog]:
        """The logs that a glob had found, whose current file went away while no process followed them.

        They may have rotated files. What they have lost is a gap. `found`: names of the logs that are there.
        """
        for name, row in self._ledger.items():
            was_read = any(file.state in ("live", "open") for file in self._rows.get(name, ()))
            if name not in found and was_read and self._log_files.would_find(Path(row.path)):
                yield FoundLog(name, Path(row.path), has_path=True, is_from_glob=True)

    def say_begun(self) -> None:
        """Log which logs are followed from now on. Where each begins is stored by now."""
        for family in self._families.values():
            self._say_followed(family)

    def news(self) -> list[File]:
        """Files with a change other than new lines that is to be handed on. Each change is returned once."""
        found: list[File] = []
        for family in self._families.values():
            found += family.news
            family.news.clear()
        return found

    def discover(self, now: float) -> None:
        """Find new logs, if it is time. `now`: monotonic seconds."""
        if now < self._next_discovery:
            return
        search = begun()
        for found in self._log_files.found(self._families, self._rows.keys() | self._gone.keys()):
            self._say_followed(self._add(found))
        self._waiting = self._spool.waiting()
        for waiting in self._waiting:
            if waiting.name not in self._families:
                # A backfill may not make logs stale that are followed.
                handed_in = HandedIn(
                    waiting,
                    self._ledger.get(waiting.name),
                    self._rows.pop(waiting.name, ()),
                    self._decompressor,
                    may_be_behind=not self._at,
                    framing=self._framing,
                )
                self._families[waiting.name] = handed_in
                self._handed_in.append(handed_in)
                log.info("following", log=waiting.name, path=waiting.origin)
        self._look_in_folders()
        for family in list(self._families.values()):
            if family.tend():
                family.is_dirty = True
            elif family.is_gone:
                self._gone[family.name] = self._families.pop(family.name)
                self._at[family.path.parent].pop(family.path.name, None)
        self._next_discovery = now + max(DISCOVER_SECONDS, pause_after(search, DISCOVER_SHARE))

    def look_at_files(self) -> None:
        """Look at the files of logs whose files may have changed otherwise than by new lines."""
        look = begun()
        folders = Folders()
        dirty = [family for family in self._families.values() if family.is_dirty]
        for family in dirty:
            known = len(family.folders())
            family.look(folders)
            self.to_read.update(dict.fromkeys(family.reading))
            if len(family.folders()) > known:
                self._note_folders(family)
        if len(dirty) == len(self._families):
            self._pause_after_all = pause_after(look, LOOK_ANYWAY_SHARE)

    def finished(self, is_stored: Callable[[FileKey, int], bool]) -> None:
        """Forget the handed-in logs that are read to their end and stored, and remove them from the spool.

        `is_stored`: whether the store has a file's lines through an offset.
        """
        for finished in [handed_in for handed_in in self._handed_in if handed_in.is_done]:
            file = finished.files[0]
            if file in finished.news or not is_stored(file.key, file.offset):
                continue
            self._handed_in.remove(finished)
            del self._families[finished.name]
            self._spool.remove(finished.name)
            forget(finished.name)
            log.info("backfilled", log=finished.name, path=str(finished.path), bytes=file.offset)

    @property
    def are_done(self) -> bool:
        """Whether no log is followed or waits in the spool."""
        return not self._families and not self._waiting

    def files(self) -> Iterator[File]:
        """All files that are open."""
        return (file for family in self._families.values() for file in family.reading)

    def folders(self) -> set[Path]:
        """Folders that have logs."""
        return set(self._at)

    def has_changed(self, folder: Path, name: str) -> None:
        """Note that something happened to a file in one of the logs' folders. `name`: "" if it is not known which
        file."""
        of_folder = self._at.get(folder, {})
        if not name:
            for family in of_folder.values():
                family.is_dirty = True
            return
        base = base_of(name, of_folder)
        if base is not None:
            self._file_has_changed(of_folder[base], folder, name)

    def have_grown(self) -> bool:
        """Whether a file has bytes that were not read. Notes such files for reading."""
        grown = [file for file, reader in self._readers() if reader.has_grown()]
        self.to_read.update(dict.fromkeys(grown))
        return bool(grown)

    def look(self, now: float) -> None:
        """Look at all logs, if it is time. `now`: monotonic seconds."""
        if now >= self._next_look:
            self._look(now)

    def look_in(self) -> float:
        """Seconds until all logs are due for a look."""
        return max(0.0, self._next_look - self._clock.monotonic())

    def observed_ends(self) -> list[ObservedEnd]:
        """How far each log goes now."""
        now = self._clock.unix()
        return [family.observed_end(now) for family in self._families.values()]

    def close(self) -> None:
        """Close the files."""
        for family in self._families.values():
            family.close()
        self._decompressor.close()

    def _add(self, found: FoundLog) -> Family:
        family = self._gone.pop(found.name, None) or Family(
            found,
            self._ledger.get(found.name),
            self._rows.pop(found.name, ()),
            self._owners,
            self._decompressor,
            self._clock,
            self._rows_of_handed_in,
            self._framing,
            self._log_files.roots,
        )
        family.is_dirty = True
        self._families[found.name] = family
        self._note_folders(family)
        return family

    @staticmethod
    def _say_followed(family: Family) -> None:
        """Log that a log is followed, once it is clear where it begins."""
        log.info("following", log=family.name, path=str(family.path))

    def _rows_of_handed_in(self) -> list[FileRow]:
        return [row for key, row in self._all_rows.items() if key.log.startswith(BACKFILL)]

    def _note_folders(self, family: Family) -> None:
        """Note the folders in which a log may change. A link may change in one folder, and its target in another."""
        resolved = without_links(family.path)
        for place in {family.path, resolved, *(folder / family.path.name for folder in family.folders())}:
            self._at.setdefault(place.parent, {}).setdefault(place.name, family)

    def _file_has_changed(self, family: Family, folder: Path, name: str) -> None:
        path = str(folder / name)
        files = [file for file in family.reading if file.path == path]
        self.to_read.update(dict.fromkeys(files))
        # The name is new, or belonged to another file before.
        family.is_dirty = family.is_dirty or not files or family.has_changed()

    def _look_in_folders(self) -> None:
        """Mark the logs whose files' names came or went."""
        for folder, families in self._at.items():
            try:
                modified = folder.stat().st_mtime_ns
            except OSError:
                continue
            before, names_before = self._folders_seen.get(folder, (0, frozenset[str]()))
            if modified == before and time.time_ns() - modified > SETTLED_SECONDS * 1e9:
                continue
            names = frozenset(names_in(folder))
            for name in names ^ names_before:
                base = base_of(name, families)
                if base is not None:
                    families[base].is_dirty = True
            self._folders_seen[folder] = modified, names

    def _look(self, now: float) -> None:
        look = begun()
        is_anyway = now >= self._next_look_anyway
        for family in self._families.values():
            family.is_dirty = family.is_dirty or is_anyway or family.has_changed()
        grown = [file for file, reader in self._readers() if reader.has_grown() or reader.has_more]
        self.to_read.update(dict.fromkeys(grown))
        self._next_look = now + max(self._look_seconds, pause_after(look, LOOK_SHARE))
        if is_anyway:
            self._next_look_anyway = now + max(LOOK_ANYWAY_SECONDS, self._pause_after_all)

    def _readers(self) -> Iterator[tuple[File, Reader]]:
        return (item for family in self._families.values() for item in family.reading.items())
