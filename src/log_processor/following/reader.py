"""Reads one file on, from an offset to its end.

bytes of the file:  |...handed on...|...read, held in `buffer`...|...not yet read...
                                    ^ offset
"""

import os

import numpy as np

from log_processor.following.clock import SYSTEM, Clock
from log_processor.following.identity import HEAD_BYTES, TAIL_BYTES, Hasher, Identity, Samples
from log_processor.following.matching import FileAt
from log_processor.parsing.chunk import Overlong
from request_log.framing.protocol import PLAIN, Framing
from request_log.line import MAX_LINE_BYTES

_BLOCK_BYTES = 1 << 20


class Reader:
    """Reads an open file. `buffer` holds what was read and not handed on; `take` hands on.

    Zeros at the beginning of a line are skipped: a writer without O_APPEND leaves them when its log is emptied. Zeros
    at the file's end may be bytes that are still to come, as on a network's file system: they are waited on.
    """

    def __init__(
        self,
        file: int,
        at: FileAt,
        start: int,
        offset: int,
        identity: Identity,
        is_final: bool = False,
        clock: Clock = SYSTEM,
        framing: Framing = PLAIN,
        context: str = "",
    ) -> None:
        """`file`: a descriptor of its text, which is the reader's from here on. `at`: where the file itself is.
        `start`, `offset`, `identity`: where reading began, how far it is, and what the file was then. `is_final`:
        whether it will not grow any more. `context`: what the file says before `offset`, where that is known."""
        self._file = file
        self.at = at
        self.offset = offset
        """Of the first byte that was not handed on."""
        self.is_final = is_final
        self.has_changed = False
        """Whether the file no longer holds what was read of it."""
        self.buffer = bytearray()
        self.lines = 0
        """Newlines in the buffer, as far as lines are whole there."""
        self._whole_bytes = 0
        """Bytes of the buffer, as far as lines are whole there; kept where lines may come in parts."""
        self._framing = framing
        self._ends_open_lines = False
        """Whether the bytes that are whole end in lines of which no more parts come."""
        if not context and (offset == start or not framing.has_parts):
            context = framing.context_at(self.read, offset)
        self.context = context
        """What the file says before the offset of what is behind it, see Framing."""
        self.overlong: Overlong | None = None
        self._seen = os.fstat(file)
        self._zeros_at_end = 0
        self._head = os.pread(file, min(HEAD_BYTES, offset), 0)
        begin = max(0, offset - TAIL_BYTES)
        self._tail = self._last_read = os.pread(file, offset - begin, begin)
        # Before anything but zeros was handed on, what it begins with tells what it is.
        self._seen_head = b"" if offset else os.pread(file, HEAD_BYTES, 0).rstrip(b"\0")
        self._hasher = Hasher.resumed(identity, start, offset, self.read)
        self._identity = self._identify()
        self._clock = clock
        self.least_size = self._seen.st_size
        """The fewest bytes that were seen in the file since it held what was read of it."""
        self.quiet_since = clock.monotonic()
        """When something was read last, monotonic seconds."""

    @property
    def identity(self) -> str:
        """Of the file at the offset."""
        return self._identity

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._file).st_size

    @property
    def modified(self) -> float:
        """When the file was written last, Unix time (s)."""
        return os.fstat(self._file).st_mtime

    @property
    def is_deleted(self) -> bool:
        """Whether the file has no name any more."""
        return os.fstat(self._file).st_nlink == 0

    @property
    def is_of_text(self) -> bool:
        """Whether it reads the text of a compressed file, which itself is not open: the system may give its inode to
        another file."""
        found = os.fstat(self._file)
        return (found.st_dev, found.st_ino) != self.at

    @property
    def bytes_behind(self) -> int:
        """How many bytes were not handed on, but for a line or zeros that the file ends in: they may go on."""
        rest = self.size - self.offset
        end = self.read_through
        if end - self.offset + self._zeros_at_end >= rest:
            # All is read.
            return self.whole_bytes
        return max(0, rest)

    @property
    def read_through(self) -> int:
        """The offset of the first byte of the file that was not read."""
        return self.offset + len(self.buffer) + (self.overlong.length if self.overlong else 0)

    @property
    def ahead(self) -> Samples:
        """Of what was read and not handed on: its first bytes and its last."""
        end = self.read_through
        if end == self.offset or (self.has_changed and self.is_final):
            return ()
        first = bytes(self.buffer[:HEAD_BYTES])
        return (end - len(self.buffer), first), (end - len(self._last_read), self._last_read)

    @property
    def has_more(self) -> bool:
        """Whether the file had more than was read of it, when it was read."""
        return not self.has_changed and self._seen.st_size > self.read_through + self._zeros_at_end

    @property
    def whole_bytes(self) -> int:
        """Bytes of the buffer that are whole lines and may be handed on."""
        return self._whole_bytes if self._framing.has_parts else self.buffer.rfind(b"\n") + 1

    @property
    def has_half_a_line(self) -> bool:
        """Whether the file ends, as far as it was read, in a line without a newline, or in one whose last part has not
        come."""
        return self.overlong is not None or len(self.buffer) > self.whole_bytes

    def bytes_of(self, lines: int) -> int:
        """In how many bytes of the buffer its first whole lines are, at least so many."""
        if lines >= self.lines:
            return self.whole_bytes
        whole_bytes = self.whole_bytes
        return self._framing.whole(bytes(self.buffer[:whole_bytes]), self.context, lines).length or whole_bytes

    def read(self, length: int, offset: int) -> bytes:
        """Bytes of the file."""
        return os.pread(self._file, length, offset)

    def moved_to(self) -> str:
        """Where the file is now; "" where that cannot be told."""
        try:
            return os.readlink(f"/proc/self/fd/{self._file}")  # noqa: PTH115 (a text, also of what is deleted)
        except OSError:
            return ""

    def has_grown(self) -> bool:
        """Whether the file is another than when it was read."""
        found = os.fstat(self._file)
        return (found.st_size, found.st_mtime_ns) != (
            self.read_through + self._zeros_at_end,
            self._seen.st_mtime_ns,
        )

    def fill(self, limit: int) -> bool:
        """Read up to `limit` more bytes into the buffer; whether there were any."""
        found = os.fstat(self._file)
        end = self.read_through
        if self.has_changed or not (self.has_more or self.has_grown()):
            return False
        # Some bytes are read again, to see that the file is still the one they came from.
        data = os.pread(self._file, len(self._last_read) + limit, end - len(self._last_read))
        if found.st_size < end or not data.startswith(self._last_read if end else self._seen_head):
            self.has_changed = True
            self.least_size = min(self.least_size, found.st_size, self.size)
            return False
        self._seen = found
        self.least_size = found.st_size
        self._zeros_at_end = 0
        fresh = data[len(self._last_read) :]
        if b"\0" in fresh:
            fresh = self._without_zeros(fresh, found.st_size)
        if not fresh:
            if len(data) > len(self._last_read) and not self._zeros_at_end:
                # What comes behind zeros ends no line.
                self._end_open_lines()
            return False
        self._last_read = (self._last_read + fresh[-TAIL_BYTES:])[-TAIL_BYTES:]
        self.quiet_since = self._clock.monotonic()
        self.buffer += fresh
        if self.overlong is not None:
            self._drop_overlong_line()
        if self._framing.has_parts:
            self._find_whole()
        else:
            self.lines += _newlines(fresh)
        if self.overlong is None and not self.lines and len(self.buffer) > MAX_LINE_BYTES:
            half_line = self.buffer.rfind(b"\n") + 1
            if not half_line:
                self._drop_overlong_line()
            elif len(self.buffer) - half_line > MAX_LINE_BYTES:
                self._end_open_lines()
        return True

    def skip(self) -> bool:
        """Move past zeros at the beginning of a line, when all before them was handed on; whether there were any."""
        if self.has_changed or self.buffer or self.overlong is not None or self.read(1, self.offset) != b"\0":
            return False
        end = self._end_of_zeros(self.offset)
        if end is None:
            return False
        zeros = end - self.offset
        self.offset = end
        self.context = self._framing.after_hole(self.context)
        self._head += b"\0" * min(zeros, HEAD_BYTES - len(self._head))
        self._tail = self._last_read = (self._tail + b"\0" * min(zeros, TAIL_BYTES))[-TAIL_BYTES:]
        if self._hasher is not None:
            self._hasher.skip(zeros)
        self._identity = self._identify()
        return True

    def take(self, length: int) -> bytes:
        """Hand on the first `length` bytes of the buffer: the offset moves past them."""
        data = bytes(self.buffer[:length])
        del self.buffer[:length]
        self.context = self._framing.after(data, self.context)
        if self._ends_open_lines and length >= self._whole_bytes:
            self.context = self._framing.after_hole(self.context)
            self._ends_open_lines = False
        self.lines = max(0, self.lines - _newlines(data))
        self._whole_bytes = max(0, self._whole_bytes - length)
        if self._hasher is not None:
            self._hasher.add(data)
        self._move(length, data, data)
        return data

    def take_overlong(self, ended: bool = False) -> Overlong | None:
        """Hand on the line that was too long to hold, with its newline; None until its end has been read.

        `ended`: whether the file has, and with it the line.
        """
        if self.overlong is None or not (self.lines or ended):
            return None
        line, self.overlong = self.overlong, None
        self._move(line.length, line.beginning, line.end)
        self.take(1 if self.lines else 0)
        self.context = self._framing.after_hole(self.context)
        return line

    def end(self) -> None:
        """Whole lines that were read are all that is handed on. The rest of a half one cannot be had here any more, and
        it could pass for a whole one."""
        self.has_changed = self.is_final = True
        del self.buffer[self.whole_bytes :]
        self.overlong = None

    def fileno(self) -> int:
        """The descriptor of the file's text."""
        return self._file

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _without_zeros(self, fresh: bytes, size: int) -> bytes:
        """What of it may be read now: up to zeros at the beginning of a line, or at the file's end."""
        is_at_beginning = self.overlong is None and (not self.buffer or self.buffer.endswith(b"\n"))
        if is_at_beginning and fresh[0] == 0:
            if self._end_of_zeros(self.read_through) is None:
                self._zeros_at_end = size - self.read_through
            return b""
        zeros = fresh.find(b"\n\0")
        if zeros >= 0:
            return fresh[: zeros + 1]
        kept = fresh.rstrip(b"\0")
        end = self.read_through + len(kept)
        if len(kept) < len(fresh) and self._end_of_zeros(end) is None:
            self._zeros_at_end = size - end
            return kept
        return fresh

    def _end_of_zeros(self, offset: int) -> int | None:
        """Where the zeros end that begin at an offset; None where nothing but zeros comes."""
        try:
            offset = os.lseek(self._file, offset, os.SEEK_DATA)
        except OSError:
            # Nothing but a hole, or a file system that does not know of holes.
            if self.size <= offset:
                return None
        while block := os.pread(self._file, _BLOCK_BYTES, offset):
            rest = block.lstrip(b"\0")
            if rest:
                return offset + len(block) - len(rest)
            offset += len(block)
        return None

    def _move(self, length: int, beginning: bytes, end: bytes) -> None:
        """Move the offset past so many bytes; the first and the last of them are given."""
        self.offset += length
        self._head += beginning[: HEAD_BYTES - len(self._head)]
        self._tail = (self._tail + end[-TAIL_BYTES:])[-TAIL_BYTES:]
        self._identity = self._identify()

    def _identify(self) -> str:
        has_read = self._hasher is None or self._hasher.has_hashed
        sampled = Identity.of_bytes(self.at[1], self._head if has_read else self._seen_head, self._tail)
        return str(self._hasher.identity(sampled) if self._hasher is not None else sampled)

    def _find_whole(self) -> None:
        """Find out how far lines are whole, where they may come in parts."""
        data = bytes(self.buffer[: self.buffer.rfind(b"\n") + 1])
        context = self.context if self.overlong is None else self._framing.after_hole(self.context)
        self._whole_bytes, self.lines, _ = self._framing.whole(data, context)
        self._ends_open_lines = False

    def _end_open_lines(self) -> None:
        """Of lines that are open no more parts come that can be put to them."""
        self._ends_open_lines = self._framing.has_parts
        self._whole_bytes = self.buffer.rfind(b"\n") + 1
        self.lines = _newlines(bytes(self.buffer))

    def _drop_overlong_line(self) -> None:
        """Do not hold the line that the buffer begins with: it is too long to be a request."""
        self.overlong = self.overlong or Overlong()
        end = self.buffer.find(b"\n")
        part = bytes(self.buffer if end < 0 else self.buffer[:end])
        self.overlong.add(part)
        if self._hasher is not None:
            # The identity is taken again when the whole line was.
            self._hasher.add(part)
        del self.buffer[: len(part)]


def _newlines(data: bytes) -> int:
    # bytes.count takes six times as long.
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))
