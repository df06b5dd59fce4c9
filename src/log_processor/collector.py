"""Collects the lines of all logs by size or time.

The files are the buffer: lines wait in them until they make a chunk, so nothing is lost with the process.
"""

import math
import time
from collections.abc import Callable

import numpy as np

from log_processor.chunk import Chunk, Overlong, Part
from log_processor.followed_logs import FollowedLog, FollowedLogs
from service.logs import logger
from storage.contract import Position

# Of all logs together not much more than this is read ahead. Of each in its turn at least a share is read.
READ_BYTES = 2 << 20
SHARE_BYTES = 128 << 10
PROGRESS_SECONDS = 5.0
# With so much to read the logs are behind, until they have been read nearly to their ends: the processor then cares
# more for its speed than for freshness.
BEHIND_BYTES = 8 << 20
CAUGHT_UP_BYTES = 64 << 10
# While lines wait for their chunk, what comes after them is not looked at for this share of the wait, and at most this
# long: each look costs as much as a hundred lines. Of many logs it costs more.
PAUSE_SHARE = 0.05
LONGEST_PAUSE_SECONDS = 0.05
LOGS_A_PAUSE = 50

log = logger(__name__)


class Collector:
    """Hands on chunks of `max_lines`, or of the lines that are there when the first has waited `max_wait` seconds, or
    when they are so long that they would fill the memory, or when they are a backlog's last."""

    def __init__(
        self, logs: FollowedLogs, max_lines: int, max_wait: float, is_stored: Callable[[str, str], bool]
    ) -> None:
        """`is_stored`: whether the store's ledger is at the place in the log that has this fingerprint."""
        self._logs = logs
        self._max_lines = max_lines
        self._max_wait = max_wait
        self._is_stored = is_stored
        self._due: float | None = None
        self._unbegun: dict[FollowedLog, None] = {}
        """Logs at the beginning of a generation that is not stored."""
        self._waiting: dict[FollowedLog, tuple[int, int]] = {}
        """Logs with whole lines in their buffers: how many, and the bytes. The first to wait is first."""
        self._lines = self._bytes = 0
        """All of those."""
        self._unread: dict[FollowedLog, int] = {}
        """Bytes that are not in the buffers, of those logs that have any and may be behind."""
        self._behind = self._in_backlog = False
        self.has_more = False
        """Whether more was found than was read at once."""
        self._progress = Progress(logs)

    def due_in(self) -> float:
        """In how many seconds the lines that wait become due; without any, never."""
        return max(0.0, self._due - time.monotonic()) if self._due is not None else math.inf

    def pause(self) -> float:
        """For how many seconds no log need be looked at: what comes now would only wait."""
        if self._due is None:
            return 0.0
        pause = min(PAUSE_SHARE * self._max_wait, LONGEST_PAUSE_SECONDS)
        return min(self.due_in(), pause * math.ceil(len(self._waiting) / LOGS_A_PAUSE))

    def collect(self, now: float) -> list[Chunk]:
        """Read what there is to read; the chunks that are due. `now`: monotonic seconds."""
        at_once = _Parts()
        self._begin(at_once)
        self._read_in_turn(at_once)
        chunks = [self._chunk(at_once)] if at_once.parts else []
        if self._lines and self._due is None:
            self._due = now + self._max_wait
        if self._lines >= self._max_lines:
            while self._lines >= self._max_lines:
                chunks.append(self._take(self._max_lines))
            self._due = now + self._max_wait if self._lines else None
        if self._in_backlog and not self._unread and not self.has_more:
            # Its last lines have waited in the files.
            self._due = now
            self._in_backlog = False
        if self._due is not None and (now >= self._due or self._bytes >= READ_BYTES):
            chunks.extend(self.flush())
        self._progress.report(now, self._behind_bytes())
        return chunks

    def flush(self) -> list[Chunk]:
        """All whole lines that wait."""
        chunks = [self._take(self._lines)] if self._lines else []
        self._due = None
        return chunks

    def add(self, added: list[FollowedLog]) -> list[Chunk]:
        """Collect from these logs, too. Their places go ahead of all else, so that their ledgers begin."""
        places = _Parts()
        for followed in added:
            places.take_nothing(followed)
            self._note_unread(followed)
            self._logs.to_read[followed] = None
        return [self._chunk(places)] if added else []

    def nothing(self) -> Chunk:
        """A chunk without lines."""
        return self._chunk(_Parts())

    def let_go(self, followed: FollowedLog) -> None:
        """A log is no longer followed; all of it was handed on."""
        self._unread.pop(followed, None)
        self._unbegun.pop(followed, None)

    def _begin(self, at_once: "_Parts") -> None:
        """Hand on the places at which generations begin, each once; when it is stored the log is read on."""
        for followed in list(self._unbegun):
            fingerprint = followed.tail.fingerprint
            if self._is_stored(followed.name, fingerprint):
                del self._unbegun[followed]
                self._logs.to_read[followed] = None
            elif followed.begun != fingerprint:
                followed.begun = fingerprint
                at_once.take_nothing(followed)

    def _read_in_turn(self, at_once: "_Parts") -> None:
        """Read a share of each log until as many lines wait as may. What cannot wait goes to `at_once`."""
        to_read = self._logs.to_read
        left = READ_BYTES
        later = []
        while to_read and left > 0 and self._lines < self._max_lines and self._bytes < READ_BYTES:
            followed = next(iter(to_read))
            limit = max(SHARE_BYTES, READ_BYTES // len(to_read))
            del to_read[followed]
            before = followed.tail.read_through
            more = self._read(followed, limit, at_once)
            read = max(0, followed.tail.read_through - before)
            left -= read
            if more and read:
                to_read[followed] = None
            elif more:
                later.append(followed)
        self.has_more = bool(to_read)
        to_read.update(dict.fromkeys(later))

    def _read(self, followed: FollowedLog, limit: int, at_once: "_Parts") -> bool:
        """Read up to `limit` bytes of a log; whether there is more."""
        tail = followed.tail
        if not self._may_be_handed_on(followed):
            return False
        grown = tail.fill(limit)
        # The first bytes of a file that was empty make it another one.
        if not self._may_be_handed_on(followed):
            return False
        at_once.take_overlong(followed)
        more = tail.has_more
        if followed.is_complete and not more:
            at_once.take_last(followed)
        elif not grown and tail.ended():
            at_once.take_last(followed)
            tail.next_generation()
            self._unbegun[followed] = None
        elif not grown:
            # It may have found another file to go on with.
            more = tail.has_more
        self._note_waiting(followed)
        self._note_unread(followed)
        return more

    def _may_be_handed_on(self, followed: FollowedLog) -> bool:
        tail = followed.tail
        if tail.is_beginning and not self._is_stored(followed.name, tail.fingerprint):
            self._unbegun[followed] = None
            return False
        return True

    def _note_waiting(self, followed: FollowedLog, last: bool = False) -> None:
        """Note how many lines of a log wait. `last`: behind those of the others."""
        lines, length = self._waiting.get(followed, (0, 0))
        self._lines -= lines
        self._bytes -= length
        tail = followed.tail
        waits = tail.lines and followed not in self._unbegun
        if last or not waits:
            self._waiting.pop(followed, None)
        if waits:
            self._waiting[followed] = tail.lines, len(tail.buffer)
            self._lines += tail.lines
            self._bytes += len(tail.buffer)

    def _note_unread(self, followed: FollowedLog) -> None:
        unread = followed.tail.bytes_behind - len(followed.tail.buffer)
        if unread > 0 and followed.may_be_behind:
            self._unread[followed] = unread
        else:
            self._unread.pop(followed, None)

    def _take(self, lines: int) -> Chunk:
        """The first so many of the lines that wait."""
        parts = _Parts()
        for followed, (own, _) in list(self._waiting.items()):
            parts.take(followed, min(lines, own))
            # What is left of it is newer than the lines of others.
            self._note_waiting(followed, last=True)
            lines -= min(lines, own)
            if not lines:
                break
        return self._chunk(parts)

    def _chunk(self, parts: "_Parts") -> Chunk:
        self._behind = self._behind_bytes() > (CAUGHT_UP_BYTES if self._behind else BEHIND_BYTES)
        self._in_backlog = self._in_backlog or self._behind
        due = self._due if self._due is not None else 0.0
        return Chunk(tuple(parts.parts), b"".join(parts.lines), self._behind, due)

    def _behind_bytes(self) -> int:
        """How much waits in the files and in the buffers."""
        return sum(self._unread.values()) + self._bytes


class _Parts:
    """Parts of a chunk that is being made."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.lines: list[bytes] = []

    def take(self, followed: FollowedLog, lines: int) -> None:
        """Take the first so many of the lines that wait."""
        tail = followed.tail
        if lines == tail.lines:
            length = tail.buffer.rfind(b"\n") + 1
        else:
            newlines = np.flatnonzero(np.frombuffer(tail.buffer, np.uint8) == ord("\n"))
            length = int(newlines[lines - 1]) + 1
        start = tail.position
        self._add(followed, start, tail.take(length))

    def take_last(self, followed: FollowedLog) -> None:
        """Take what waits, and the file's last line, which no newline will end any more."""
        tail = followed.tail
        if tail.lines:
            self.take(followed, tail.lines)
        self.take_overlong(followed, ended=True)
        if tail.buffer:
            start = tail.position
            self._add(followed, start, tail.take(len(tail.buffer)) + b"\n")

    def take_overlong(self, followed: FollowedLog, ended: bool = False) -> None:
        """Take a line that is too long, if its end has been read. `ended`: or its generation has."""
        start = followed.tail.position
        overlong = followed.tail.take_overlong(ended)
        if overlong is not None:
            self._add(followed, start, b"", overlong)

    def take_nothing(self, followed: FollowedLog) -> None:
        """Only the place where the log is."""
        self._add(followed, followed.tail.position, b"")

    def _add(self, followed: FollowedLog, start: Position, lines: bytes, overlong: Overlong | None = None) -> None:
        tail = followed.tail
        gaps = tuple(tail.gaps)
        tail.gaps.clear()
        self.parts.append(
            Part(followed.name, followed.path, start, tail.position, tail.fingerprint, len(lines), gaps, overlong)
        )
        self.lines.append(lines)


class Progress:
    """Says how far a backlog is worked off, every five seconds while there is one."""

    def __init__(self, logs: FollowedLogs) -> None:
        self._logs = logs
        self._offset = 0
        self._time = time.monotonic()

    def report(self, now: float, behind: int) -> None:
        """To be called after each step. `behind`: bytes that are not handed on."""
        if now - self._time < PROGRESS_SECONDS:
            return
        offset = sum(followed.tail.position.offset for followed in self._logs)
        if behind > BEHIND_BYTES and offset > self._offset > 0:
            rate = (offset - self._offset) / (now - self._time)
            log.info(
                "catching_up",
                bytes_behind=behind,
                percent=round(100 * offset / (offset + behind), 1),
                bytes_a_second=round(rate),
                seconds_left=round(behind / rate),
            )
        self._offset, self._time = offset, now
