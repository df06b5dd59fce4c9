"""Finds the logs to follow, by paths and globs, and gives each its name in the store."""

import errno
import glob
import os
import stat
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from log_processor.following.names import Names, base_of, family_of, is_of, is_rotated, uncompressed
from log_processor.following.roots import Roots, is_link, without_links
from service.logs import logger
from service.settings import PROJECT_ROOT
from storage.logs import BACKFILL

OUTSIDE = "it lies neither below the folder of its pattern nor below one of LOG_ROOTS"

log = logger(__name__)


class FoundLog(NamedTuple):
    """A log that is to be followed."""

    name: str
    """Name in the store."""
    path: Path
    has_path: bool
    """Whether the path is that of the log's current file. Otherwise all its files have dates in their names."""
    is_from_glob: bool
    """Whether a glob has found the log, so that it may disappear again."""


class LogFiles:
    """The logs that `patterns` describe: paths, with or without a file there, and globs (`*`, `?`, `[...]`, `**`)."""

    def __init__(
        self,
        patterns: Sequence[Path],
        named: dict[Path, str],
        outputs: Sequence[Path] = (),
        roots: Sequence[Path] = (),
    ) -> None:
        """`named`: path -> name, for logs with a name of their own. Other logs are called by their path.

        `outputs`: files and folders that the processor writes. A glob finds no path that begins like them. `roots`:
        folders that may have files, in addition to the folders of the patterns.
        """
        self._named = named
        self._outputs = tuple(map(str, outputs))
        paths = {path for path in patterns if path in named or not glob.has_magic(str(path))}
        self._globs = [str(path) for path in patterns if path not in paths]
        self._paths = {_spelled(path) for path in paths} | {path for path in paths if path in named}
        self.roots = Roots([*map(_folder_of, patterns), *roots], self._paths)
        """Folders and paths whose files may be read."""
        self._passed_over: set[Path] = set()
        """Paths that are logged as not followed."""
        self._known: dict[Path, dict[str, bool]] = {}
        """Folder -> name of a log that a glob has found there -> whether the log's current file has that name."""
        self._of: dict[str, Path] = {}
        """File that a glob has found -> the path of its log."""

    def found(self, known: Container[str] = (), read: Container[str] = ()) -> list[FoundLog]:
        """The logs that are there now or have a path among the patterns, without logs whose names are `known`.

        A link to a file of another of these logs is no log, unless it was `read` as one: names of logs.
        """
        logs = dict.fromkeys(self._paths, True)
        own_names: dict[Path, set[str]] = {}
        for pattern in self._globs:
            for name in self._matches_of(pattern):
                path = self._log_of(name, own_names)
                if path is not None and path not in logs:
                    logs[path] = self._known[path.parent][path.name]
        found = [
            FoundLog(self._named.get(path) or _name(path), path, has_path, path not in self._paths)
            for path, has_path in sorted(logs.items())
        ]
        new = [log for log in found if log.name not in known]
        names: dict[Path, set[str]] = {}
        if any(is_link(log.path) for log in new):
            for path in logs:
                names.setdefault(path.parent, set()).add(path.name)
        logs_of_their_own = [log for log in new if log.name in read or not self._is_second_name(log.path, names)]
        return [log for log in logs_of_their_own if self._can_be_read(log.path)]

    def would_find(self, path: Path) -> bool:
        """Whether a glob would find a log at this path if it had a file."""
        # Path.match takes `**` for a single folder.
        patterns = {pattern.replace("**/", "*/" * depth) for pattern in self._globs for depth in range(len(path.parts))}
        return any(map(path.match, patterns))

    def latest_modification(self) -> float:
        """The latest modification time of the logs' files (Unix time, s); 0 if there is no file."""
        times = []
        for found in self.found():
            # A log that was deleted, or may not be read any more, says nothing.
            with suppress(OSError):
                times.append(found.path.stat().st_mtime)
        return max(times, default=0.0)

    def _matches_of(self, pattern: str) -> list[str]:
        """The paths that match a glob."""
        above, deep, below = f"{pattern}/".partition("/**/")
        if not deep:
            # Path.glob takes no absolute pattern.
            return glob.glob(pattern)  # noqa: PTH207
        rest = below.rstrip("/") or "*"
        tops = sorted(glob.glob(above)) if glob.has_magic(above) else [above or "/"]  # noqa: PTH207
        folders = [folder for top in tops for folder in self._folders_from(top)]
        return [name for folder in folders for name in self._matches_of(f"{glob.escape(folder)}/{rest}")]

    def _folders_from(self, top: str) -> Iterator[str]:
        """A folder and all below it, links followed, without hidden ones and those outside the roots.

        Each comes once: links can form loops, and then the number of paths has no bound.
        """
        seen: set[str] = set()
        waiting = [(top, os.path.realpath(top))]
        while waiting:
            folder, real = waiting.pop()
            if real in seen:
                continue
            seen.add(real)
            if not self.roots.have_folder(real):
                self._pass_over(Path(folder), OUTSIDE)
                continue
            try:
                with os.scandir(folder) as entries:
                    found = [entry for entry in entries if not entry.name.startswith(".") and _is_folder(entry)]
            except OSError:
                continue
            yield folder
            waiting += (
                (entry.path, os.path.realpath(entry.path) if entry.is_symlink() else f"{real}/{entry.name}")
                for entry in sorted(found, key=lambda entry: entry.name, reverse=True)
            )

    def _log_of(self, name: str, own_names: dict[Path, set[str]]) -> Path | None:
        """The path of the log that a file found by a glob belongs to; None if it belongs to none.

        `own_names`: folder -> names there that may be a log's own: names without marks of rotation, and known names.
        It is filled as needed.
        """
        if name in self._of:
            return self._of[name]
        # Path.is_file raises if a folder cannot be entered.
        if name.startswith(self._outputs) or not os.path.isfile(name):  # noqa: PTH113
            return None
        path = Path(name)
        if not self.roots.have_file_at(path):
            self._pass_over(path, OUTSIDE)
            return None
        if any(path.parent == own.parent and is_of(path.name, own.name) for own in self._paths):
            return None
        names = self._known.setdefault(path.parent, {})
        if uncompressed(path.name) != path.name:
            # A compressed file alone makes no log.
            return None
        if path.parent not in own_names:
            own_names[path.parent] = {*names, *(name for name in names_in(path.parent) if not is_rotated(name))}
        base, has_path = family_of(path.name, own_names[path.parent])
        names.setdefault(base, has_path)
        own_names[path.parent].add(base)
        self._of[name] = path.with_name(base)
        return self._of[name]

    def _is_second_name(self, path: Path, names: dict[Path, set[str]]) -> bool:
        """Whether a path is a link to a file of another log. `names`: folder -> names of logs there."""
        if path in self._named or not is_link(path):
            return False
        target = without_links(path)
        base = base_of(target.name, names.get(target.parent, set()))
        if base is None or target.with_name(base) == path:
            return False
        self._pass_over(path, f"it is a link to a file of {target.with_name(base)}")
        return True

    def _can_be_read(self, path: Path) -> bool:
        """Whether a log can be followed. A log that cannot is logged once, and tried again each time."""
        reason = _fault(path)
        if reason:
            self._pass_over(path, reason)
        else:
            self._passed_over.discard(path)
        return not reason

    def _pass_over(self, path: Path, reason: str) -> None:
        if path not in self._passed_over:
            self._passed_over.add(path)
            log.warning("log_not_followed", path=os.fsencode(path).decode(errors="backslashreplace"), reason=reason)


