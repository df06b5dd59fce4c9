"""Collects lines of all logs in chunks, by number or time.

The files are the buffer: lines wait in them until they make a chunk, so nothing is lost with the process.
"""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from log_processor.following.file import File
from log_processor.following.followed_logs import FollowedLogs
from log_processor.following.reader import Reader
from log_processor.parsing.chunk import Chunk, Overlong, Part
from service.logs import logger
from storage.keys import FileKey
from storage.logs import Position

# Approximate bound, in bytes, on what a processor reads ahead of all logs together.
READ_BYTES = 2 << 20
# Bytes that each file may have read in its turn, at least, so that no file starves. A store keeps the requests of a
# file together, so longer runs of them cost it less.
SHARE_BYTES = 512 << 10
# Seconds between two log lines about the progress of a backlog.
PROGRESS_SECONDS = 5.0
# Unread bytes at which a backlog begins and ends. During a backlog the processor cares more for speed than for
# freshness.
BEHIND_BYTES = 8 << 20
CAUGHT_UP_BYTES = 64 << 10
# Pause between two looks while lines wait for their chunk: a share of their longest wait, and its bound in seconds. A
# look costs as much as a hundred lines.
PAUSE_SHARE = 0.05
LONGEST_PAUSE_SECONDS = 0.05
# Files with waiting lines for which one such pause is enough, and the bound of a longer pause in seconds. A look at
# more files costs more, so the pause is longer.
LOGS_A_PAUSE = 10
LONGEST_PAUSE_OF_MANY_SECONDS = 1.0

log = logger(__name__)


