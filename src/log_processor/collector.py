"""Collects the lines of one log by size or time.

The file is the buffer: lines wait in it until they make a batch, so nothing is lost with the process.
"""

import math
import time

import numpy as np

from log_processor.chunk import Chunk, Overlong
from log_processor.tail import Tail
from rollups.counts import Position
from service.logs import logger
from storage.contract import Sighting

READ_BYTES = 2 << 20
PROGRESS_SECONDS = 5.0
# With so much to read a log is behind, until it has been read nearly to its end: the processor then cares more for its
# speed than for freshness.
BEHIND_BYTES = 8 << 20
CAUGHT_UP_BYTES = 64 << 10

log = logger(__name__)


class Collector:
    """Hands on chunks of `max_lines`, or of the lines that are there when the first has waited `max_wait` seconds, or
    when they are so long that they would fill the memory, or when they are a backlog's last."""

    def __init__(self, log_name: str, path: str, tail: Tail, max_lines: int, max_wait: float) -> None:
        """`path`: where the log is, for people."""
        self.log_name = log_name
        self.path = path
        self.tail = tail
        self._max_lines = max_lines
        self._max_wait = max_wait
        self._due: float | None = None
        self._behind = self._in_backlog = False
        self._progress = Progress(log_name, tail)

    @property
    def due(self) -> float:
        """When the lines that wait are handed on, monotonic seconds; without any, never."""
        return self._due if self._due is not None else math.inf

    def collect(self, now: float) -> list[Chunk]:
        """The chunks that are due. `now`: monotonic seconds."""
        chunks = []
        grown = self.tail.fill(READ_BYTES)
        start = self.tail.position
        overlong = self.tail.take_overlong()
        if overlong is not None:
            chunks.append(self._chunk(start, b"", overlong))
        if self.tail.lines and self._due is None:
            self._due = now + self._max_wait
        if self.tail.lines >= self._max_lines:
            chunks.extend(map(self._take, self._full_batches()))
            self._due = now + self._max_wait if self.tail.lines else None
        if self._in_backlog and self._is_read():
            # Its last lines have waited in the file.
            self._due = now
            self._in_backlog = False
        if now >= self.due or len(self.tail.buffer) >= READ_BYTES:
            chunks.extend(self.flush())
        if not grown and not chunks and self.tail.ended():
            chunks.extend(self._last_of_generation())
            self.tail.next_generation()
        self._progress.report(now)
        return chunks

    def nothing(self) -> Chunk:
        """A chunk without lines."""
        return self._chunk(self.tail.position, b"")

    def flush(self) -> list[Chunk]:
        """All whole lines that wait."""
        chunks = [self._take(self.tail.buffer.rfind(b"\n") + 1)] if self.tail.lines else []
        self._due = None
        return chunks

    def sighting(self) -> Sighting:
        """The log as it is now."""
        tail = self.tail
        return Sighting(self.log_name, time.time(), tail.position, tail.size, tail.bytes_behind)

    def is_done(self) -> bool:
        """Whether nothing more can come."""
        return False

    def is_behind(self) -> bool:
        """Whether much more waits in the file."""
        return self.tail.bytes_behind > (CAUGHT_UP_BYTES if self._behind else BEHIND_BYTES)

    def _is_read(self) -> bool:
        """Whether all that waits is in the buffer."""
        unread = self.tail.size - self.tail.position.offset - len(self.tail.buffer)
        # To look for later files takes longer.
        return unread <= 0 and self.tail.bytes_behind == len(self.tail.buffer)

    def _full_batches(self) -> list[int]:
        """The bytes of each batch of as many lines as one may have."""
        newlines = np.flatnonzero(np.frombuffer(self.tail.buffer, np.uint8) == ord("\n"))
        lengths: list[int] = np.diff(newlines[self._max_lines - 1 :: self._max_lines], prepend=-1).tolist()
        return lengths

    def _take(self, length: int) -> Chunk:
        start = self.tail.position
        return self._chunk(start, self.tail.take(length))

    def _last_of_generation(self) -> list[Chunk]:
        """What waits, and the file's last line, which no newline will end any more."""
        chunks = self.flush()
        start = self.tail.position
        overlong = self.tail.take_overlong(ended=True)
        if overlong is not None:
            chunks.append(self._chunk(start, b"", overlong))
        if self.tail.buffer:
            start = self.tail.position
            chunks.append(self._chunk(start, self.tail.take(len(self.tail.buffer)) + b"\n"))
        return chunks

    def _chunk(self, start: Position, lines: bytes, overlong: Overlong | None = None) -> Chunk:
        """What was taken since `start`."""
        tail = self.tail
        gaps = tuple(tail.gaps)
        tail.gaps.clear()
        self._behind = self.is_behind()
        self._in_backlog = self._in_backlog or self._behind
        due = self._due if self._due is not None else 0.0
        return Chunk(
            self.log_name, self.path, start, tail.position, lines, tail.fingerprint, self._behind, due, overlong, gaps
        )


class WaitingLogCollector(Collector):
    """Of a log that does not grow any more."""

    may_be_behind: bool
    """Whether speed counts more than freshness while there is much to read."""

    def collect(self, now: float) -> list[Chunk]:
        chunks = super().collect(now)
        return chunks or ([] if self.tail.has_grown() else self._last_of_generation())

    def is_done(self) -> bool:
        return self.tail.bytes_behind == 0

    def is_behind(self) -> bool:
        return self.may_be_behind and super().is_behind()


class Progress:
    """Says how far a backlog is worked off, every five seconds while there is one."""

    def __init__(self, log_name: str, tail: Tail) -> None:
        self._log_name = log_name
        self._tail = tail
        self._offset = tail.position.offset
        self._time = time.monotonic()

    def report(self, now: float) -> None:
        """To be called after each step."""
        if now - self._time < PROGRESS_SECONDS:
            return
        offset, behind = self._tail.position.offset, self._tail.bytes_behind
        if behind > BEHIND_BYTES and offset > self._offset:
            rate = (offset - self._offset) / (now - self._time)
            log.info(
                "catching_up",
                log=self._log_name,
                bytes_behind=behind,
                percent=round(100 * offset / (offset + behind), 1),
                bytes_a_second=round(rate),
                seconds_left=round(behind / rate),
            )
        self._offset, self._time = offset, now
