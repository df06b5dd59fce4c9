"""Finds the files of one log: the paths where they may be, and the files that are there now."""

import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from log_processor.following.file import File
from log_processor.following.log_files import OUTSIDE, Folders, FoundLog
from log_processor.following.matching import FileAt
from log_processor.following.names import dateless, uncompressed
from log_processor.following.present import Candidate, Memory, candidate_at
from log_processor.following.roots import Roots, is_link, without_links
from service.logs import logger

# Bound on the looks at a log that keeps rotating while its files are noted for the first time.
_MOST_LOOKS_AT_BEGIN = 20

log = logger(__name__)


class Search:
    def __init__(self, found: FoundLog, stored: set[Path], memory: Memory, roots: Roots | None) -> None:
        """`stored`: folders of files that the store knows. `roots`: folders that may hold the files, except files at a
        named path; None: any folder."""
        self._name = found.name
        self._path = found.path
        self._has_path = found.has_path
        self._is_from_glob = found.is_from_glob
        self._memory = memory
        self._roots = roots.extended(stored) if roots is not None else None
        self.folders = {found.path.parent, *stored}
        """Folders that have the log's files."""
        self.new_folders: set[Path] = set()
        """Folders that were added since matching last decided everything. Files there may be older than the log."""
        self.other_paths: set[Path] = set()
        """Paths of this log's files whose names look like another log's."""
        self.looks_below = True
        """Whether the next look also searches the folders below the log's for rotated files."""
        self.has_files = False
        """Whether the last look found any file at the log's paths, be it another log's."""
        self.has_missed = False
        """Whether a name went while the last look was made: its file may have had another name, which was not seen."""
        self.sizes_by_inode: dict[int, int] = {}
        """Inode -> bytes in the file, as the last look found it."""
        self._left_out: set[Path] = set()
        """Paths that were logged as not read, so that each is logged once."""

    def files(
        self, folders: Folders, files: Iterable[File], is_of_another: Callable[[Candidate], bool]
    ) -> dict[FileAt, Candidate]:
        """The log's files that are not empty, as they are now. `files`: the known ones. `is_of_another`: whether a file
        belongs to another log."""
        base = without_links(self._path) if is_link(self._path) else self._path
        known = list(files)
        reading = {file: file.reader for file in known if file.reader is not None}
        # A file that was moved elsewhere, and compressed there, tells which folder to list.
        for reader in reading.values():
            if reader.is_deleted and not reader.is_final:
                self._add_folder(Path(reader.moved_to()).parent)
        moved = [Path(reader.moved_to()) for reader in reading.values() if not reader.is_deleted]
        for path in moved:
            self._add_folder(path.parent)
        # A link may point to a file with a date, and to the next one tomorrow.
        own = dict.fromkeys([self._path.name, base.name, dateless(base.name) or base.name])
        rotated = [
            folder / name
            for folder in dict.fromkeys([*self.folders, base.parent])
            for own_name in own
            for name in folders[folder].of(own_name)
        ]
        roots = self._roots
        if roots is not None and not self._is_from_glob:
            roots = roots.extended([base.parent])
        moved += [Path(file.path) for file in known if not file.gone]
        found: dict[FileAt, Candidate] = {}
        self.sizes_by_inode.clear()
        self.has_files = self.has_missed = False
        for path in dict.fromkeys([self._path, *rotated, *moved, *self.other_paths]):
            is_live = path in (self._path, base)
            candidate = candidate_at(path, is_live, path in rotated and not is_live, roots)
            if candidate is None:
                self.has_missed |= path in rotated and _is_gone(path)
                continue
            self.has_files = True
            self.sizes_by_inode[candidate.at[1]] = candidate.stamp.size
            if not candidate.stamp.size or candidate.at in found or is_of_another(candidate):
                candidate.close()
                continue
            if self._may_be_read(candidate):
                found[candidate.at] = candidate
        if not self._has_path and found and not any(candidate.is_live for candidate in found.values()):
            newest = max(
                found.values(),
                key=lambda candidate: (not candidate.is_compressed, candidate.stamp.modified, candidate.path.name),
            )
            newest.is_live = not newest.is_compressed
        for file, reader in reading.items():
            if reader.is_deleted and reader.size and not (reader.has_changed and reader.is_final):
                candidate = Candidate.nameless(Path(file.path), reader.fileno())
                # A decompressed text never had a name.
                if candidate.at == reader.at:
                    found.setdefault(candidate.at, candidate)
                else:
                    candidate.close()
        return found

    def files_at_rest(self, folders: Folders, is_of_another: Callable[[Candidate], bool]) -> dict[FileAt, Candidate]:
        """The log's files from two equal looks in a row, so that none is missing.

        One look misses a file that is renamed between the listing of its folder and the look at its old name.
        """
        candidates = self.files(folders, (), is_of_another)
        for _ in range(_MOST_LOOKS_AT_BEGIN):
            before, candidates = candidates, self.files(Folders(folders), (), is_of_another)
            for candidate in before.values():
                candidate.close()
            if before.keys() == candidates.keys():
                break
        return candidates

    def _may_be_read(self, candidate: Candidate) -> bool:
        """Whether a file can be read. A file that cannot is left out, and logged once."""
        if not candidate.lies_inside():
            self.leave_out(candidate.path, OUTSIDE)
            return False
        try:
            kind = self._memory.kind(candidate)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):
                self.has_missed |= _is_gone(candidate.path)
                return False
            self.leave_out(candidate.path, error.strerror or "it cannot be opened")
            return False
        candidate.is_compressed = kind == "compressed"
        if kind == "text" and uncompressed(candidate.path.name) != candidate.path.name:
            self.leave_out(candidate.path, "its compression is not supported")
            return False
        if kind == "text":
            self.let_in(candidate.path)
        return True

    def let_in(self, path: Path) -> None:
        """Note that a file can be read."""
        self._left_out.discard(path)

    def leave_out(self, path: Path, reason: str) -> None:
        """Log that a file is not read, once for as long as it is not."""
        if path not in self._left_out:
            self._left_out.add(path)
            log.warning(
                "file_not_read", log=self._name, path=os.fsencode(path).decode(errors="backslashreplace"), reason=reason
            )

    def _add_folder(self, folder: Path) -> None:
        """Note that one of the log's files was moved to this folder."""
        if folder not in self.folders:
            self.folders.add(folder)
            self.new_folders.add(folder)
            self._roots = self._roots.extended([folder]) if self._roots is not None else None

    def look_below(self, folders: Folders) -> None:
        """Note the folders below the log's that have rotated files of the log.

        Where no file has a log's own name, nothing tells its files from another log's.
        """
        self.looks_below = False
        if self._has_path:
            found = folders.with_rotated(without_links(self._path)) - self.folders
            self.folders |= found
            self.new_folders |= found


def _is_gone(path: Path) -> bool:
    """Whether nothing has this name, not even a link that leads nowhere."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
