"""A log written at thousands of lines a second, with bad lines among the good, and rotated by a scheme."""

import gzip
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lines import CUSTOMERS, valid_lines
from torture.scheme import Scheme
from until import wait_until

TICK_SECONDS = 0.02
LONGEST_HALF_LINE_SECONDS = 0.4
SECONDS_BETWEEN_ROTATIONS = 4.0
WAIT_UNTIL_READ_SECONDS = 10.0
# Read files go away, but for so many; and while so many are there, there is no further rotation.
ROTATED_KEPT = 3
MOST_ROTATED = 9
# How long a late writer goes on with a renamed file; some are late by more than a minute, after which the processor has
# left the file.
LATE_SECONDS = 8.0
VERY_LATE_SECONDS = 70.0
# A file with a hole is no longer than this: it is unpacked with its zeros.
MOST_BYTES_WITH_HOLES = 32 << 20
COMPRESSED_AT_ONCE = 256 << 10
# Rows of counts that change all the time, and many that change seldom: what is wrong with these is not soon put right.
BUSY_CUSTOMERS = CUSTOMERS * 250
SELDOM_CUSTOMERS = 1_000
DAYS = 6


@dataclass(frozen=True)
class Stored:
    """What is committed of a log."""

    read: int = 0
    """Lines."""
    live: Mapping[int, int] = field(default_factory=dict)
    """Inode of the file at the log's path -> the offset through which it is read."""
    others: Mapping[int, int] = field(default_factory=dict)
    """The same of the files that have left the log's path."""


class File:
    """A file of the log: all that is written to it is also written to `truth`, which the processor does not know."""

    def __init__(self, path: Path, truth: Path) -> None:
        self.path = path
        self.truth = truth
        self.is_half = False
        """Whether it ends in half a line that nobody will end."""
        self.late: Writer | None = None
        """Who goes on writing to it."""
        self.text_size = -1
        """Bytes of its text, where it is compressed."""

    def size(self) -> int:
        """Bytes of its text."""
        return self.path.stat().st_size if self.text_size < 0 else self.text_size


