"""A file of a log, decompressed."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from log_processor.following.compressed import FAULTS, MAGIC_BYTES, is_compressed, text_of
from log_processor.following.family import HALF_WRITTEN_SECONDS
from log_processor.following.holes import end_of_hole
from log_processor.following.identity import HEAD_BYTES
from log_processor.following.names import uncompressed

BLOCK_BYTES = 4 << 20
Inode = tuple[int, int]
"""Numbers of the device and of the inode."""


class FilesChanged(Exception):
    """The files or the store have changed meanwhile, so the check has to start anew. Says why in a sentence."""


class Unreadable(Exception):
    """A file cannot be read. Says why in a sentence."""


class TextFile:
    """A file that stays open, so it can be read even if it is renamed. Offsets are those of the decompressed text."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        """Raises FileNotFoundError, and Unreadable if the file is damaged or its compression is unknown."""
        self.path = path
        try:
            self._file = cast(BinaryIO, stack.enter_context(path.open("rb", buffering=0)))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}.") from error
        status = os.fstat(self._file.fileno())
        self.inode: Inode = (status.st_dev, status.st_ino)
        self.bytes_on_disk = status.st_size
        self.modified = status.st_mtime
        """Unix time, s."""
        self.is_compressed = is_compressed(os.pread(self._file.fileno(), MAGIC_BYTES, 0))
        if not self.is_compressed and uncompressed(path.name) != path.name:
            raise Unreadable(f"{path} cannot be read: its compression is unknown.")
        self._text: BinaryIO | None = None
        self._place = 0
        """The position in `_text`."""
        self.head = b""
        self.first_size = self._measured() if self.is_compressed else self.bytes_on_disk
        """Bytes of text when it was opened."""
        self.head = self.read(HEAD_BYTES, 0)

    @property
    def size(self) -> int:
        """Bytes of text."""
        return self.first_size if self.is_compressed else os.fstat(self._file.fileno()).st_size

    def read(self, length: int, start: int) -> bytes:
        """`length` bytes from an offset on; fewer only at the end of the file. Raises Unreadable."""
        if start + length <= len(self.head):
            return self.head[start : start + length]
        blocks = []
        while length and (block := self._read(length, start)):
            blocks.append(block)
            length -= len(block)
            start += len(block)
        return b"".join(blocks)

    def blocks(self, start: int, end: int, report: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
        """The bytes between two offsets, in blocks, as `placed_blocks` has them."""
        return (block for _, block in self.placed_blocks(start, end, report))

    def placed_blocks(
        self, start: int, end: int, report: Callable[[int], None] = lambda _: None
    ) -> Iterator[tuple[int, bytes]]:
        """The bytes between two offsets, in blocks, each with its offset. A hole of the file is left out after a block
        of zeros, which is longer than a line may be. `report` gets the size of each, with the hole after it. Raises
        FilesChanged if the file has become shorter."""
        while start < end:
            block = self.read(min(BLOCK_BYTES, end - start), start)
            if not block:
                raise FilesChanged(f"{self.path} has become shorter.")
            yield start, block
            following = start + len(block)
            if not self.is_compressed and block.count(0) == len(block):
                following = min(end, end_of_hole(self._file.fileno(), following))
            report(following - start)
            start = following

    def begins_with(self, other: "TextFile", length: int) -> bool:
        """Whether the first `length` bytes of both files are equal."""
        if min(self.size, other.size) < length or self.head[:length] != other.head[:length]:
            return False
        parts = ((min(BLOCK_BYTES, length - place), place) for place in range(0, length, BLOCK_BYTES))
        return all(self.read(*part) == other.read(*part) for part in parts)

    def _read(self, length: int, start: int) -> bytes:
        if not self.is_compressed:
            return os.pread(self._file.fileno(), length, start)
        try:
            if self._text is None or start < self._place:
                self._file.seek(0)
                self._text, self._place = text_of(self._file), 0
            while self._place < start and (skipped := self._text.read(min(BLOCK_BYTES, start - self._place))):
                self._place += len(skipped)
            block = self._text.read(length) if self._place == start else b""
        except FAULTS as error:
            self._text = None
            raise Unreadable(f"{self.path} cannot be read: it is damaged ({error}).") from error
        self._place += len(block)
        return block

    def _measured(self) -> int:
        size = 0
        while block := self._read(BLOCK_BYTES, size):
            size += len(block)
        return size


def is_part(path: Path, original: TextFile) -> bool:
    """Whether a compressed file without its end may be made of `original`: as far as it can be decompressed, it has the
    first bytes of that file. Nothing is known of a file in another compression."""
    place, modified = 0, time.time()
    with suppress(*FAULTS), path.open("rb") as file:
        modified = os.fstat(file.fileno()).st_mtime
        text = cast(BufferedReader, text_of(file))
        if text is file:
            return True
        # A larger read would lose what comes before the fault.
        while block := text.read1(HEAD_BYTES):
            if original.read(len(block), place) != block:
                return False
            place += len(block)
    return bool(place) or time.time() - modified < HALF_WRITTEN_SECONDS
