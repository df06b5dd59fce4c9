"""Finds the ranges of a file that are not in the store and that no processor will read by itself.

Files are known by their bytes, whatever their names are, compressed or not. The files of a followed log are left to the
processor.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from log_processor.commands.backfill.known import ByteRange, Known, ReadFile, UnreadFile, known_ranges
from log_processor.commands.ranges import Ranges
from log_processor.following.compressed import MAGIC_BYTES, is_compressed
from log_processor.following.identity import Identity, Read
from log_processor.following.names import is_of
from log_processor.following.roots import without_links
from storage.logs import BACKFILL, FileRow, LedgerRow

_BLOCK_BYTES = 64 << 10


class InputFile(NamedTuple):
    text: BinaryIO
    size: int
    """Bytes of the text."""
    at: tuple[int, int]
    """Device and inode of the file."""

    def read(self, length: int, offset: int) -> bytes:
        self.text.seek(offset)
        return self.text.read(length)

    def blocks(self, span: ByteRange) -> Iterator[bytes]:
        self.text.seek(span.start)
        left = span.end - span.start
        while left and (block := self.text.read(min(_BLOCK_BYTES, left))):
            left -= len(block)
            yield block


def unread_of(
    file: InputFile,
    waiting: Iterable[BinaryIO],
    ledger: Iterable[LedgerRow],
    rows: Sequence[FileRow],
    has_comments: bool = False,
) -> list[ByteRange]:
    """The unread ranges of a file, in its order.

    `waiting`: the files in the spool. They were opened before `ledger` and `rows` were read from the store.
    `has_comments`: whether lines with # are comments, which different files may share.
    """
    with ExitStack() as stack:
        known: list[Known] = [
            ReadFile(row, _beginning(row, rows)) for row in rows if row.state != "copy" and row.start < row.offset
        ]
        known_bytes = Ranges()
        known += [UnreadFile(_reader(one.fileno()), 0, os.fstat(one.fileno()).st_size, 0) for one in waiting]
        for log in ledger:
            if not log.log.startswith(BACKFILL):
                of_log, own = _followed(log, [row for row in rows if row.log == log.log], file, stack)
                known += of_log
                for span in own:
                    known_bytes.add(*span)
        for span in known_ranges(known, file.text, file.size):
            if not (has_comments and _is_comments(file, span)):
                known_bytes.add(*span)
    between = [ByteRange(*span) for span in known_bytes.missing(0, file.size)]
    return [new for span in between if (new := _stripped(file, span)) is not None]


def _followed(
    log: LedgerRow, rows: Sequence[FileRow], own: InputFile, stack: ExitStack
) -> tuple[list[UnreadFile], list[ByteRange]]:
    """The bytes that the processor has still to read of the files of a log, and the ranges of `own`, if it is one."""
    unread: list[UnreadFile] = []
    of_own: list[ByteRange] = []
    for path in _files_of(log, rows):
        with ExitStack() as opened:
            descriptor = _open(path, opened)
            if descriptor is None:
                continue
            found = os.fstat(descriptor)
            is_own = (found.st_dev, found.st_ino) == own.at
            read = own.read if is_own else _reader(descriptor)
            if not is_own and is_compressed(read(MAGIC_BYTES, 0)):
                # The processor reads it at once, or has read it before it was compressed.
                continue
            row = _row_of(found.st_ino, rows, read)
            start, begin = (row.offset, _beginning(row, rows)) if row is not None else (0, 0)
            if is_own:
                # The processor reads nothing of a file that was already compressed at the first start.
                if row is None or row.offset or row.state in ("live", "open"):
                    of_own.append(ByteRange(begin, own.size))
            elif start < found.st_size:
                identity = Identity.decode(row.identity) if row is not None and start else None
                unread.append(UnreadFile(read, start, found.st_size, begin, identity))
                stack.push(opened.pop_all())
    return unread, of_own


def _files_of(log: LedgerRow, rows: Iterable[FileRow]) -> Iterator[Path]:
    """The paths of the present files of a log, by their names."""
    path = Path(log.path)
    places = {path, without_links(path), *(Path(row.path).with_name(path.name) for row in rows)}
    for folder, name in {(place.parent, place.name) for place in places}:
        with suppress(OSError):
            yield from (folder / found for found in os.listdir(folder) if is_of(found, name))  # noqa: PTH208


def _row_of(inode: int, rows: Iterable[FileRow], read: Read) -> FileRow | None:
    """The row of a file, by its inode or else by its bytes; None if it is unknown."""
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
    """Where reading of the row's file began. The file had other numbers before if it has grown after it was closed, or
    was changed in place."""
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
    """A descriptor of a file, closed by the stack; None if it is no regular file, or cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    stack.callback(os.close, descriptor)
    return descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _reader(descriptor: int) -> Read:
    return lambda length, offset: os.pread(descriptor, length, offset)


def _is_comments(file: InputFile, span: ByteRange) -> bool:
    lines = file.read(min(_BLOCK_BYTES, span.end - span.start), span.start).split(b"\n")
    return all(line.startswith(b"#") for line in filter(None, lines))


def _stripped(file: InputFile, span: ByteRange) -> ByteRange | None:
    """The range without zeros at its end; None if it has only zeros and empty lines."""
    start, end = span
    if not any(block.strip(b"\0\r\n") for block in file.blocks(span)):
        return None
    while not (block := file.read(min(_BLOCK_BYTES, end - start), max(start, end - _BLOCK_BYTES)).rstrip(b"\0")):
        end = max(start, end - _BLOCK_BYTES)
    return ByteRange(start, max(start, end - _BLOCK_BYTES) + len(block))
