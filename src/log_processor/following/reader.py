"""Reads one file on, from an offset to its end.

bytes of the file:  |...handed on...|...read, held in `buffer`...|...not yet read...
                                    ^ offset
"""

import errno
import os
from functools import partial

import numpy as np

from log_processor.following.clock import SYSTEM, Clock
from log_processor.following.holes import end_of_hole
from log_processor.following.identity import HEAD_BYTES, TAIL_BYTES, Hasher, Identity, Samples
from log_processor.following.matching import FileAt
from log_processor.parsing.chunk import Overlong
from request_log.framing.protocol import PLAIN, Framing
from request_log.line import MAX_LINE_BYTES

# Bytes that one read takes in search of the end of zeros.
_BLOCK_BYTES = 1 << 20
# Bytes in which bytes.count finds the newlines faster than numpy.
_FEW_BYTES = 2_000
# Bound, in bytes, on the zeros that are read in one step. It takes some 10 ms.
_ZEROS_BYTES = 32 << 20


class Reader:
    """Reads an open file. `buffer` holds the bytes that were read and not handed on. `take` hands them on.

    Zeros at the beginning of a line are skipped: a writer without O_APPEND leaves them when its log is emptied. Zeros
    at the file's end may stand for bytes that are still to come, as on a network file system. The reader waits there.
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
        """`file`: a descriptor of the file's text, which the reader closes. `at`: device and inode of the file itself.

        `start`: offset at which reading began. `offset`: how far it is. `identity`: of the file at `offset`.
        `is_final`: whether the file grows no more. `context`: what the lines before `offset` say about the next lines,
        see Framing; "" if that is not known.
        """
        self._file = file
        self.at = at
        self.offset = offset
        """Offset of the first byte that was not handed on."""
        self.is_final = is_final
        self.has_changed = False
        """Whether the file no longer holds what was read of it."""
        self.buffer = bytearray()
        self.lines = 0
        """Newlines in the part of the buffer that is whole lines."""
        self._whole_bytes = 0
        """Bytes of the part of the buffer that is whole lines. Kept only for a framing with lines in parts."""
        self._framing = framing
        self._ends_open_lines = False
        """Whether the whole bytes end in open lines that get no more parts."""
        if not context and (offset == start or not framing.has_parts):
            context = framing.context_at(self.read, offset)
        self.context = context
        """What the lines before the offset say about the next lines, see Framing."""
        self.overlong: Overlong | None = None
        self._seen = os.fstat(file)
        self.is_of_text = (self._seen.st_dev, self._seen.st_ino) != at
        """Whether the reader reads a decompressed text. The compressed file itself is not open then, so the system may
        give its inode to another file."""
        self._zeros_at_end = 0
        self._zeros = (-1, 0)
        """Where zeros begin, and the offset through which they were read."""
        self._zeros_are_read = True
        """Whether zeros were read to their end, or to the file's end."""
        self._head = os.pread(file, min(HEAD_BYTES, offset), 0)
        begin = max(0, offset - TAIL_BYTES)
        self._tail = self._last_read = os.pread(file, offset - begin, begin)
        self._hasher = Hasher.resumed(identity, start, offset, self.read, partial(end_of_hole, file))
        self._begins_file = not start
        # Until a byte other than zero is handed on, the first such bytes are the file's identity.
        self._first_at, self._first = self._find_first()
        self._identity = self._identify()
        self._clock = clock
        self.least_size = self._seen.st_size
        """The fewest bytes that the file was seen with since it last held what was read of it."""
        self.quiet_since = clock.monotonic()
        """When new bytes were read last, monotonic seconds."""

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._file).st_size

    @property
    def modified(self) -> float:
        """When the file was written last (Unix time, s)."""
        return os.fstat(self._file).st_mtime

    @property
    def is_deleted(self) -> bool:
        """Whether the file has lost its last name."""
        return os.fstat(self._file).st_nlink == 0

    @property
    def bytes_behind(self) -> int:
        """Bytes that were not handed on, without half a line or zeros at the file's end, which may go on."""
        return self.behind_at(self.size)

    def behind_at(self, size: int) -> int:
        """`bytes_behind` of a file that has `size` bytes."""
        rest = size - self.offset
        end = self.read_through
        if end - self.offset + self._zeros_at_end >= rest:
            # The file is read to its end.
            return self.whole_bytes
        return max(0, rest)

    @property
    def read_through(self) -> int:
        """The offset of the first byte of the file that was not read."""
        return self.offset + len(self.buffer) + (self.overlong.length if self.overlong else 0)

    @property
    def ahead(self) -> Samples:
        """The first and the last of the bytes that were read and not handed on."""
        end = self.read_through
        if end == self.offset or (self.has_changed and self.is_final):
            return ()
        first = bytes(self.buffer[:HEAD_BYTES])
        return (end - len(self.buffer), first), (end - len(self._last_read), self._last_read)

    @property
    def unread(self) -> int:
        """Bytes that the last look at the file saw and that are not read yet."""
        return max(0, self._seen.st_size - self.read_through - self._zeros_at_end)

    @property
    def has_more(self) -> bool:
        """Whether the last look at the file saw more bytes than it read."""
        return not self.has_changed and self.unread > 0

    @property
    def was_read_to_its_end(self) -> bool:
        """Whether all bytes that the file had when it was last read are handed on."""
        return self.offset + self._zeros_at_end == self._seen.st_size

    @property
    def whole_bytes(self) -> int:
        """Bytes at the beginning of the buffer that are whole lines and may be handed on."""
        return self._whole_bytes if self._framing.has_parts else self.buffer.rfind(b"\n") + 1

    @property
    def has_half_a_line(self) -> bool:
        """Whether the bytes that were read end in a line without a newline, or without its last part."""
        return self.overlong is not None or len(self.buffer) > self.whole_bytes

    def bytes_of(self, lines: int) -> int:
        """Bytes of the buffer that hold the first whole lines, at least `lines` of them."""
        if lines >= self.lines:
            return self.whole_bytes
        whole_bytes = self.whole_bytes
        return self._framing.whole(bytes(self.buffer[:whole_bytes]), self.context, lines).length or whole_bytes

    def read(self, length: int, offset: int) -> bytes:
        """Up to `length` bytes of the file's text, from `offset` on."""
        return os.pread(self._file, length, offset)

    def moved_to(self) -> str:
        """The path of the file now; "" if the system cannot tell it."""
        try:
            return os.readlink(f"/proc/self/fd/{self._file}")  # noqa: PTH115 (a text, also of what is deleted)
        except OSError:
            return ""

    def has_grown(self) -> bool:
        """Whether the size or the time of the file has changed since the last read."""
        return self._is_grown(os.fstat(self._file))

    def _is_grown(self, found: os.stat_result) -> bool:
        return (found.st_size, found.st_mtime_ns) != (self.read_through + self._zeros_at_end, self._seen.st_mtime_ns)

    def fill(self, limit: int) -> bool:
        """Read up to `limit` more bytes into the buffer; return whether there were any.

        Sets `has_changed` if the file no longer holds the last bytes that were read.
        """
        if self.has_changed:
            return False
        found = os.fstat(self._file)
        end = self.read_through
        if not (self.has_more or self._is_grown(found)):
            return False
        # The last bytes are read again, because another content may have taken their place.
        data = os.pread(self._file, len(self._last_read) + limit, end - len(self._last_read))
        if found.st_size < end or not data.startswith(self._last_read) or not self._has_first():
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
                # Bytes after zeros do not continue the open lines.
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
        """Skip zeros at the beginning of a line, once all bytes before them are handed on; return whether any were
        skipped."""
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
        self._first_at, self._first = self._find_first()
        self._identity = self._identify()
        return True

    def take(self, length: int) -> bytes:
        """Hand on the first `length` bytes of the buffer, and move the offset past them."""
        data = bytes(self.buffer[:length])
        del self.buffer[:length]
        self.context = self._framing.after(data, self.context, self.offset == 0)
        if self._ends_open_lines and length >= self._whole_bytes:
            self.context = self._framing.after_hole(self.context)
            self._ends_open_lines = False
        self.lines = max(0, self.lines - _newlines(data)) if self.buffer else 0
        self._whole_bytes = max(0, self._whole_bytes - length)
        if self._hasher is not None:
            self._hasher.add(data)
        self._move(length, data, data)
        return data

    def take_overlong(self, ended: bool = False) -> Overlong | None:
        """Hand on a line that was too long to hold, with its newline; None until its end was read.

        `ended`: whether the end of the file also ends the line.
        """
        if self.overlong is None or not (self.lines or ended):
            return None
        line, self.overlong = self.overlong, None
        self._move(line.length, line.beginning, line.end)
        self.take(1 if self.lines else 0)
        self.context = self._framing.after_hole(self.context)
        return line

    def end(self) -> None:
        """End reading, so that only the whole lines in the buffer are handed on.

        Half a line is dropped, because its rest is not in this file and it could pass for a whole line.
        """
        self.has_changed = self.is_final = True
        del self.buffer[self.whole_bytes :]
        self.overlong = None

    def fileno(self) -> int:
        """The descriptor of the file's text."""
        return self._file

    def close(self) -> None:
        os.close(self._file)

    def _without_zeros(self, fresh: bytes, size: int) -> bytes:
        """The fresh bytes before zeros that begin a line or end the file."""
        is_at_beginning = self.overlong is None and (not self.buffer or self.buffer.endswith(b"\n"))
        if is_at_beginning and fresh[0] == 0:
            self._note_zeros_at_end(self.read_through, size)
            return b""
        zeros = fresh.find(b"\n\0")
        if zeros >= 0:
            return fresh[: zeros + 1]
        kept = fresh.rstrip(b"\0")
        end = self.read_through + len(kept)
        return kept if len(kept) < len(fresh) and self._note_zeros_at_end(end, size) else fresh

    def _note_zeros_at_end(self, offset: int, size: int) -> bool:
        """Whether only zeros follow an offset, as far as is known. Notes how many when all of them were read."""
        only_zeros_follow = self._end_of_zeros(offset) is None
        if only_zeros_follow and self._zeros_are_read:
            self._zeros_at_end = size - offset
        return only_zeros_follow

    def _end_of_zeros(self, begin: int) -> int | None:
        """The offset at which zeros end that begin at `begin`; None if only zeros follow, as far as is known.

        A call reads a bounded number of zeros, and the next one goes on, so that zeros hold up no other file.
        """
        first, offset = self._zeros
        if first != begin or os.pread(self._file, _BLOCK_BYTES, begin).lstrip(b"\0"):
            # A writer that reserves room writes where the zeros begin.
            offset = begin
        self._zeros_are_read = True
        try:
            offset = os.lseek(self._file, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                # The rest is a hole.
                return None
            # The file system does not know holes.
        limit = offset + _ZEROS_BYTES
        while block := os.pread(self._file, _BLOCK_BYTES, offset):
            rest = block.lstrip(b"\0")
            if rest:
                return offset + len(block) - len(rest)
            offset += len(block)
            if offset >= limit:
                self._zeros_are_read = False
                break
        self._zeros = begin, offset
        return None

    def _move(self, length: int, beginning: bytes, end: bytes) -> None:
        """Move the offset past `length` bytes. `beginning`, `end`: the first and the last of them."""
        self.offset += length
        self._head += beginning[: HEAD_BYTES - len(self._head)]
        self._tail = (self._tail + end[-TAIL_BYTES:])[-TAIL_BYTES:]
        self._identity = self._identify()

    @property
    def _has_head(self) -> bool:
        """Whether the bytes that were handed on tell the file. Zeros alone do not."""
        return self._hasher is None or self._hasher.has_hashed or bool(self._head.strip(b"\0"))

    def _find_first(self) -> tuple[int, bytes]:
        """The offset of the first bytes of the file after zeros, and these bytes. None where the file is told already.

        Zeros at their end may stand for bytes that are still to come.
        """
        if not self._begins_file or self._has_head:
            return 0, b""
        first = self.read(HEAD_BYTES, self.offset)
        at: int | None = self.offset
        if first.startswith(b"\0"):
            at = self._end_of_zeros(self.offset)
            first = self.read(HEAD_BYTES, at) if at is not None else b""
        return at or 0, first.rstrip(b"\0")

    def _has_first(self) -> bool:
        """Whether the file still has its first bytes, if only they tell it."""
        is_told = not self._first or self._has_head or self.read_through > self.offset
        return is_told or self.read(len(self._first), self._first_at) == self._first

    def _identify(self) -> str:
        if self._has_head:
            sampled = Identity.of_bytes(self.at[1], self._head, self._tail)
        else:
            sampled = Identity.of_bytes(self.at[1], self._first, self._tail, self._first_at)
        return str(self._hasher.identity(sampled) if self._hasher is not None else sampled)

    def _find_whole(self) -> None:
        """Note how far the buffer is whole lines, for a framing with lines in parts."""
        data = bytes(self.buffer[: self.buffer.rfind(b"\n") + 1])
        context = self.context if self.overlong is None else self._framing.after_hole(self.context)
        self._whole_bytes, self.lines, _ = self._framing.whole(data, context)
        self._ends_open_lines = False

    def _end_open_lines(self) -> None:
        """End open lines, because no more parts can be added to them."""
        self._ends_open_lines = self._framing.has_parts
        self._whole_bytes = self.buffer.rfind(b"\n") + 1
        self.lines = _newlines(bytes(self.buffer))

    def _drop_overlong_line(self) -> None:
        """Drop the bytes of the line at the beginning of the buffer, which is too long for a request. `overlong` keeps
        its ends."""
        self.overlong = self.overlong or Overlong()
        end = self.buffer.find(b"\n")
        part = bytes(self.buffer if end < 0 else self.buffer[:end])
        self.overlong.add(part)
        if self._hasher is not None:
            # The identity follows when the whole line is handed on.
            self._hasher.add(part)
        del self.buffer[: len(part)]


def _newlines(data: bytes) -> int:
    if len(data) < _FEW_BYTES:
        return data.count(b"\n")
    # bytes.count takes six times as long.
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))