def names_in(folder: Path) -> list[str]:
    """The names in a folder; none if the folder is missing or cannot be read."""
    try:
        return os.listdir(folder)  # noqa: PTH208 (names suffice, and cost less)
    except OSError:
        return []


class Folders(dict[Path, Names]):
    """The names in folders. Each folder is listed once, when first asked for, so that many logs share a listing."""

    def __init__(self, earlier: "Folders | None" = None) -> None:
        """`earlier`: its index of a folder serves again if the folder still has the same names."""
        super().__init__()
        self._earlier = earlier
        self._below: dict[Path, list[Path]] = {}

    def __missing__(self, folder: Path) -> Names:
        names = names_in(folder)
        known = self._earlier.get(folder) if self._earlier is not None else None
        self[folder] = known if known is not None and known.names == names else Names(names)
        return self[folder]

    def with_rotated(self, path: Path) -> set[Path]:
        """The folders beside the log at a path that have rotated files of the log, as by logrotate's `olddir`.

        A folder that also has the log's own name has another log's files.
        """
        names = {folder: self[folder].of(path.name) for folder in self._folders_in(path.parent)}
        return {folder for folder, own in names.items() if own and path.name not in own}

    def _folders_in(self, folder: Path) -> list[Path]:
        """The folders in a folder, without links; none if it cannot be read."""
        if folder not in self._below:
            try:
                with os.scandir(folder) as entries:
                    found = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
            except OSError:
                found = []
            self._below[folder] = found
        return self._below[folder]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder, or a link to one. A link to itself, or to where nobody lets us in, is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _spelled(path: Path) -> Path:
    """The path in its normal spelling, without `..` and doubled slashes."""
    return Path(os.path.normpath(path))


def _folder_of(pattern: Path) -> Path:
    """The folder of a path; for a glob, the last folder before any wildcard."""
    folder = pattern.parent
    while glob.has_magic(str(folder)):
        folder = folder.parent
    return folder


def _fault(path: Path) -> str | None:
    """The reason why a log cannot be followed; None if it can."""
    try:
        str(path).encode()
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except OSError as error:
        return error.strerror
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return None if os.access(path, os.R_OK) else os.strerror(errno.EACCES)


def _name(path: Path) -> str:
    name = str(path.relative_to(PROJECT_ROOT) if path.is_relative_to(PROJECT_ROOT) else path)
    return str(path) if name.startswith(BACKFILL) else name
