"""A log written at thousands of lines a second, with bad lines among the good, and rotated in every way at random."""

import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from lines import CUSTOMERS, valid_lines
from storage.contract import Position

TICK_SECONDS = 0.02
# The processor leaves a renamed file that was quiet for a second: a writer that is late must not write to it any more.
LONGEST_ON_RENAMED_SECONDS = 0.7
LONGEST_HALF_LINE_SECONDS = 0.4
SECONDS_BETWEEN_ROTATIONS = 4.0
WAIT_UNTIL_READ_SECONDS = 10.0
# Read files go away, but for so many; and while so many wait to be read, there is no further rotation.
ROTATED_KEPT = 3
LONGEST_BACKLOG = 5
# Rows of counts that change all the time, and many that change seldom: what is wrong with these is not soon put right.
CUSTOMER_NAMES = [*CUSTOMERS * 250, *(f"customer_{n}" for n in range(1_000))]
DAYS = 6


class TortureLog:
    """The log at `path`. No byte of it is ever lost: each file of it is somewhere in the same folder."""

    def __init__(
        self, path: Path, rate: int, dated: bool, read: Callable[[], Position | None], pick: random.Random
    ) -> None:
        """`rate`: lines a second. `dated`: whether rotated files are named by their time, not by their number. `read`:
        through which position the log was read and stored; None before anything was."""
        self.path = path
        self.rotations: Counter[str] = Counter()
        self._rate = rate
        self._dated = dated
        self._read = read
        self._pick = pick
        self._archive = path.parent / "archive"
        self._archive.mkdir()
        self._rotated: dict[int, Path] = {}
        """Generation -> where its file is, beside the log."""
        self._archived: dict[int, Path] = {}
        self._file = self._open()

    def files(self) -> list[Path]:
        """The file of each generation, in order."""
        return [path for _, path in sorted({**self._archived, **self._rotated, self._generation: self.path}.items())]

    def end(self) -> Position:
        """Where the log ends."""
        return Position(self._generation, self.path.stat().st_size)

    def write_until(self, stop: threading.Event) -> None:
        """Write and rotate until told to stop; ends with a whole line."""
        rotations: list[tuple[Callable[[], None], int]] = [
            (self._rename, 10),
            (self._rename_several_times, 3),
            (self._copy_and_truncate, 5),
            (self._truncate_when_read, 1),
            (self._delete_when_read, 1),
        ]
        actions, weights = zip(*rotations, strict=True)
        next_rotation = self._next_rotation()
        while not stop.is_set():
            self._tick()
            if time.monotonic() >= next_rotation:
                read = self._read()
                # What was rotated before the processor began is not its business.
                if read is not None and read.generation >= self._generation - LONGEST_BACKLOG:
                    self._pick.choices(actions, weights)[0]()
                    self._archive_before(read.generation)
                next_rotation = self._next_rotation()
        self._write(valid_lines(1))
        os.close(self._file)

    @property
    def _generation(self) -> int:
        return len(self._archived) + len(self._rotated)

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
        time.sleep(max(0.0, due - time.monotonic()))

    def _lines(self, count: int) -> bytes:
        lines = valid_lines(count, DAYS, self._pick.randrange(1 << 30), CUSTOMER_NAMES).splitlines(keepends=True)
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
        while data:
            data = data[os.write(self._file, data) :]

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def _make_room(self) -> Path:
        """The name that the current file is to get when it is rotated."""
        if self._dated:
            now = time.time_ns()
            seconds = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 10**9))
            return self.path.with_name(f"{self.path.name}-{seconds}.{now % 10**9:09d}")
        # As logrotate does it: the oldest first.
        for place, generation in enumerate(sorted(self._rotated)):
            number = len(self._rotated) - place
            older = self.path.with_name(f"{self.path.name}.{number + 1}")
            self._rotated[generation] = self._rotated[generation].rename(older)
        return self.path.with_name(f"{self.path.name}.1")

    def _rename(self) -> None:
        """By rename and create; the writer goes on with the renamed file for a moment."""
        self.rotations["rename and create"] += 1
        half, rest = self._cut(self._lines(10))
        last = self._lines(2)
        self._write(half)
        rotated = self.path.rename(self._make_room())
        until = time.monotonic() + self._pick.uniform(0, LONGEST_ON_RENAMED_SECONDS)
        if self._pick.random() < 0.5:
            # The new file is there before the writer comes to it.
            os.close(self._open())
        lines = rest
        while time.monotonic() < until:
            self._write(lines)
            lines = self._lines(int(self._rate * TICK_SECONDS))
            time.sleep(TICK_SECONDS)
        if self._pick.random() < 0.5:
            # Nothing will end this line.
            self._write(self._cut(last)[0])
        self._rotated[self._generation] = rotated
        self._reopen()

    def _rename_several_times(self) -> None:
        """At once, so that the processor sees only the last."""
        for _ in range(self._pick.randrange(2, 5)):
            self.rotations["rename and create, several at once"] += 1
            self._rotated[self._generation] = self.path.rename(self._make_room())
            self._reopen()
            self._write(self._lines(self._pick.randrange(1, 50)))

    def _copy_and_truncate(self) -> None:
        """Nothing is written meanwhile: it would be lost, by the nature of it."""
        self.rotations["copytruncate"] += 1
        if self._pick.random() < 0.5:
            half, rest = self._cut(self._lines(10))
        else:
            half = rest = b""
        self._write(half)
        copy = self._make_room()
        shutil.copyfile(self.path, copy)
        os.truncate(self.path, 0)
        self._rotated[self._generation] = copy
        self._write(rest)

    def _truncate_when_read(self) -> None:
        """Without a copy beside the log."""
        if self._all_is_read():
            self.rotations["truncate without a copy, all read"] += 1
            shutil.copyfile(self.path, self._archive_name(self._generation))
            os.truncate(self.path, 0)
            self._archive_current()

    def _delete_when_read(self) -> None:
        """It is not deleted, but moved where the processor cannot know of it."""
        if self._all_is_read():
            self.rotations["delete and create, all read"] += 1
            self.path.rename(self._archive_name(self._generation))
            self._archive_current()
            self._reopen()

    def _archive_current(self) -> None:
        generation = self._generation
        # All before was read as well.
        for older, path in self._rotated.items():
            self._archived[older] = path.rename(self._archive_name(older))
        self._rotated.clear()
        self._archived[generation] = self._archive_name(generation)

    def _archive_before(self, generation: int) -> None:
        for old in sorted(self._rotated)[:-ROTATED_KEPT]:
            if old < generation:
                self._archived[old] = self._rotated.pop(old).rename(self._archive_name(old))

    def _archive_name(self, generation: int) -> Path:
        return self._archive / f"generation_{generation}"

    def _all_is_read(self) -> bool:
        deadline = time.monotonic() + WAIT_UNTIL_READ_SECONDS
        while self._read() != self.end():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _reopen(self) -> None:
        os.close(self._file)
        self._file = self._open()