class Collector:
    """Hands on chunks of `max_lines`.

    A smaller chunk is due when its first line has waited `max_wait` seconds, or when its lines would fill the memory.
    The last lines of a backlog are due at once.
    """

    def __init__(
        self,
        logs: FollowedLogs,
        max_lines: int,
        max_wait: float,
        is_begun: Callable[[FileKey], bool],
        most_bytes: int = READ_BYTES,
    ) -> None:
        """`is_begun`: whether a file's generation is stored, with its identity. `most_bytes`: approximate bound, in
        bytes, on what is read ahead of all logs together."""
        self._logs = logs
        self._max_lines = max_lines
        self._max_wait = max_wait
        self._is_begun = is_begun
        self._most_bytes = most_bytes
        self._due: float | None = None
        """When the lines that wait are due, monotonic seconds."""
        self._unbegun: dict[File, None] = {}
        """Files whose generations are not stored yet."""
        self._waiting: dict[File, tuple[int, int]] = {}
        """File -> number of whole lines in its buffer, and bytes there. The file that waits longest is first."""
        self._lines = self._bytes = 0
        """Sums over `_waiting`."""
        self._unread: dict[File, int] = {}
        """File -> bytes that are not in its buffer yet, for files that may be behind."""
        self._behind = self._in_backlog = False
        self.has_more = False
        """Whether the files have more than the last step has read."""
        self._progress = Progress(logs)

    def due_in(self) -> float:
        """Seconds until the lines that wait are due; infinity if no line waits."""
        return max(0.0, self._due - time.monotonic()) if self._due is not None else math.inf

    def pause(self) -> float:
        """Seconds for which no log needs a look, because lines that come now would only wait."""
        if self._due is None:
            return 0.0
        pause = min(PAUSE_SHARE * self._max_wait, LONGEST_PAUSE_SECONDS)
        of_many = min(pause * math.ceil(len(self._waiting) / LOGS_A_PAUSE), LONGEST_PAUSE_OF_MANY_SECONDS)
        return min(self.due_in(), of_many)

    def collect(self, now: float) -> list[Chunk]:
        """Read the files on, and return the chunks that are due. `now`: monotonic seconds."""
        at_once = _Parts()
        self._tell_news(at_once)
        self._resume_begun()
        is_stopped = self._read_in_turn(at_once)
        chunks = [self._chunk(at_once)] if at_once.parts else []
        if self._lines and self._due is None:
            self._due = now + self._max_wait
        if self._lines >= self._max_lines:
            while self._lines >= self._max_lines:
                chunks.append(self._take(self._max_lines))
            self._due = now + self._max_wait if self._lines else None
        if is_stopped:
            # Zeros are skipped once all bytes before them are handed on.
            self._due = now
        if self._in_backlog and not self._unread and not self.has_more:
            # The last lines of a backlog have waited in the files.
            self._due = now
            self._in_backlog = False
        if self._due is not None and (now >= self._due or self._bytes >= self._most_bytes):
            chunks.extend(self.flush())
        self._progress.report(now, self._behind_bytes())
        return chunks

    def flush(self) -> list[Chunk]:
        """A chunk of all whole lines that wait, if there are any."""
        chunks = [self._take(self._lines)] if self._lines else []
        self._due = None
        return chunks

    def news(self) -> Chunk:
        """A chunk without lines that tells changes of the files themselves."""
        parts = _Parts()
        self._tell_news(parts)
        return self._chunk(parts)

    def nothing(self) -> Chunk:
        """A chunk without lines."""
        return self._chunk(_Parts())

    def _tell_news(self, at_once: "_Parts") -> None:
        """Hand on changes of the files themselves, because generations are stored before lines."""
        for file in self._logs.news():
            at_once.take_state(file)
            if file.reader is None:
                # Lines of it that waited are read again, from the file's next reader.
                self._stop_reading(file)
            elif self._is_begun(file.key):
                self._note_waiting(file)
                self._note_unread(file)
                self._logs.to_read[file] = None
            else:
                self._unbegun[file] = None

    def _resume_begun(self) -> None:
        for file in [file for file in self._unbegun if self._is_begun(file.key)]:
            del self._unbegun[file]
            self._note_unread(file)
            self._logs.to_read[file] = None

    def _stop_reading(self, file: File) -> None:
        """Forget a file that is not read any more."""
        self._unread.pop(file, None)
        self._unbegun.pop(file, None)
        self._note_waiting(file)

    def _read_in_turn(self, at_once: "_Parts") -> bool:
        """Read a share of each file, until a chunk is full or the bounds are reached.

        `at_once`: takes the parts that cannot wait. Returns whether lines wait in a file that cannot be read on before
        they are handed on.
        """
        to_read = self._logs.to_read
        left = self._most_bytes
        later = []
        while to_read and left > 0 and self._lines < self._max_lines and self._bytes < self._most_bytes:
            file = next(iter(to_read))
            limit = max(SHARE_BYTES, self._most_bytes // len(to_read))
            del to_read[file]
            reader = file.reader
            if reader is None or file in self._unbegun:
                continue
            before = reader.read_through
            more = self._read(file, reader, limit, at_once)
            read = max(0, reader.read_through - before)
            left -= read
            if more and read:
                to_read[file] = None
            elif more:
                later.append(file)
        is_stopped = any(file in self._waiting for file in later)
        self.has_more = bool(to_read) or is_stopped
        to_read.update(dict.fromkeys(later))
        return is_stopped

    def _read(self, file: File, reader: Reader, limit: int, at_once: "_Parts") -> bool:
        """Read up to `limit` bytes of a file; return whether the file has more."""
        reader.fill(limit)
        at_once.take_overlong(file, reader)
        at_once.take_zeros(file, reader)
        more = reader.has_more
        if reader.has_changed and not reader.is_final:
            file.family.is_dirty = True
        elif reader.is_final and not more:
            at_once.take_last(file, reader)
            file.close()
            self._stop_reading(file)
            return False
        self._note_waiting(file)
        self._note_unread(file)
        return more

    def _note_waiting(self, file: File, last: bool = False) -> None:
        """Note how many lines of a file wait. `last`: whether the file's turn comes after all others."""
        lines, length = self._waiting.get(file, (0, 0))
        self._lines -= lines
        self._bytes -= length
        reader = file.reader
        # Lines of a file that changed in its place are held until matching says where the file goes on.
        may_be_taken = reader is not None and reader.lines and file not in self._unbegun and not reader.has_changed
        if last or not may_be_taken:
            self._waiting.pop(file, None)
        if may_be_taken and reader is not None:
            self._waiting[file] = reader.lines, len(reader.buffer)
            self._lines += reader.lines
            self._bytes += len(reader.buffer)

    def _note_unread(self, file: File) -> None:
        unread = file.reader.unread if file.reader is not None else 0
        if unread > 0 and file.may_be_behind:
            self._unread[file] = unread
        else:
            self._unread.pop(file, None)

    def _take(self, lines: int) -> Chunk:
        """A chunk of that many of the lines that wait, in the order of their files."""
        parts = _Parts()
        for file, (own, _) in list(self._waiting.items()):
            assert file.reader is not None, "what waits is held by a reader"
            parts.take(file, file.reader, min(lines, own))
            # The rest of its lines are newer than the lines of other files.
            self._note_waiting(file, last=True)
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
        """Bytes that wait in the files and in the buffers."""
        return sum(self._unread.values()) + self._bytes


class _Place(NamedTuple):
    """The place at which a part of a file begins."""

    position: Position
    context: str

    @classmethod
    def of(cls, file: File) -> "_Place":
        """The place at which the file's next part begins."""
        return cls(file.position, file.context)


class _Parts:
    """Parts of a chunk that is being made."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.lines: list[bytes] = []

    def take(self, file: File, reader: Reader, lines: int) -> None:
        """Take that many of the file's lines."""
        start = _Place.of(file)
        self._add(file, start, reader.take(reader.bytes_of(lines)))

    def take_last(self, file: File, reader: Reader) -> None:
        """Take the lines that wait and the file's last line, which neither a newline nor another part will end.

        The commit that counts the last lines also tells that the file is closed.
        """
        self.take_overlong(file, reader, ended=True)
        start = _Place.of(file)
        data = reader.take(len(reader.buffer))
        file.state = "closed"
        self._add(file, start, data + b"\n" if data and not data.endswith(b"\n") else data)

    def take_overlong(self, file: File, reader: Reader, ended: bool = False) -> None:
        """Take a line that is too long, if its end was read. `ended`: whether the file's end also ends the line."""
        start = _Place.of(file)
        overlong = reader.take_overlong(ended)
        if overlong is not None:
            self._add(file, start, b"", overlong)

    def take_zeros(self, file: File, reader: Reader) -> None:
        """Skip zeros at the beginning of a line, if they are next."""
        start = _Place.of(file)
        if reader.skip():
            self._add(file, start, b"")

    def take_state(self, file: File) -> None:
        """Take the file's state, without lines."""
        self._add(file, _Place.of(file), b"")

    def _add(self, file: File, start: "_Place", lines: bytes, overlong: Overlong | None = None) -> None:
        gaps = tuple(file.gaps)
        file.gaps.clear()
        file.family.bytes += file.offset - start.position.offset
        self.parts.append(
            Part(
                file.key.log,
                file.path,
                start.position,
                file.position,
                file.identity,
                len(lines),
                gaps,
                overlong,
                file.state,
                file.size,
                file.copy_of,
                file.gone,
                start.context,
                file.context,
            )
        )
        self.lines.append(lines)


class Progress:
    """Logs how far a backlog is worked off, every PROGRESS_SECONDS while there is one."""

    def __init__(self, logs: FollowedLogs) -> None:
        self._logs = logs
        self._offset = 0
        self._time = time.monotonic()

    def report(self, now: float, behind: int) -> None:
        """Log the progress, if it is time. To be called after each step.

        `now`: monotonic seconds. `behind`: bytes that are not handed on.
        """
        if now - self._time < PROGRESS_SECONDS:
            return
        offset = sum(file.offset for file in self._logs.files())
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
