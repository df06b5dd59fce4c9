"""Decompresses log files; a file that is not compressed is its own text.

A compressed file may have several parts, one after the other, as after `cat a.gz b.gz`. Zeros and white space after a
part are ignored. A file whose end is missing is refused, because its missing lines cannot be known.
"""

import bz2
import io
import lzma
import os
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import zstandard

from log_processor.disk import write_copy


class _Part(Protocol):
    """Decompresses a part of a file."""

    @property
    def eof(self) -> bool:
        """Whether the part has ended."""

    @property
    def unused_data(self) -> bytes:
        """The bytes after the part's end."""

    @property
    def needs_input(self) -> bool:
        """Whether all text of the bytes before was returned."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """The text of the next compressed bytes; about as much as `max_length` at once. It goes on with no bytes."""


class _WithoutBound:
    """A part of a format whose text is bounded by the compressed bytes."""

    needs_input = True

    def __init__(self, part: Any) -> None:
        self._part = part

    @property
    def eof(self) -> bool:
        return bool(self._part.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._part.unused_data)

    def decompress(self, data: bytes, _max_length: int) -> bytes:
        return bytes(self._part.decompress(data))


def _gzip() -> _Part:
    return _WithoutBound(zlib.decompressobj(zlib.MAX_WBITS | 16))


def _zstd() -> _Part:
    return _WithoutBound(zstandard.ZstdDecompressor().decompressobj(_ZSTD_BYTES))


def _xz() -> _Part:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_BYTES)


_FORMATS: dict[bytes, Callable[[], _Part]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\x00": _xz,
    b"\x28\xb5\x2f\xfd": _zstd,
    # Frames without text, as pzstd writes them. The lower half of the first byte may have any value.
    **{bytes([first]) + b"\x2a\x4d\x18": _zstd for first in range(0x50, 0x60)},
}
# Bytes at the beginning of a file that tell its format.
MAGIC_BYTES = 6
_OTHERS = {
    b"PK\x03\x04": "a zip archive",
    b"PK\x05\x06": "a zip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"\x04\x22\x4d\x18": "compressed by lz4",
    b"\x02\x21\x4c\x18": "compressed by lz4",
    b"\x1f\x9d": "compressed by compress (.Z)",
    b"LZIP": "compressed by lzip",
    b"\x89LZO": "compressed by lzop",
}
"""First bytes of a file -> its format, for formats that are not read here."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
"""Byte-order marks."""
# Compressed bytes that one step takes. Of gzip they have a megabyte of text at most, of Zstandard 32.
_FEED_BYTES = 1 << 10
# Bytes of text that one step makes at most where that has no bound: 50 bytes of bzip2 or xz can have megabytes.
_STEP_BYTES = 1 << 20
# Bytes of the buffer of each step of Zstandard. The default is 128 KiB, whose allocation takes longer than the step.
_ZSTD_BYTES = 16 << 10
# Memory that xz may take, in bytes. `xz -9` has it take 65 MiB, and a file can ask for 4 GiB. Zstandard has a bound
# of its own.
_XZ_BYTES = 130 << 20
# Bytes of text that one read takes when a file is decompressed into a folder.
_BLOCK_BYTES = 1 << 20
_PADDING = b"\0\t\n\r "

FAULTS = (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, ValueError)
"""Errors that reading a damaged file raises."""


class NoLog(Exception):
    """A file cannot be read as a log. The message is a sentence for people."""


def is_compressed(head: bytes) -> bool:
    """Whether a file with these first bytes is compressed in a format that is read here."""
    return _format_of(head) is not None


