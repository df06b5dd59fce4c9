"""The files that are there, and the logs that they belong to by their names."""

import os
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from log_processor.commands.verify.text_file import FilesChanged, Inode, TextFile, Unreadable, is_part
from log_processor.following.log_files import Folders
from log_processor.following.names import dateless, is_of, uncompressed
from log_processor.following.roots import Roots, is_link, without_links
from storage.logs import BACKFILL, FileRow, LedgerRow

_LOOKS = 10
"""How often the folders are scanned before the command gives up."""
_BETWEEN_LOOKS_SECONDS = 0.05


class _Found(NamedTuple):
    path: Path
    logs: frozenset[str]


class Present:
    """The present files of the logs in the store. They stay open until `stack` is closed."""

    def __init__(
        self, logs: Iterable[LedgerRow], rows: Iterable[FileRow], stack: ExitStack, roots: Roots | None = None
    ) -> None:
        """`roots`: where files may be read; None: anywhere."""
        self._stack = stack
        self._roots = roots
        self.files: dict[Inode, TextFile] = {}
        self.logs: dict[TextFile, frozenset[str]] = {}
        """File -> the logs to whose family it belongs by its name. Empty for a file that only lies where another was
        read, as a backfilled one."""
        self.at_paths: set[Inode] = set()
        """The files at the paths of logs."""
        self._unreadable: dict[Inode, tuple[Path, str]] = {}
        self.look(list(logs), list(rows))
        self.first = list(self.files.values())
        """The files that the first scan has found."""

    def look(self, logs: list[LedgerRow], rows: list[FileRow]) -> None:
        """Open the files that have come since the last scan."""
        for _ in range(_LOOKS):
            found = _scan(logs, rows, self._roots)
            self.at_paths = {inode for inode in map(_inode, logs) if inode is not None}
            with suppress(FileNotFoundError):
                for inode, (path, of_logs) in found.items():
                    self._open(inode, path, of_logs)
                # A single scan may miss a file that is being renamed.
                if _scan(logs, rows, self._roots).keys() == found.keys():
                    return
            time.sleep(_BETWEEN_LOOKS_SECONDS)
        raise FilesChanged(f"The files of {logs[0].path} change again and again.")

    def unreadable(self) -> list[str]:
        """Sentences about each file that cannot be read, unless it is being made of the uncompressed file beside it."""
        files = {file.path: file for file in self.files.values()}
        return [
            f"{sentence} Its lines could not be checked."
            for path, sentence in self._unreadable.values()
            if (original := files.get(path.with_name(uncompressed(path.name)))) is None or not is_part(path, original)
        ]

    def _open(self, inode: Inode, path: Path, logs: frozenset[str]) -> None:
        if inode in self.files or inode in self._unreadable:
            return
        try:
            file = TextFile(path, self._stack)
        except Unreadable as error:
            self._unreadable[inode] = path, str(error)
            return
        if file.inode != inode:
            # The file was renamed since.
            raise FileNotFoundError
        self.files[inode] = file
        self.logs[file] = logs


def _scan(logs: Iterable[LedgerRow], rows: Iterable[FileRow], roots: Roots | None) -> dict[Inode, _Found]:
    """All files that may belong to logs, by inode: a file with several names comes once."""
    found: dict[Inode, _Found] = {}
    listed, beside = cache(_list), Folders()

    def take(folder: Path, names: Iterable[str], *logs: str) -> None:
        for name in names:
            if roots is not None and not roots.have_file_at(folder / name):
                continue
            inode = listed(folder)[name]
            path, before = found.get(inode, _Found(folder / name, frozenset()))
            found[inode] = _Found(path, before.union(logs))

    rows_of: dict[str, list[Path]] = {}
    for row in rows:
        if row.path:
            rows_of.setdefault(row.log, []).append(Path(row.path))
    if roots is not None:
        # Where files were read they were moved from where they may be.
        roots = roots.extended({path.parent for paths in rows_of.values() for path in paths})
    for log in logs:
        if not log.log.startswith(BACKFILL):
            path = Path(log.path)
            # The target of a link is rotated in its own folder. Its name may have a date, as that of the newest file.
            target = without_links(path) if is_link(path) else path
            if roots is not None and roots.are_named(path):
                roots = roots.extended([target.parent])
            bases = {path.name, target.name, dateless(target.name) or target.name}
            folders = {path.parent, target.parent, *(read.parent for read in rows_of.get(log.log, ()))}
            if os.path.exists(target):  # noqa: PTH110 (raises nothing where a folder cannot be entered)
                folders |= beside.with_rotated(target)
            for folder in sorted(folders):
                take(folder, (name for base in sorted(bases) for name in listed(folder) if is_of(name, base)), log.log)
        for read in sorted(set(rows_of.get(log.log, ()))):
            called = uncompressed(read.name)
            take(read.parent, (name for name in listed(read.parent) if uncompressed(name) == called))
    return found


def _inode(log: LedgerRow) -> Inode | None:
    try:
        status = Path(log.path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _list(folder: Path) -> dict[str, Inode]:
    """The regular files in a folder, by name. A link counts as its target."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                # A link may lead to itself, or to where nobody lets us in.
                with suppress(OSError):
                    status = entry.stat()
                    if S_ISREG(status.st_mode):
                        found[entry.name] = (status.st_dev, status.st_ino)
    except (FileNotFoundError, NotADirectoryError):
        pass
    return found
