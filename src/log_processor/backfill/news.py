"""What of an old log's file is not in the store yet.

A file is known by its bytes, whatever it is called, compressed or not: it holds the fingerprint of a log that was
followed, or of a file that was backfilled, at the place through which that was read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import inf
from pathlib import Path
from typing import BinaryIO, NamedTuple

from log_processor.fingerprint import HEAD_BYTES, Fingerprint
from log_processor.unpacked import NoLog, unpacked
from log_processor.verify.generations import Generations
from storage.contract import BACKFILL, FileRow, LedgerRow, Position

_BLOCK_BYTES = 1 << 20


class News(NamedTuple):
    """The bytes of a file that are to be read."""

    begin: int
    end: int
    """Exclusive."""
    name: str | None
    """Of the log that they go on with; None: they are a log of their own."""


class _Read(NamedTuple):
    """Bytes of a file that are in the store, or come into it without us."""

    begin: int
    end: float
    log: str


def news_of(path: Path, ledger: Mapping[str, LedgerRow], files: Sequence[FileRow]) -> News | None:
    """What is new in a file; None where nothing is. NoLog where that cannot be told."""
    with ExitStack() as stack:
        for row in ledger.values():
            log = Generations.find(row, stack) if not row.log.startswith(BACKFILL) else None
            if log is not None and path.exists() and log.is_to_come(path, row.position):
                return None
        file = stack.enter_context(unpacked(path))
        size = _size(file)
        read = sorted(_read(path, file, ledger, files))
    begin = 0
    last: str | None = None
    for known in read:
        if known.begin > begin:
            return News(begin, known.begin, last)
        if known.end > begin:
            begin, last = int(min(known.end, size)), known.log if known.log.startswith(BACKFILL) else None
    return News(begin, size, last) if begin < size else None


def head_of(path: Path) -> bytes:
    """A file's first bytes. NoLog where they cannot be had."""
    with unpacked(path) as file:
        return file.read(HEAD_BYTES)


def _read(path: Path, file: BinaryIO, ledger: Mapping[str, LedgerRow], files: Sequence[FileRow]) -> Iterator[_Read]:
    def read(length: int, start: int) -> bytes:
        file.seek(start)
        return file.read(length)

    head = read(HEAD_BYTES, 0)
    known = [(row.log, row.position, row.fingerprint, True) for row in ledger.values()]
    for row in files:
        if row.end is not None and row.fingerprint:
            known.append((row.log, Position(row.generation, row.end), row.fingerprint, False))
    for log, end, text, is_current in known:
        fingerprint = Fingerprint.decode(text)
        # To go on in a compressed file takes long.
        if not fingerprint.begins(head):
            continue
        if fingerprint.matches_bytes(read, end.offset):
            first = ledger[log].first
            begin = first.offset if end.generation == first.generation else 0
            is_followed = is_current and not log.startswith(BACKFILL)
            yield _Read(begin, inf if is_followed else end.offset, log)
        elif fingerprint.length == HEAD_BYTES:
            raise NoLog(
                f"{path} begins like what was read as log {log}, and is not the same, perhaps a part of it: its lines "
                "could be counted twice."
            )


def _size(file: BinaryIO) -> int:
    """Bytes, without compression."""
    size = 0
    while block := file.read(_BLOCK_BYTES):
        size += len(block)
    return size