def text_of(file: BinaryIO) -> BinaryIO:
    """The text of a file, which has to be at its beginning. Raises one of FAULTS, now or in a read, if the file is
    damaged."""
    head = file.read(MAGIC_BYTES)
    file.seek(0)
    return io.BufferedReader(_Decompressed(file)) if is_compressed(head) else file


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The text of a handed-in file, for reading from its beginning to its end. Raises NoLog if that fails."""
    with _faults(path), _open(path) as file:
        yield _text_of_log(path, file)


@contextmanager
def decompressed(path: Path, folder: Path) -> Iterator[tuple[BinaryIO, os.stat_result]]:
    """The text of a handed-in file, for reading at any offset, and the status of the file itself.

    The text of a compressed file is a temporary file in `folder`. Raises NoLog if the file cannot be read as a log.
    """
    with ExitStack() as stack:
        with _faults(path):
            file = stack.enter_context(_open(path))
            text = _text_of_log(path, file)
        if text is not file:
            copy = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            for block in _blocks(path, text):
                write_copy(copy.fileno(), block, folder)
            text = copy
        yield text, os.fstat(file.fileno())


def _open(path: Path) -> BinaryIO:
    # Without O_NONBLOCK a pipe would wait for a writer.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _blocks(path: Path, text: BinaryIO) -> Iterator[bytes]:
    while True:
        with _faults(path):
            block = text.read(_BLOCK_BYTES)
        if not block:
            return
        yield block


def _text_of_log(path: Path, file: BinaryIO) -> BinaryIO:
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise NoLog(f"{path} is no regular file.")
    _refuse(path, file)
    text = text_of(file)
    if text is not file:
        _refuse(path, text, inside="compressed, and then ")
    return text


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except FAULTS as error:
        # bz2 raises an OSError, without `strerror`, for damaged data.
        if isinstance(error, OSError) and error.strerror:
            raise NoLog(f"{path} cannot be read: {error.strerror}.") from error
        raise NoLog(f"{path} is no whole compressed file: {error}.") from error


def _refuse(path: Path, text: BinaryIO, inside: str = "") -> None:
    """Raise NoLog if a text is an archive or UTF-16, or is compressed in a format that is not read here.

    `inside`: words for the message if the text is itself a decompressed one.
    """
    head = text.read(tarfile.BLOCKSIZE)
    text.seek(0)
    found = [name for magic, name in _OTHERS.items() if head.startswith(magic)]
    if _is_tar(head):
        found.append("a tar archive")
    if inside and is_compressed(head):
        found.append("compressed again")
    if head.startswith(_UTF_16):
        raise NoLog(f"{path} is {inside}UTF-16, and logs have to be UTF-8: `iconv -f UTF-16 -t UTF-8` converts it.")
    if found:
        raise NoLog(f"{path} is {inside}{found[0]}: unpack it, and hand in the log files.")


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _format_of(head: bytes) -> Callable[[], _Part] | None:
    return next((begin for magic, begin in _FORMATS.items() if head.startswith(magic)), None)


class _Decompressed(io.RawIOBase):
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begin()

    def _begin(self) -> None:
        self._file.seek(0)
        self._part: _Part | None = None
        self._next = b""
        """Bytes of the file that were read and not decompressed."""
        self._text = memoryview(b"")
        """Text that was decompressed and not returned."""
        self._offset = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._text:
            text = self._decompress()
            if text is None:
                return 0
            self._text = memoryview(text)
        piece = self._text[: len(buffer)]
        buffer[: len(piece)] = piece
        self._text = self._text[len(piece) :]
        self._offset += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seek by decompressing: backwards from the beginning of the file.

        Raises io.UnsupportedOperation for a seek from the end, whose offset is not known.
        """
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("seek from the end")
        offset += self._offset if whence == io.SEEK_CUR else 0
        if offset < self._offset:
            self._begin()
        while self._offset < offset and self.read(min(offset - self._offset, io.DEFAULT_BUFFER_SIZE)):
            pass
        return self._offset

    def _decompress(self) -> bytes | None:
        """The text of the next bytes, which may be empty; None at the end."""
        if self._part is not None and not self._part.needs_input:
            return self._step(self._part, b"")
        data = self._next or self._file.read(_FEED_BYTES)
        self._next = b""
        if self._part is None:
            while data and not (data := data.lstrip(_PADDING)):
                data = self._file.read(_FEED_BYTES)
            if not data:
                return None
            data += self._file.read(MAGIC_BYTES) if len(data) < MAGIC_BYTES else b""
            begin = _format_of(data)
            if begin is None:
                raise ValueError("something else follows what is compressed")
            self._part = begin()
        elif not data:
            raise EOFError("its end is missing")
        return self._step(self._part, data)

    def _step(self, part: _Part, data: bytes) -> bytes:
        text = part.decompress(data, _STEP_BYTES)
        if part.eof:
            self._next, self._part = part.unused_data, None
        return text
