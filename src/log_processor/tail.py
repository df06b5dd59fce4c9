"""Follows one log from a position on, through its rotations.

Rotation by rename and create, by copytruncate, by delete and create, and several of them while nobody followed: each
begins a new generation. What was not yet read of the old one is looked for under the rotated names, by fingerprint.

    bytes of the file:  |...handed on...|...read, held in `buffer`...|...not yet read...
                                        ^ position
"""

import os
import time
from pathlib import Path

from log_processor.chunk import Overlong
from log_processor.fingerprint import HEAD_BYTES, TAIL_BYTES, Fingerprint
from log_processor.rotation import rotated
from request_log.line import MAX_LINE_BYTES
from service.logs import logger
from storage.contract import Gap
from storage.counts import Position

# A writer may go on with the renamed file for a while: it is left when it has been quiet for this long.
QUIET_SECONDS = 1.0
# How often to look whether the file was rotated away.
CHECK_SECONDS = 0.05

log = logger(__name__)


class Tail:
    """Reads on from a position in the log at `path`.

    `buffer` holds what was read and not handed on; `take` hands on. The file need not be there yet.
    """

    def __init__(self, path: Path, position: Position, fingerprint: str) -> None:
        """`fingerprint`: of the file at `position`; "" where there was no file."""
        self.path = path
        self._generation, self._offset = position
        self._file: int | None = None
        self._head = b""
        self._tail = b""
        self._last_read = b""
        self.buffer = bytearray()
        self.lines = 0
        self.overlong: Overlong | None = None
        self.gaps: list[Gap] = []
        self._truncated = False
        self._quiet_since = time.monotonic()
        self._next_check = 0.0
        self._begin(Fingerprint.decode(fingerprint) if fingerprint else None)

    @property
    def position(self) -> Position:
        """Of the first byte that was not handed on."""
        return Position(self._generation, self._offset)

    @property
    def fingerprint(self) -> str:
        """Of the file at `position`; "" while there is no file."""
        if self._file is None:
            return ""
        return str(Fingerprint.of_bytes(self._file, self._head, self._tail))

    @property
    def size(self) -> int:
        """Bytes in the current file; 0 while there is none."""
        return os.fstat(self._file).st_size if self._file is not None else 0

    @property
    def bytes_behind(self) -> int:
        """How many bytes of the current file were not handed on."""
        return max(0, os.fstat(self._file).st_size - self._offset) if self._file is not None else 0

    def fill(self, limit: int) -> bool:
        """Read up to `limit` more bytes into the buffer; whether there were any."""
        if self._file is None or self._truncated:
            return False
        end = self._offset + len(self.buffer) + (self.overlong.length if self.overlong else 0)
        if os.fstat(self._file).st_size == end:
            return False
        # Some bytes are read again, to see that the file is still the one they came from.
        data = os.pread(self._file, len(self._last_read) + limit, end - len(self._last_read))
        if not data.startswith(self._last_read):
            self._look_for_copy()
            return False
        fresh = data[len(self._last_read) :]
        self._last_read = data[-TAIL_BYTES:]
        self._quiet_since = time.monotonic()
        self.lines += fresh.count(b"\n")
        self.buffer += fresh
        if self.overlong is not None or (not self.lines and len(self.buffer) > MAX_LINE_BYTES):
            self._let_go()
        return bool(fresh)

    def take(self, length: int) -> bytes:
        """Hand on the first `length` bytes of the buffer: the position moves past them."""
        data = bytes(self.buffer[:length])
        del self.buffer[:length]
        self.lines -= data.count(b"\n")
        self._offset += length
        self._head += data[: HEAD_BYTES - len(self._head)]
        self._tail = (self._tail + data[-TAIL_BYTES:])[-TAIL_BYTES:]
        return data

    def take_overlong(self) -> Overlong | None:
        """Hand on the line that was too long to hold, with its newline; None until its end has been read."""
        if self.overlong is None or not self.lines:
            return None
        line, self.overlong = self.overlong, None
        self._offset += line.length
        self._head = (self._head + line.beginning)[:HEAD_BYTES]
        self._tail = line.end
        self.take(1)
        return line

    def _let_go(self) -> None:
        """Do not hold the line that the buffer begins with: it is too long to be a request."""
        self.overlong = self.overlong or Overlong()
        end = self.buffer.find(b"\n")
        part = bytes(self.buffer if end < 0 else self.buffer[:end])
        self.overlong.add(part)
        del self.buffer[: len(part)]

    def ended(self) -> bool:
        """Whether nothing more comes in this generation. To be asked when `fill` found nothing.

        What is in the buffer then is the log's last line, without a newline.
        """
        if self._truncated:
            return True
        now = time.monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + CHECK_SECONDS
        if self._file is None:
            self._open(self.path)
            return False
        try:
            found = self.path.stat()
        except FileNotFoundError:
            # Renamed or deleted, and no new one is there: the writer still has the old one.
            return False
        ours = os.fstat(self._file)
        rotated_away = (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino)
        return rotated_away and now - self._quiet_since >= QUIET_SECONDS

    def next_generation(self) -> None:
        """Go on with the start of the file that came after the current one. What is in the buffer is let go."""
        assert self._file is not None, "a generation ends only where there is a file"
        ours = os.fstat(self._file)
        names = [name for name in [*rotated(self.path), self.path] if name.exists()]
        ages = [name.stat().st_ino for name in names]
        if ours.st_ino in ages[:-1]:
            after = names[ages.index(ours.st_ino) + 1]
        else:
            after = self._first_written_after(ours.st_mtime_ns)
        self._start_over(after)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _look_for_copy(self) -> None:
        """The file no longer holds what was read of it: go on in a copy where there is one, else end here."""
        assert self._file is not None
        self._truncated = not self._find(Fingerprint.of_bytes(self._file, self._head, self._tail))
        log.warning(
            "truncated",
            log=str(self.path),
            generation=self._generation,
            offset=self._offset,
            rest="lost" if self._truncated else "found in a copy",
        )

    def _begin(self, known: Fingerprint | None) -> None:
        if known is None:
            self._open(self.path)
        elif not self._find(known):
            log.warning(
                "bytes_lost",
                log=str(self.path),
                generation=self._generation,
                offset=self._offset,
                reason="the file that was being read is gone: truncated, or deleted after a rotation",
            )
            self._start_over(self._first_written_after(known.modified))

    def _start_over(self, path: Path) -> None:
        """Begin the next generation with the file at `path`."""
        self._generation, self._offset = self._generation + 1, 0
        self._truncated = False
        self._open(path)
        log.info("generation_begun", log=str(self.path), generation=self._generation, file=path.name)

    def _find(self, known: Fingerprint) -> bool:
        """Open the file that holds the bytes before the position and those in the buffer: the log itself, or the latest
        rotated one that does."""
        for path in [self.path, *reversed(rotated(self.path))]:
            try:
                file = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            if known.matches(file, self._offset) and os.pread(file, len(self.buffer), self._offset) == self.buffer:
                self._take_over(file)
                return True
            os.close(file)
        return False

    def _first_written_after(self, modified: int) -> Path:
        """The oldest rotated file that was written to after `modified` (Unix time, ns), else the log itself.

        A file of an earlier generation was last written before the current one was.
        """
        unread = [path for path in rotated(self.path) if path.stat().st_mtime_ns > modified]
        return unread[0] if unread else self.path

    def _open(self, path: Path) -> None:
        try:
            self._take_over(os.open(path, os.O_RDONLY))
        except FileNotFoundError:
            self.close()
            self._forget()

    def _take_over(self, file: int) -> None:
        """Read from this file on, at the same position."""
        self.close()
        self._forget()
        self._file = file
        self._head = os.pread(file, min(HEAD_BYTES, self._offset), 0)
        start = max(0, self._offset - TAIL_BYTES)
        self._tail = self._last_read = os.pread(file, self._offset - start, start)
        self._quiet_since = time.monotonic()

    def _forget(self) -> None:
        """Let go of what was read and not handed on."""
        self.buffer.clear()
        self.lines = 0
        self.overlong = None
        self._head = self._tail = self._last_read = b""
