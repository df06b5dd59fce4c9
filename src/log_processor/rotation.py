"""The files of a log: itself and its rotated ones."""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from heapq import merge
from pathlib import Path
from typing import NamedTuple

from log_processor.fingerprint import HEAD_BYTES

# A short number counts rotations, and 1 is the latest: `log.2`, `log.1`. A longer one is a date or a time, by which
# the latest comes last: `log-20261123`, `log-2026112316`, `log.2026-11-23_16-15`, or Unix seconds. Where there are
# both, as after a change of logrotate's settings, the time of the last writing tells which of two comes first.
_SUFFIX = re.compile(
    r"(\.(?P<count>[0-9]{1,4})|[.-](?P<date>(19|20)[0-9]{2}-?(0[1-9]|1[0-2])[0-9T_:.-]*?|[0-9]{10}))"
    r"(?P<compressed>\.(gz|bz2|xz|zst|lz4|Z))?$"
)


class LogFile(NamedTuple):
    """One file of a log."""

    path: Path
    stat: os.stat_result
    file: int | None
    """Its descriptor; None where it is compressed, so that its bytes are not the log's, or may not be read."""

    def begins_like(self, other: "LogFile") -> bool:
        """Whether the other file begins with this one's first bytes."""
        if self.file is None or other.file is None:
            return False
        head = os.pread(self.file, HEAD_BYTES, 0)
        return os.pread(other.file, len(head), 0) == head


def is_rotated_name(path: str) -> bool:
    """Whether a file is by its name a rotated one, compressed or not: `log.1`, `log.2.gz`, `log-20261123`."""
    return _SUFFIX.search(path) is not None


def rotations_ago(path: Path) -> int | None:
    """The number in a rotated file's name; None where there is none."""
    suffix = _SUFFIX.search(path.name)
    return int(suffix["count"]) if suffix is not None and suffix["count"] else None


@contextmanager
def opened(path: Path) -> Iterator[list[LogFile]]:
    """The files of the log at `path`, the oldest first and the log itself last, all as they were at one moment.

    They are open until the `with` ends, so they can be read whatever they are called by now.
    """
    while True:
        with ExitStack() as stack:
            files = _open_all(path, stack)
            # Otherwise a rotation has given names to other files in the meantime.
            if [_place(found) for found in files] == [_place(found) for found in _open_all(path, stack)]:
                yield files
                return


def _open_all(path: Path, stack: ExitStack) -> list[LogFile]:
    ages: dict[Path, tuple[int, str, bool]] = {}
    there = os.listdir(path.parent) if path.parent.is_dir() else []  # noqa: PTH208 (names suffice, and cost less)
    for name in there:
        suffix = _SUFFIX.fullmatch(name, len(path.name)) if name.startswith(path.name) else None
        if suffix is not None:
            # A file stands beside itself while it is being compressed.
            ages[path.with_name(name)] = -int(suffix["count"] or 0), suffix["date"] or "", not suffix["compressed"]
    names = [(name, not ages[name][2]) for name in sorted(ages, key=ages.__getitem__)]
    counted = _open_each([name for name in names if rotations_ago(name[0]) is not None], stack)
    dated = _open_each([name for name in names if rotations_ago(name[0]) is None], stack)
    return [*merge(counted, dated, key=lambda found: found.stat.st_mtime_ns), *_open_each([(path, False)], stack)]


def _open_each(names: Iterable[tuple[Path, bool]], stack: ExitStack) -> list[LogFile]:
    """`names`: each with whether it is compressed."""
    files = [_open(name, compressed, stack) for name, compressed in names]
    return [found for found in files if found is not None]


def _open(path: Path, compressed: bool, stack: ExitStack) -> LogFile | None:
    """None where there is no such file, or no regular one."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return None
        if compressed or not os.access(path, os.R_OK):
            return LogFile(path, found, None)
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    stack.callback(os.close, file)
    return LogFile(path, os.fstat(file), file)


def _place(found: LogFile) -> tuple[Path, int, int]:
    return found.path, found.stat.st_dev, found.stat.st_ino
