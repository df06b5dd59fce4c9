"""The files of a log, by generation: the current one, the rotated ones, and the rotated ones that gzip compressed.

Which file a position is in is told by its fingerprint. From there each older file is one generation earlier, and each
newer one is one later.
"""

import gzip
import io
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from log_processor.fingerprint import HEAD_BYTES, TAIL_BYTES, Fingerprint
from storage.contract import LedgerRow
from storage.counts import Position

BLOCK_BYTES = 4 << 20
_LOOKS = 10
_BETWEEN_LOOKS_SECONDS = 0.05
_GZIP_FAULTS = (EOFError, gzip.BadGzipFile, zlib.error)


class FilesChanged(Exception):
    """The files are no longer as they were found: to be begun again. Its text is a sentence for people."""


class LogFile:
    """One file of a log. It stays open, so it can be read whatever it is called by now."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self._file = stack.enter_context(path.open("rb", buffering=0))
        self._is_gzip = path.suffix == ".gz"

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self._file.seek(0, io.SEEK_END)

    @property
    def modified(self) -> int:
        """When it was last written (Unix time, ns); gzip keeps that."""
        return os.fstat(self._file.fileno()).st_mtime_ns

    def holds(self, known: Fingerprint, offset: int) -> bool:
        """Whether this file has the bytes that the fingerprint was taken of, at `offset`."""
        number = self._file.fileno()
        if not self._is_gzip:
            return known.matches(number, offset)
        try:
            with self._unpacked() as file:
                head = file.read(min(HEAD_BYTES, offset or HEAD_BYTES))
                if Fingerprint.of_bytes(number, head, b"").head != known.head:
                    return False
                start = max(0, offset - TAIL_BYTES)
                file.seek(start)
                return Fingerprint.of_bytes(number, head, file.read(offset - start)).tail == known.tail
        except _GZIP_FAULTS:
            return False

    def read(self, start: int, end: int | None, report: Callable[[int], None]) -> Iterator[bytes]:
        """The bytes from `start` to `end` (None: the file's), in blocks. `report` is told of the bytes on the disk."""
        with self._unpacked() as file:
            try:
                file.seek(start)
                before = self._file.tell()
                left = end - start if end is not None else None
                while left is None or left > 0:
                    block = file.read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left))
                    if not block:
                        break
                    if left is not None:
                        left -= len(block)
                    yield block
                    report(self._file.tell() - before)
                    before = self._file.tell()
            except _GZIP_FAULTS as error:
                raise FilesChanged(f"{self.path} is no whole gzip file: {error}.") from error
            if left:
                raise FilesChanged(f"{self.path} has become shorter.")

    @contextmanager
    def _unpacked(self) -> Iterator["io.RawIOBase | io.BufferedIOBase"]:
        self._file.seek(0)
        if self._is_gzip:
            with gzip.GzipFile(fileobj=self._file) as file:
                yield file
        else:
            yield self._file


class Generations:
    """The files of one log that are there."""

    def __init__(self, files: list[LogFile], oldest: int) -> None:
        """`files` begin with the generation `oldest`."""
        self._files = files
        self.oldest = oldest

    @classmethod
    def find(cls, row: LedgerRow, stack: ExitStack) -> "Generations | None":
        """Opens the files of the ledger's log, until `stack` is closed; None where its position is in none of them."""
        files = _open_all(Path(row.path), stack)
        index = _index_of_position(files, row)
        return cls(files, row.position.generation - index) if index is not None else None

    def parts(
        self, start: Position, end: Position, report: Callable[[int], None] = lambda _: None
    ) -> Iterator[Iterator[bytes]]:
        """The bytes between two positions: for each generation its blocks."""
        for generation in range(start.generation, end.generation + 1):
            first = start.offset if generation == start.generation else 0
            yield self._file(generation).read(first, end.offset if generation == end.generation else None, report)

    def check(self, row: LedgerRow) -> None:
        """Raise FilesChanged where the ledger's position is no longer in the file that it was in."""
        if _index_of_position(self._files, row) != row.position.generation - self.oldest:
            raise FilesChanged(f"{row.path} was truncated while it was read.")

    def size(self, start: Position, end: Position) -> int:
        """About how many bytes on the disk lie between two positions."""
        sizes = sum(self._file(generation).size for generation in range(start.generation, end.generation))
        return max(0, sizes + end.offset - start.offset)

    def _file(self, generation: int) -> LogFile:
        index = generation - self.oldest
        if not 0 <= index < len(self._files):
            raise FilesChanged(f"No file is there for rotation {generation} of a log.")
        return self._files[index]


def _index_of_position(files: list[LogFile], row: LedgerRow) -> int | None:
    """Which file the ledger's position is in: the log itself, or the latest rotated one that fits."""
    offset = row.position.offset
    known = Fingerprint.decode(row.fingerprint) if row.fingerprint else None
    if known is not None:
        for index in reversed(range(len(files))):
            if files[index].holds(known, offset):
                return index
    if offset:
        return None
    # Nothing was read of it, perhaps nothing was in it: it is the first file that was written after all the others.
    modified = known.modified if known is not None else 0
    return next((index for index, file in enumerate(files) if file.modified > modified), len(files))


def _open_all(path: Path, stack: ExitStack) -> list[LogFile]:
    """The log's files, oldest first, as they are at one moment: a rotation renames one after the other."""
    for look in range(_LOOKS):
        names, has_hole = _names(path)
        before = _inodes(names)
        try:
            files = [LogFile(name, stack) for name in names]
        except FileNotFoundError:
            continue
        # A hole may be that of a rotation under way.
        if before == _inodes(_names(path)[0]) and (not has_hole or look == _LOOKS - 1):
            return files
        time.sleep(_BETWEEN_LOOKS_SECONDS)
    raise FilesChanged(f"{path} is being rotated again and again.")


def _inodes(names: list[Path]) -> list[tuple[Path, int]]:
    return [(name, name.stat().st_ino) for name in names if name.exists()]


def _names(path: Path) -> tuple[list[Path], bool]:
    """The log's files, oldest first: `log.3.gz`, `log.2`, `log.1`, `log`, or `log-20261123.gz`, `log-20261124`, `log`.

    And whether there was a hole in the numbers. What is beyond it is left out, for it is not the generation that its
    place tells.
    """
    pattern = re.compile(re.escape(path.name) + r"[.-]([0-9][0-9T_.:-]*?)(\.gz)?")
    numbered: dict[int, Path] = {}
    dated: dict[str, Path] = {}
    # Sorted, so that of `log.1` and `log.1.gz` the first is kept: the second is still being written then.
    for found in sorted(path.parent.iterdir()) if path.parent.is_dir() else []:
        match = pattern.fullmatch(found.name)
        if match is None:
            continue
        # A short number counts rotations, and 1 is the latest; a longer one is a date.
        if match[1].isdigit() and len(match[1]) <= 4:
            numbered.setdefault(int(match[1]), found)
        else:
            dated.setdefault(match[1], found)
    in_order = sorted(numbered)
    unbroken = [number for place, number in enumerate(in_order) if number == place + min(1, in_order[0])]
    names = [numbered[number] for number in reversed(unbroken)] + [dated[date] for date in sorted(dated)]
    return names + [path] * path.exists(), len(unbroken) < len(numbered)
