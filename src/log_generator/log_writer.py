"""The log on disk: it only grows, and only by whole lines."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from service.logs import logger

log = logger(__name__)

CUT_OFF = b" (cut off)\n"
"""Ends a half line that was found at the end of the file. With a bare newline it could pass for a whole request with
another duration; so it is rejected by every reader. Nothing that a reader may have seen is taken back."""


class LogWriter:
    """Appends lines to a log, and follows it when it is rotated away. Methods raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = self._open()

    def append(self, lines: bytes) -> None:
        """Append whole lines. A log that was renamed or deleted since the last call is begun anew."""
        if self._is_rotated():
            self.close()
            self._descriptor = self._open()
            log.info("log_reopened", path=str(self._path))
        for piece in pieces(lines, os.fstat(self._descriptor).st_size):
            self._write(piece)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            log.warning("half_line_ended", path=str(self._path), offset=size)
            os.write(descriptor, CUT_OFF)
        return descriptor

    def _is_rotated(self) -> bool:
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return True
        return not os.path.samestat(named, os.fstat(self._descriptor))

    def _write(self, data: bytes) -> None:
        while data:
            # Short when the disk fills up; then the next call raises the reason.
            data = data[os.write(self._descriptor, data) :]


def pieces(lines: bytes, position: int, page: int = mmap.PAGESIZE) -> Iterator[bytes]:
    """Whole lines to be appended at `position` (bytes), cut so that one `write` each leaves no half line when killed.

    The kernel copies a write a page of the file at a time and gives up between two when SIGKILL is pending. So lines
    are written together up to the page's end, and the line that crosses it on its own: a kill can cut only that one,
    and only in the fraction of a microsecond between its halves. (Killed while writing without a pause, 22 of 300
    files ended in a half line; 292 did when each batch was one write.)
    """
    start = 0
    while start < len(lines):
        room = page - (position + start) % page
        end = (lines.rfind(b"\n", start, start + room) + 1) or (lines.index(b"\n", start) + 1)
        yield lines[start:end]
        start = end