class Writer:
    """Writes to one file, and goes on there when the file is renamed."""

    def __init__(self, file: File, flags: int) -> None:
        self.file = file
        self._file = os.open(file.path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
        self._truth = os.open(file.truth, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.rest = b""
        """Of a line of which the first half is written."""
        self.until = 0.0
        """Until when it goes on with a renamed file, monotonic seconds."""
        self.is_busy = False
        """Whether it writes lines meanwhile."""

    def write(self, data: bytes) -> None:
        """Write all of it."""
        for file in (self._file, self._truth):
            left = data
            while left:
                left = left[os.write(file, left) :]

    def rewind(self) -> None:
        """Go on at the file's beginning."""
        os.lseek(self._file, 0, os.SEEK_SET)

    def begin_anew(self, file: File) -> None:
        """The file was emptied."""
        self.file = file
        os.close(self._truth)
        self._truth = os.open(file.truth, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
        os.close(self._truth)


class TortureLog:
    """The log at `path`. What is destroyed of it was read before."""

    def __init__(
        self,
        path: Path,
        scheme: Scheme,
        rate: int,
        stored: Callable[[], Stored],
        pick: random.Random,
        seldom_customers: int = SELDOM_CUSTOMERS,
    ) -> None:
        """`rate`: lines a second. `stored`: what the latest look at the store has found. `seldom_customers`: so many
        have a line now and then."""
        self.path = path
        self.scheme = scheme
        self.rotations: Counter[str] = Counter()
        self.may_have_gaps = 0
        """So many times what was read went away where the processor may not have seen it."""
        self._rate = rate
        self._stored = stored
        self._pick = pick
        self._customers = [*BUSY_CUSTOMERS, *(f"customer_{n}" for n in range(seldom_customers))]
        self._truth = path.parent / f"truth_{path.name}"
        self._truth.mkdir()
        scheme.path(path, 0).parent.mkdir(exist_ok=True)
        self._flags = 0 if scheme.has_holes else os.O_APPEND
        self._files = 0
        self._rotated: list[File] = []
        """Those that are there, the oldest first."""
        self._numbers = 0
        self._late: list[Writer] = []
        self._compressing: list[Iterator[None]] = []
        self._writer = self._opened()

    def truth(self) -> list[Path]:
        """What was written to each of its files."""
        return sorted(self._truth.iterdir())

    def write_until(self, stop: threading.Event) -> None:
        """Write and rotate until told to stop; ends with whole lines."""
        rotate = self._copy_and_truncate if self.scheme.copies else self._rename
        rotations: list[tuple[Callable[[], None], int]] = [
            (rotate, 12),
            (lambda: self._several(rotate), 3),
            (self._truncate_when_read, 1),
            (self._delete_when_read, 1),
        ]
        actions, weights = zip(*rotations, strict=True)
        next_rotation = self._next_rotation()
        while not stop.is_set():
            self._tick()
            if time.monotonic() >= next_rotation:
                # What was rotated before the processor began is not its business.
                if self._stored().read and self._delete_read() < MOST_ROTATED:
                    self._pick.choices(actions, weights)[0]()
                next_rotation = self._next_rotation()
        self._finish()

    def until_folder_is_known(self) -> None:
        """Show the processor, which follows, the folder of the rotated files. It cannot know of it before."""
        self._write(self._lines(10))
        wait_until(lambda: self._stored().read, f"{self.path} is read")
        self._rename()
        inode = self._rotated[0].path.stat().st_ino
        wait_until(lambda: inode in self._stored().others, f"{self._rotated[0].path} is noticed")

    def _next_rotation(self) -> float:
        return time.monotonic() + self._pick.expovariate(1 / SECONDS_BETWEEN_ROTATIONS)

    def _tick(self) -> None:
        """A tick's lines; now and then the last of them in two pieces."""
        due = time.monotonic() + TICK_SECONDS
        lines = self._lines(int(self._rate * TICK_SECONDS))
        if self._pick.random() < 0.03:
            half, lines = self._cut(lines)
            self._write(half)
            time.sleep(self._pick.uniform(0, LONGEST_HALF_LINE_SECONDS))
        self._write(lines)
        for writer in list(self._late):
            self._write_late(writer)
        for step in list(self._compressing):
            if next(step, self) is self:
                self._compressing.remove(step)
        time.sleep(max(0.0, due - time.monotonic()))

    def _lines(self, count: int) -> bytes:
        lines = valid_lines(count, DAYS, self._pick.randrange(1 << 30), self._customers).splitlines(keepends=True)
        for place in range(len(lines)):
            chance = self._pick.random()
            if chance < 0.02:
                lines[place] = self._bad_line()
            elif chance < 0.05:
                lines[place] = lines[place].replace(b"\n", b"\r\n")
        return b"".join(lines)

    def _cut(self, lines: bytes) -> tuple[bytes, bytes]:
        """Cut lines in two somewhere near their end, mostly in the middle of a line."""
        cut = max(0, len(lines) - self._pick.randrange(60))
        return lines[:cut], lines[cut:]

    def _bad_line(self) -> bytes:
        number = self._pick.randrange(10**6)
        day = time.strftime("%Y-%m-%d", time.gmtime())
        bad = [
            b"",
            b"bad line %d" % number,
            f"{day} 24:00:00 cust_{number} /path 200 0.1".encode(),
            f"{day} 12:00:00 cust_{number} /path 600 0.1".encode(),
            f"{day} 12:00:00 cust_{number} /path 200 1e3".encode(),
            f"{day} 12:00:00 {'c' * 251}{number:06d} /path 200 0.1".encode(),
            f"{day} 12:00:00 cust_\x07{number} /path 200 0.1".encode(),
            f"{day} 12:00:00 cust_\udcff{number} /path 200 0.1".encode(errors="surrogateescape"),
            f"1999-12-31 12:00:00 cust_{number} /path 200 0.1".encode(),
        ]
        if self._pick.random() < 0.01:
            return f"{day} 12:00:00 cust_1 /{'x' * self._pick.choice([66_000, 400_000])} 200 0.1\n".encode()
        return self._pick.choice(bad) + self._pick.choice([b"\n", b"\r\n"])

    def _write(self, data: bytes) -> None:
        self._writer.write(data)

    def _next_file(self) -> File:
        self._files += 1
        return File(self.path, self._truth / f"{self._files:06}")

    def _opened(self) -> Writer:
        """Who writes to the log's file, which begins with a line that no other file has."""
        writer = Writer(self._next_file(), self._flags)
        writer.write(self._first_line())
        return writer

    def _first_line(self) -> bytes:
        return valid_lines(1, DAYS, self._pick.randrange(1 << 30), [f"{self.path.name}_{self._files}"])

    def _make_room(self) -> Path:
        """The path that the current file is to get when it is rotated."""
        self._compress_all()
        if self.scheme.is_delayed:
            for file in self._rotated:
                if file.late is None:
                    self._compress(file)
            self._compress_all()
        if self.scheme.naming == "numbered":
            # As logrotate does it: the oldest first.
            for place, file in enumerate(self._rotated):
                self._move(file, len(self._rotated) - place)
            return self.scheme.path(self.path, 0)
        if self.scheme.naming == "sliding":
            return self.scheme.path(self.path, len(self._rotated))
        self._numbers += 1
        return self.scheme.path(self.path, self._numbers - 1)

    def _move(self, file: File, number: int) -> None:
        path = self.scheme.path(self.path, number)
        if file.text_size >= 0:
            path = path.with_name(f"{path.name}.gz")
        file.path = file.path.rename(path)

    def _rename(self) -> None:
        """By rename and create; the writer may go on with the renamed file for a while."""
        self.rotations["rename and create"] += 1
        writer, file = self._writer, self._writer.file
        is_late = self.scheme.may_be_late and self._pick.random() < 0.5
        # Nobody ends half a line where there is no late writer. It is a line when the file is compressed.
        if is_late or (self.scheme.is_compressed and self._pick.random() < 0.3):
            half, writer.rest = self._cut(self._lines(10))
            writer.write(half)
        file.path = self.path.rename(self._make_room())
        self._rotated.append(file)
        if self._pick.random() < 0.5:
            # The new file is there before the writer comes to it.
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644))
            time.sleep(self._pick.uniform(0, LONGEST_HALF_LINE_SECONDS))
        self._writer = self._opened()
        if is_late:
            seconds = VERY_LATE_SECONDS if self._pick.random() < 0.05 else self._pick.uniform(0, LATE_SECONDS)
            writer.until = time.monotonic() + seconds
            writer.is_busy = self._pick.random() < 0.5
            file.late = writer
            self._late.append(writer)
        else:
            self._leave(writer)
        if self.scheme.is_compressed and not self.scheme.is_delayed:
            self._compress(file)

    def _write_late(self, writer: Writer) -> None:
        """What a late writer writes in a tick."""
        if time.monotonic() >= writer.until:
            self._end_late(writer)
        elif writer.is_busy:
            half, rest = self._cut(writer.rest + self._lines(max(1, int(self._rate * TICK_SECONDS / 10))))
            writer.write(half)
            writer.rest = rest

    def _end_late(self, writer: Writer) -> None:
        if not self.scheme.is_compressed or self._pick.random() < 0.7:
            writer.write(writer.rest)
            writer.rest = b""
        self._late.remove(writer)
        writer.file.late = None
        self._leave(writer)

    def _leave(self, writer: Writer) -> None:
        writer.file.is_half = bool(writer.rest)
        writer.close()

    def _several(self, rotate: Callable[[], None]) -> None:
        """At once, so that the processor sees only the last."""
        for _ in range(self._pick.randrange(2, 5)):
            rotate()
            self._write(self._lines(self._pick.randrange(1, 50)))

    def _copy_and_truncate(self) -> None:
        """Nothing is written meanwhile: it would be lost, by the nature of it."""
        self.rotations["copytruncate"] += 1
        file = self._writer.file
        # Nobody ends half a line of the copy. It is a line when the copy is compressed.
        if self.scheme.is_compressed and self._pick.random() < 0.5:
            half, rest = self._cut(self._lines(10))
            file.is_half = not half.endswith(b"\n")
        else:
            half = rest = b""
        self._write(half)
        file.path = self._make_room()
        _copy(self.path, file.path)
        self._empty()
        self._write(rest)
        self._rotated.append(file)
        if self.scheme.is_compressed and not self.scheme.is_delayed:
            self._compress(file)

    def _empty(self) -> None:
        if self.path.stat().st_size > MOST_BYTES_WITH_HOLES:
            self._writer.rewind()
        os.truncate(self.path, 0)
        self._writer.begin_anew(self._next_file())
        self._write(self._first_line())

    def _compress_all(self) -> None:
        for step in self._compressing:
            for _ in step:
                pass
        self._compressing.clear()

    def _compress(self, file: File) -> None:
        """As gzip does it, while the log is written on."""
        if file.text_size >= 0:
            return

        def steps() -> Iterator[None]:
            packed = file.path.with_name(f"{file.path.name}.gz")
            with file.path.open("rb") as plain, gzip.open(packed, "wb", 1) as text:
                while block := plain.read(COMPRESSED_AT_ONCE):
                    text.write(block)
                    yield
            file.text_size = file.size()
            file.path.unlink()
            file.path = packed

        self._compressing.append(steps())

    def _truncate_when_read(self) -> None:
        """Without a copy."""
        if self._all_is_read():
            self.rotations["truncate without a copy, all read"] += 1
            self.may_have_gaps += 1
            self._empty()

    def _delete_when_read(self) -> None:
        if self._all_is_read():
            self.rotations["delete and create, all read"] += 1
            self.may_have_gaps += 1
            self.path.unlink()
            self._writer.close()
            self._writer = self._opened()

    def _all_is_read(self) -> bool:
        found = self.path.stat()
        deadline = time.monotonic() + WAIT_UNTIL_READ_SECONDS
        while self._stored().live.get(found.st_ino) != found.st_size:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _delete_read(self) -> int:
        """Delete the oldest files that were read; how many are left."""
        self._compress_all()
        others = self._stored().others
        while len(self._rotated) > ROTATED_KEPT:
            oldest = self._rotated[0]
            if oldest.late is not None or (oldest.is_half and oldest.text_size < 0):
                break
            if others.get(oldest.path.stat().st_ino) != oldest.size():
                break
            oldest.path.unlink()
            del self._rotated[0]
            if self.scheme.naming == "sliding":
                for place, file in enumerate(self._rotated):
                    self._move(file, place)
        return len(self._rotated)

    def _finish(self) -> None:
        """Half a line that nobody ends is one when its file is compressed."""
        for writer in list(self._late):
            self._end_late(writer)
        self._compress_all()
        for file in self._rotated:
            if file.is_half:
                self._compress(file)
        self._compress_all()
        self._write(valid_lines(1))
        self._writer.close()


def _copy(path: Path, copy: Path) -> None:
    """A hole is not written out, as cp and logrotate do not."""
    with path.open("rb") as file, copy.open("wb") as to:
        begin = os.lseek(file.fileno(), 0, os.SEEK_DATA)
        file.seek(begin)
        to.seek(begin)
        shutil.copyfileobj(file, to)
