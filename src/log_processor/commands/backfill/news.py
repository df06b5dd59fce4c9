"""What of a file that somebody hands in is neither in the store nor comes into it without us.

Files are known by their bytes, whatever they are called, compressed or not. What a processor reads by itself is left to
it: all that was not read yet of the files of a log that is followed.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from log_processor.commands.backfill.known import Known, OffsetRange, ReadFile, UnreadFile, stretches
from log_processor.following.compressed import MAGIC_BYTES, is_compressed
from log_processor.following.identity import Identity, Read
from log_processor.following.names import is_of
from storage.logs import BACKFILL, FileRow, LedgerRow

_BLOCK_BYTES = 64 << 10


class HandedIn(NamedTuple):
    """A file that somebody hands in."""

    text: BinaryIO
    size: int
    """Bytes of the text."""
    at: tuple[int, int]
    """Device and inode of the file."""

    def read(self, length: int, offset: int) -> bytes:
        """Bytes of the text."""
        self.text.seek(offset)
        return self.text.read(length)

    def blocks(self, stretch: OffsetRange) -> Iterator[bytes]:
        """The bytes of a stretch, some at a time."""
        self.text.seek(stretch.start)
        left = stretch.end - stretch.start
        while left and (block := self.text.read(min(_BLOCK_BYTES, left))):
            left -= len(block)
            yield block


def news_of(
    file: HandedIn,
    waiting: Iterable[BinaryIO],
    ledger: Iterable[LedgerRow],
    rows: Sequence[FileRow],
    has_comments: bool = False,
) -> list[OffsetRange]:
    """What is new in a file, in its order. `waiting`: files that the store will have; they were opened before `ledger`
    and `rows`, which it has, were read. `has_comments`: whether lines that begin with # are no requests; files may well
    have the same ones."""
    with ExitStack() as stack:
        known: list[Known] = [
            ReadFile(row, _beginning(row, rows)) for row in rows if row.state != "copy" and row.start < row.offset
        ]
        found: list[OffsetRange] = []
        known += [UnreadFile(_reader(one.fileno()), 0, os.fstat(one.fileno()).st_size, 0) for one in waiting]
        for log in ledger:
            if not log.log.startswith(BACKFILL):
                of_log, own = _followed(log, [row for row in rows if row.log == log.log], file, stack)
                known += of_log
                found += own
        of_known = stretches(known, file.text, file.size)
        found += [one for one in of_known if not (has_comments and _is_comments(file, one))]
    return [new for between in _between(found, file.size) if (new := _stripped(file, between)) is not None]


def _followed(
    log: LedgerRow, rows: Sequence[FileRow], own: HandedIn, stack: ExitStack
) -> tuple[list[UnreadFile], list[OffsetRange]]:
    """What the processor still has to read of the files of a log, and, where `own` is one of them, of that."""
    unread: list[UnreadFile] = []
    of_own: list[OffsetRange] = []
    for path in _files_of(log, rows):
        with ExitStack() as opened:
            descriptor = _open(path, opened)
            if descriptor is None:
                continue
            found = os.fstat(descriptor)
            is_own = (found.st_dev, found.st_ino) == own.at
            read = own.read if is_own else _reader(descriptor)
            if not is_own and is_compressed(read(MAGIC_BYTES, 0)):
                # It is read at once, or was read before it was compressed.
                continue
            row = _row_of(found.st_ino, rows, read)
            start, begin = (row.offset, _beginning(row, rows)) if row is not None else (0, 0)
            if is_own:
                # A compressed file that was there at the first start is closed, and nothing of it is read.
                if row is None or row.offset or row.state in ("live", "open"):
                    of_own.append(OffsetRange(begin, own.size))
            elif start < found.st_size:
                identity = Identity.decode(row.identity) if row is not None and start else None
                unread.append(UnreadFile(read, start, found.st_size, begin, identity))
                stack.push(opened.pop_all())
    return unread, of_own


def _files_of(log: LedgerRow, rows: Iterable[FileRow]) -> Iterator[Path]:
    """The paths of the files of a log that are there, by their names."""
    path = Path(log.path)
    places = {path, path.resolve(), *(Path(row.path).with_name(path.name) for row in rows)}
    for folder, name in {(place.parent, place.name) for place in places}:
        with suppress(OSError):
            yield from (folder / found for found in os.listdir(folder) if is_of(found, name))  # noqa: PTH208


def _row_of(inode: int, rows: Iterable[FileRow], read: Read) -> FileRow | None:
    """The row of a file, by its inode or else by its bytes; None of one that is not known."""
    identities = [(row, Identity.decode(row.identity)) for row in rows]
    found = [
        row
        for row, identity in identities
        if identity.inode == inode and (row.state == "copy" or not identity.length or identity.agrees(row.offset, read))
    ]
    if not found:
        found = [row for row, identity in identities if row.state != "copy" and identity.agrees(row.offset, read)]
    return max(found, key=lambda row: row.offset, default=None)


def _beginning(row: FileRow, rows: Iterable[FileRow]) -> int:
    """Where reading of the file began that has this number now: it had others before where it was closed and has grown,
    or has changed in its place."""
    begin = row.start
    if begin:
        inode = Identity.decode(row.identity).inode
        before = [other for other in rows if other.log == row.log and other.generation < row.generation]
        for other in sorted(before, key=lambda other: -other.generation):
            is_same = other.path == row.path or Identity.decode(other.identity).inode == inode
            if is_same and other.state != "copy" and other.start < begin <= other.offset:
                begin = other.start
    return begin


def _open(path: Path, stack: ExitStack) -> int | None:
    """A descriptor of a file, closed by the stack; None where it cannot be read, or is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    stack.callback(os.close, descriptor)
    return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _reader(descriptor: int) -> Read:
    return lambda length, offset: os.pread(descriptor, length, offset)


def _is_comments(file: HandedIn, stretch: OffsetRange) -> bool:
    lines = file.read(min(_BLOCK_BYTES, stretch.end - stretch.start), stretch.start).split(b"\n")
    return all(line.startswith(b"#") for line in filter(None, lines))


def _between(found: Iterable[OffsetRange], size: int) -> Iterator[OffsetRange]:
    """What none of these stretches has."""
    place = 0
    for start, end in sorted(found):
        if start > place:
            yield OffsetRange(place, start)
        place = max(place, end)
    if place < size:
        yield OffsetRange(place, size)


def _stripped(file: HandedIn, stretch: OffsetRange) -> OffsetRange | None:
    """Without zeros at its end; None where it has nothing but zeros and empty lines."""
    start, end = stretch
    if not any(block.strip(b"\0\r\n") for block in file.blocks(stretch)):
        return None
    while not (block := file.read(min(_BLOCK_BYTES, end - start), max(start, end - _BLOCK_BYTES)).rstrip(b"\0")):
        end = max(start, end - _BLOCK_BYTES)
    return OffsetRange(start, max(start, end - _BLOCK_BYTES) + len(block))
