"""Follows one log from a position on, through its rotations.

Rotation by rename and create, by copytruncate, by delete and create, and several of them while nobody followed: each
begins a new generation. What was not yet read of the old one is looked for under the rotated names, by fingerprint. A
file that was cut at its end begins one as well, but not at its start: what was read before is not read again.

    bytes of the file:  |...handed on...|...read, held in `buffer`...|...not yet read...
                                        ^ position

A generation is a file that had bytes in it; an empty one is passed over. Its number must be the same for one who saw
the rotations and for one who starts later and finds the files. So nothing of a generation may be handed on before its
beginning (the position at its start, and the fingerprint there) is stored. Then who starts has at most that generation
to read again, and finds it, or knows that it is gone.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, time_ns
from typing import NamedTuple

import numpy as np

from log_processor.chunk import Overlong
from log_processor.fingerprint import HEAD_BYTES, TAIL_BYTES, Fingerprint
from log_processor.rotation import LogFile, opened
from request_log.line import MAX_LINE_BYTES
from service.logs import logger
from storage.contract import Gap, Position

# A writer may go on with the renamed file for a while: it is left when the next one has bytes and it has been quiet for
# this long.
QUIET_SECONDS = 1.0
# How often to look whether the file was rotated away.
CHECK_SECONDS = 0.05
# While nothing changes in a log's folder its files are not opened again to look for a later one. A folder's time may
# have steps of a second, so it tells nothing before this; and an empty rotated file may still get bytes.
SETTLED_NANOSECONDS = 2 * 10**9
LOOK_ANYWAY_SECONDS = 60.0

log = logger(__name__)


class _State(NamedTuple):
    """Of a file or a folder."""

    device: int
    inode: int
    size: int
    modified: int


_Surroundings = tuple[_State | None, _State | None]
"""The folder of a log and the file at its path, where they are."""


class Tail:
    """Reads on from a position in the log at `path`.

    `buffer` holds what was read and not handed on; `take` hands on. The file need not be there yet.
    """

    buffer: bytearray
    lines: int
    """Newlines in the buffer."""
    overlong: Overlong | None
    _head: bytes
    _tail: bytes
    _last_read: bytes
    _quiet_since: float

    def __init__(self, path: Path, position: Position, fingerprint: str) -> None:
        """`fingerprint`: of the file at `position`; "" where nothing is known of the log yet."""
        self.path = path
        self._name = str(path)
        self._generation, self._offset = position
        self._file: int | None = None
        self._seen: os.stat_result
        self._next: LogFile | None = None
        self._is_there = False
        """Whether the current file was among the log's when the next one was found."""
        self._is_emptied = False
        """Whether the current file was seen to be truncated by more than its end."""
        self._first_offset = 0
        self._next_check = 0.0
        self._nothing_later: tuple[_Surroundings, float] | None = None
        """Surroundings in which no later file had bytes, and until when that is taken to be so (monotonic seconds)."""
        self._is_away = False
        self._loss = ""
        self.gaps: list[Gap] = []
        """What could not be had, until someone takes it from here."""
        self._forget()
        with opened(path) as files:
            if fingerprint:
                self._known = Fingerprint.decode(fingerprint)
            else:
                rotated = [found.stat.st_mtime_ns for found in files if found.path != path]
                self._known = Fingerprint.of_nothing(max(rotated, default=0))
            self._inode = self._known.inode
            if not self._find(files) and self._known.length:
                self._loss = "the file was truncated, or deleted after a rotation"

    @property
    def position(self) -> Position:
        """Of the first byte that was not handed on."""
        return Position(self._generation, self._offset)

    @property
    def fingerprint(self) -> str:
        """Of the file at `position`."""
        return str(self._known)

    @property
    def is_beginning(self) -> bool:
        """Whether nothing of the generation was handed on."""
        return self._offset == self._first_offset

    @property
    def size(self) -> int:
        """Bytes in the current file; 0 while there is none."""
        return os.fstat(self._file).st_size if self._file is not None else 0

    @property
    def bytes_behind(self) -> int:
        """How many bytes were not handed on: of the current file, and of those that came after it."""
        rest = max(0, self.size - self._offset)
        if self._is_log():
            return rest
        surroundings = self._surroundings()
        if self._has_nothing_later(surroundings):
            return rest
        with opened(self.path) as files:
            later = sum(found.stat.st_size for found in self._later(files) if found.file is not None)
        if not later:
            self._note_nothing_later(surroundings)
        return rest + later

    @property
    def read_through(self) -> int:
        """The offset of the first byte of the file that was not read."""
        return self._end()

    @property
    def is_away(self) -> bool:
        """Whether the current file was not at the log's path when that was last looked at, or there is none."""
        return self._file is None or self._is_away

    @property
    def has_more(self) -> bool:
        """Whether the file had more than was read of it, when it was read."""
        return self._file is not None and self._seen.st_size > self._end()

    def has_grown(self) -> bool:
        """Whether the current file is another than when it was read."""
        return self._file is not None and self._is_news(os.fstat(self._file))

    def may_have_more(self) -> bool:
        """Whether the current file has grown, or is not the one at the log's path, so that another may follow."""
        if self._file is None:
            return True
        found = os.fstat(self._file)
        return self._is_news(found) or not self._is_at_path(found)

    def fill(self, limit: int) -> bool:
        """Read up to `limit` more bytes into the buffer; whether there were any."""
        if self._file is None:
            return False
        found = os.fstat(self._file)
        if not self._is_news(found):
            return False
        end = self._end()
        # Some bytes are read again, to see that the file is still the one they came from.
        data = os.pread(self._file, len(self._last_read) + limit, end - len(self._last_read))
        if not data.startswith(self._last_read):
            self._leave_truncated()
            return False
        self._seen = found
        fresh = data[len(self._last_read) :]
        if not fresh:
            return False
        if end == 0:
            self._known = self._known.moved(found, fresh[:HEAD_BYTES], b"")
        self._last_read = data[-TAIL_BYTES:]
        self._quiet_since = monotonic()
        self.lines += _newlines(fresh)
        self.buffer += fresh
        if self.overlong is not None or (not self.lines and len(self.buffer) > MAX_LINE_BYTES):
            self._let_go()
        return True

    def take(self, length: int) -> bytes:
        """Hand on the first `length` bytes of the buffer: the position moves past them."""
        data = bytes(self.buffer[:length])
        del self.buffer[:length]
        self.lines -= _newlines(data)
        self._move(length, data, data)
        return data

    def take_overlong(self, ended: bool = False) -> Overlong | None:
        """Hand on the line that was too long to hold, with its newline; None until its end has been read.

        `ended`: whether the generation has, and with it the line.
        """
        if self.overlong is None or not (self.lines or ended):
            return None
        line, self.overlong = self.overlong, None
        self._move(line.length, line.beginning, line.end)
        self.take(1 if self.lines else 0)
        return line

    def ended(self) -> bool:
        """Whether nothing more comes in this generation. To be asked when `fill` found nothing.

        What is in the buffer then is the generation's last line, without a newline.
        """
        now = monotonic()
        if now < self._next_check:
            return False
        self._next_check = now + CHECK_SECONDS
        if self._is_log() or (self._file is not None and now - self._quiet_since < QUIET_SECONDS):
            return False
        surroundings = self._surroundings()
        if self._has_nothing_later(surroundings):
            return False
        with opened(self.path) as files:
            # The file may be gone and a copy of it there: made by copytruncate, or put in its place.
            if not any(map(self._is_current, files)) and self._find(files):
                return False
            self._open_next(files)
        if self._next is None:
            self._note_nothing_later(surroundings)
            return False
        if self._file is None:
            # The rest of a half line is lost, and half of one could pass for a whole one.
            del self.buffer[self.buffer.rfind(b"\n") + 1 :]
            self.overlong = None
        return True

    def next_generation(self) -> None:
        """Go on with the start of the file that comes next. To be called when the generation has `ended`."""
        assert self._next is not None, "a generation ends when there is a next file"
        begins = self._goes_on_at(self._next)
        if begins:
            self._loss = "its end was cut off or changed after it was read"
        if self._loss:
            self.gaps.append(Gap(self.position, self._loss))
            log.warning("bytes_lost", log=str(self.path), reason=self._loss, **self.position._asdict())
        if self._known.length:
            self._generation += 1
            self._offset = self._first_offset = begins
        assert self._next.file is not None
        file, self._next = self._next.file, None
        self._read(file)
        if begins:
            self._known = self._known.moved(self._seen, self._head, self._tail)
        log.info("generation_begun", log=str(self.path), generation=self._generation, offset=self._offset)

    def close(self) -> None:
        """Close the file."""
        for file in (self._file, self._next and self._next.file):
            if file is not None:
                os.close(file)
        self._file = self._next = None

    def _is_news(self, found: os.stat_result) -> bool:
        return (found.st_size, found.st_mtime_ns) != (self._end(), self._seen.st_mtime_ns)

    def _end(self) -> int:
        """The offset of the first byte that was not read."""
        return self._offset + len(self.buffer) + (self.overlong.length if self.overlong else 0)

    def _move(self, length: int, beginning: bytes, end: bytes) -> None:
        """Move the position past so many bytes; the first and the last of them are given."""
        self._offset += length
        self._head += beginning[: HEAD_BYTES - len(self._head)]
        self._tail = (self._tail + end[-TAIL_BYTES:])[-TAIL_BYTES:]
        self._known = self._known.moved(self._seen, self._head, self._tail)

    def _let_go(self) -> None:
        """Do not hold the line that the buffer begins with: it is too long to be a request."""
        self.overlong = self.overlong or Overlong()
        end = self.buffer.find(b"\n")
        part = bytes(self.buffer if end < 0 else self.buffer[:end])
        self.overlong.add(part)
        del self.buffer[: len(part)]

    def _leave_truncated(self) -> None:
        """The file no longer holds what was read of it. What was not handed on stays, until a copy is found."""
        log.warning("truncated", log=str(self.path), generation=self._generation, read_through=self._end())
        self._is_emptied = self.size < HEAD_BYTES
        self.close()
        self._loss = "the file was truncated, and no copy holds all that was read of it"
        self._next_check = 0.0

    def _find(self, files: Sequence[LogFile]) -> bool:
        """Whether a file holds the bytes before the position and what was read after it; it is read from now on."""
        read_again = self._end() - len(self._last_read)
        # A rename keeps the inode. A copy has another; of several the latest will do.
        ranked = sorted(enumerate(files), key=lambda entry: (entry[1].stat.st_ino != self._known.inode, -entry[0]))
        for _, found in ranked:
            if (
                found.file is not None
                and self._known.matches(found.file, self._offset)
                and os.pread(found.file, len(self._last_read), read_again) == self._last_read
            ):
                self._read(os.dup(found.file))
                return True
        return False

    def _open_next(self, files: Sequence[LogFile]) -> None:
        """Open the first file after the current one that has bytes, and note what cannot be had before it."""
        later = self._later(files)
        loss = self._loss
        self._is_there = any(map(self._is_current, files))
        is_gone = self._file is not None and not self._is_there
        if is_gone and any(found.path != self.path and found.file is not None for found in later):
            loss = "rotated files may have been deleted before they were read"
        for found in later:
            if found.file is None:
                loss = loss or "a rotated file was compressed before it was read, or may not be read"
            elif found.stat.st_size:
                self._next, self._loss = found._replace(file=os.dup(found.file)), loss
                return

    def _goes_on_at(self, found: LogFile) -> int:
        """Where what is new begins in the next file: at its start, unless it is the log that was read, cut at its end.

        That is the same inode with the same first KiB, which was not seen to be empty meanwhile. What it holds beyond
        the end of what was read was written since, and if it is longer than it was, nobody knows where it was cut:
        then with the next line.
        """
        is_same = found.stat.st_ino == self._inode and self._known.length == HEAD_BYTES
        if self._is_there or self._is_emptied or not is_same or not self._known.matches_head(found.file):
            return 0
        assert found.file is not None
        size = found.stat.st_size
        if size <= self._offset:
            return size
        newline = os.pread(found.file, MAX_LINE_BYTES, self._offset - 1).find(b"\n")
        return self._offset + newline if newline >= 0 else size

    def _later(self, files: Sequence[LogFile]) -> list[LogFile]:
        """The files that came after the current one, the oldest first."""
        places = [place for place, found in enumerate(files) if self._is_current(found)]
        if places:
            later = list(files[places[0] + 1 :])
        else:
            # It is in none of them, so time tells. A copy of it that ends before what was read does not come after it.
            later = [
                found
                for found in files
                if found.path == self.path
                or (found.stat.st_mtime_ns > self._known.modified and not self._known.matches_head(found.file))
            ]
        # A copy of the log that is still being made, before the log is truncated, is not a file of its own.
        return [found for found in later if found is files[-1] or not found.begins_like(files[-1])]

    def _is_log(self) -> bool:
        """Whether the current file is the one at the log's path."""
        return self._file is not None and self._is_at_path(os.fstat(self._file))

    def _is_at_path(self, found: os.stat_result) -> bool:
        try:
            self._is_away = not os.path.samestat(os.stat(self._name), found)  # noqa: PTH116 (asked often; costs less)
        except FileNotFoundError:
            self._is_away = True
        return not self._is_away

    def _surroundings(self) -> "_Surroundings | None":
        """What tells that a later file has come; None where that could not be told."""
        # While a file is looked for, its copy may grow.
        if self._file is None and self._known.length:
            return None
        folder, log = _state(self.path.parent), _state(self.path)
        if folder is not None and time_ns() - folder.modified < SETTLED_NANOSECONDS:
            return None
        return folder, log

    def _has_nothing_later(self, surroundings: "_Surroundings | None") -> bool:
        if surroundings is None or self._nothing_later is None:
            return False
        then, until = self._nothing_later
        return surroundings == then and monotonic() < until

    def _note_nothing_later(self, surroundings: "_Surroundings | None") -> None:
        if surroundings is not None:
            self._nothing_later = surroundings, monotonic() + LOOK_ANYWAY_SECONDS

    def _is_current(self, found: LogFile) -> bool:
        return self._file is not None and os.path.samestat(found.stat, os.fstat(self._file))

    def _read(self, file: int) -> None:
        """Read this file from the position on."""
        self.close()
        self._forget()
        self._file, self._seen = file, os.fstat(file)
        self._nothing_later = None
        self._inode, self._is_emptied = self._seen.st_ino, False
        self._loss = ""
        self._head = os.pread(file, min(HEAD_BYTES, self._offset), 0)
        start = max(0, self._offset - TAIL_BYTES)
        self._tail = self._last_read = os.pread(file, self._offset - start, start)
        if self._offset == 0:
            self.fill(HEAD_BYTES)

    def _forget(self) -> None:
        """Let go of what was read and not handed on."""
        self.buffer = bytearray()
        self.lines = 0
        self.overlong = None
        self._head = self._tail = self._last_read = b""
        self._quiet_since = monotonic()


def _state(path: Path) -> _State | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return _State(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _newlines(data: bytes) -> int:
    # bytes.count takes six times as long.
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))
