"""The files of a log, by generation: the current one, the rotated ones, and the rotated ones that gzip compressed.

Which file a position is in is told by its fingerprint. From there each older file is one generation earlier, and each
newer one is one later.
"""

import gzip
import io
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from log_processor import rotation
from log_processor.fingerprint import Fingerprint
from storage.contract import LedgerRow, Position

BLOCK_BYTES = 4 << 20
_LOOKS = 10
_BETWEEN_LOOKS_SECONDS = 0.05
_GZIP_FAULTS = (EOFError, gzip.BadGzipFile, zlib.error)


class FilesChanged(Exception):
    """The files or the store are no longer as they were found: to be begun again. Its text is a sentence for people."""


class LogFile:
    """One file of a log. It stays open, so it can be read whatever it is called by now."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path = path
        self._file = stack.enter_context(path.open("rb", buffering=0))
        self._is_gzip = _is_gzip(path)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self._file.seek(0, io.SEEK_END)

    @property
    def is_to_be_read(self) -> bool:
        """Whether the processor can read it."""
        return not self._is_gzip

    @property
    def modified(self) -> int:
        """When it was last written (Unix time, ns); gzip keeps that."""
        return os.fstat(self._file.fileno()).st_mtime_ns

    def holds(self, known: Fingerprint, offset: int) -> bool:
        """Whether this file has the bytes that the fingerprint was taken of, at `offset`."""
        with self._unpacked() as file:

            def read(length: int, start: int) -> bytes:
                file.seek(start)
                return file.read(length) or b""

            try:
                return known.matches_bytes(read, offset)
            except _GZIP_FAULTS:
                return False

    def is_empty(self) -> bool:
        """Whether it has no bytes of the log: then it is no generation."""
        with self._unpacked() as file:
            try:
                return not file.read(1)
            except _GZIP_FAULTS:
                return False

    def is_still(self, found: rotation.LogFile) -> bool:
        """Whether it is the file that was found under its name."""
        return os.path.samestat(os.fstat(self._file.fileno()), found.stat)

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

    def is_to_come(self, path: Path, position: Position) -> bool:
        """Whether a file is one that the processor reads after that of a position."""
        later = self._files[position.generation - self.oldest + 1 :]
        return any(file.is_to_be_read and file.path.samefile(path) for file in later)

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
    known = Fingerprint.decode(row.fingerprint)
    for index in reversed(range(len(files))):
        if files[index].holds(known, offset):
            return index
    if offset:
        return None
    # Nothing was read of it, perhaps nothing was in it: it is the first file that was written after all the others.
    return next((index for index, file in enumerate(files) if file.modified > known.modified), len(files))


def _open_all(path: Path, stack: ExitStack) -> list[LogFile]:
    """The log's files that have bytes, oldest first, as they are at one moment."""
    for look in range(_LOOKS):
        with rotation.opened(path) as there:
            found, is_whole = _unbroken(there, path)
            try:
                files = [LogFile(file.path, stack) for file in found]
            except FileNotFoundError:
                continue
            # What is missing may be on its way: a rotation renames one after the other.
            if all(map(LogFile.is_still, files, found)) and (is_whole or look == _LOOKS - 1):
                return [file for file in files if not file.is_empty()]
        time.sleep(_BETWEEN_LOOKS_SECONDS)
    raise FilesChanged(f"{path} is being rotated again and again.")


def _unbroken(there: Sequence[rotation.LogFile], log: Path) -> tuple[list[rotation.LogFile], bool]:
    """The files of the log back to where one cannot be read or is missing, and whether those are all: what is older is
    not the generation that its place tells."""
    found: list[rotation.LogFile] = []
    later: int | None = None
    for file in reversed(there):
        if found and file.file is None and file.path.with_suffix("") == found[-1].path:
            # It is being compressed, and stands beside itself.
            continue
        # One that was backfilled may itself be called like a rotated one.
        number = rotation.rotations_ago(file.path) if file.path != log else None
        is_next = number is None or (number in (0, 1) if later is None else number == later + 1)
        if not is_next or (file.file is None and not _is_gzip(file.path)) or not os.access(file.path, os.R_OK):
            return found[::-1], False
        later = number if number is not None else later
        found.append(file)
    return found[::-1], True


def _is_gzip(path: Path) -> bool:
    return path.suffix == ".gz"
