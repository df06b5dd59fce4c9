"""A follower of logs that keeps the lines it is handed, and a log whose files a test can change."""

import gzip
import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hypothesis import strategies as st
from msgspec import structs

from log_processor.counting.logs import Logs
from log_processor.following.clock import Clock
from log_processor.following.collector import Collector
from log_processor.following.followed_logs import FollowedLogs
from log_processor.following.log_files import LogFiles
from log_processor.parsing.batch import BatchPart
from log_processor.parsing.chunk import DIGEST_BYTES, Chunk
from log_processor.spool import Spool
from request_log.formats import simple
from request_log.framing.framed import Framed
from request_log.framing.protocol import PLAIN, Framing
from request_log.line import MAX_LINE_BYTES
from storage.keys import FileKey
from storage.logs import FileRow, Gap, LedgerRow

# Seconds that pass in a step.
STEP_SECONDS = 0.4
# Seconds, each longer than a wait of `following.family`: for a copy, until a quiet file is closed, for half a line.
GRACE, QUIET, DAY = 3.0, 65.0, 90_000.0

Line = bytes | tuple[int, str]
"""A line without its newline; length and hash of a line that is too long."""
Place = tuple[int, int]
"""Generation of a file, and an offset in it."""


def line_of(data: bytes) -> Line:
    """A line in the form in which tests compare it."""
    if len(data) <= MAX_LINE_BYTES:
        return data
    return len(data), hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def lines_of(data: bytes, number: int = 0, start: int = 0) -> dict[Place, Line]:
    """The lines in `data`, which begins at the offset `start` of a file. The last one needs no newline."""
    lines: dict[Place, Line] = {}
    for line in data.removesuffix(b"\n").split(b"\n") if data else []:
        lines[number, start] = line_of(line)
        start += len(line) + 1
    return lines


def lines_in(data: bytes, framing: Framing, number: int = 0, start: int = 0, context: str = "") -> dict[Place, Line]:
    """The lines that a framing finds in `data`, as parsers get them; rejected lines with their wrapper."""
    lines: dict[Place, Line] = {}
    for content in Framed(framing, lambda _: simple.parse).contents(data, start, context):
        texts = content.data.split(b"\n")[:-1]
        lines |= {
            (number, start + place): line_of(line) for place, line in zip(content.places.tolist(), texts, strict=True)
        }
        lines |= {(number, start + line.offset): line_of(line.line) for line in content.rejected}
    return lines


class Time:
    """A time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.clock = Clock(lambda: self.now, lambda: self.now)


class Log:
    """The log at `path`, whose files a test writes and rotates. The test's time sets the times of the files."""

    def __init__(self, path: Path, time: Time) -> None:
        self.path = path
        self.time = time

    def at(self, name: str) -> Path:
        """The file of this name beside the log; the log itself if the name is empty."""
        return self.path.parent / name if name else self.path

    def write(self, data: bytes, name: str = "") -> None:
        """Append to a file."""
        with self.at(name).open("ab") as file:
            file.write(data)
        self._touch(self.at(name))

    def replace(self, data: bytes, name: str = "") -> None:
        """Truncate a file and write."""
        self.at(name).write_bytes(data)
        self._touch(self.at(name))

    def rename(self, to: str, name: str = "") -> None:
        """Rename a file."""
        self.at(to).parent.mkdir(exist_ok=True)
        self.at(name).rename(self.at(to))

    def shift(self) -> None:
        """Rename `log` -> `log.1` -> `log.2` ... After that there is no log."""
        there = [number for number in range(1, 100) if self.at(f"{self.path.name}.{number}").exists()]
        for number in reversed(there):
            self.rename(f"{self.path.name}.{number + 1}", f"{self.path.name}.{number}")
        self.rename(f"{self.path.name}.1")

    def copy(self, to: str, name: str = "") -> None:
        """Copy a file."""
        shutil.copyfile(self.at(name), self.at(to))
        self._touch(self.at(to))

    def copytruncate(self, to: str) -> None:
        """Copy the log, and empty it."""
        self.copy(to)
        self.replace(b"")

    def put_a_copy_in_its_place(self, name: str = "") -> None:
        """Replace a file by a copy with another inode, as rsync and editors do."""
        self.copy("copy", name)
        self.rename(name or self.path.name, "copy")

    def compress(self, name: str, removes: bool = True) -> None:
        """Compress a file as gzip does. `removes`: whether the original is deleted."""
        self.at(f"{name}.gz").write_bytes(gzip.compress(self.at(name).read_bytes()))
        self._touch(self.at(f"{name}.gz"))
        if removes:
            self.at(name).unlink()

    def _touch(self, path: Path) -> None:
        self.time.now += 0.01
        os.utime(path, (self.time.now, self.time.now))


class Later(Executor):
    """An executor that runs its tasks when it is called."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def __call__(self) -> None:
        for future, work in self.waiting:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except OSError as error:
                    future.set_exception(error)
        self.waiting.clear()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self()


@dataclass
class Stored:
    """The content of a store: how far the log and its files are read, and the lines."""

    logs: dict[str, LedgerRow] = field(default_factory=dict)
    files: dict[FileKey, FileRow] = field(default_factory=dict)
    lines: dict[Place, Line] = field(default_factory=dict)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The gaps of the log."""
        return tuple(gap for row in self.logs.values() for gap in row.gaps)


class Follower:
    """Follows the log at a path, or the logs that a glob finds there, from where the store is."""

    def __init__(
        self,
        path: Path,
        time: Time,
        stored: Stored | None = None,
        start: Literal["end", "beginning"] = "beginning",
        scratch: Path | None = None,
        framing: Framing = PLAIN,
    ) -> None:
        scratch = scratch or path.parent / "spool"
        self.stored = stored or Stored()
        self.time = time
        self.thread = Later()
        self._lines: dict[Place, Line] = {}
        """Lines that are not committed yet."""
        self._rows = Logs(self.stored.logs.values(), self.stored.files.values(), {})
        self.logs = FollowedLogs(
            LogFiles([path], {} if "*" in path.name else {path: "log"}),
            Spool(scratch),
            self._rows.committed,
            self._rows.files,
            scratch,
            look_seconds=0,
            clock=time.clock,
            thread=self.thread,
            framing=framing,
        )
        self._path = path
        self._framing = framing
        self._collector = Collector(self.logs, max_lines=3, max_wait=1, is_begun=lambda key: key in self._rows.files)
        new = self.logs.begin(start)
        for row in new:
            self._rows.begin(row)
        if new:
            self._keep([self._collector.news()])
            self.commit()

    @property
    def lines(self) -> dict[Place, Line]:
        """All lines that were handed on, committed or not."""
        return self.stored.lines | self._lines

    @property
    def texts(self) -> list[Line]:
        """The lines without their places, in the order of the places."""
        return [line for _, line in sorted(self.lines.items())]

    @property
    def gaps(self) -> list[str]:
        """The reasons of the gaps, committed or not."""
        return [gap.reason for row in self._rows.changed()[0] for gap in row.gaps] or [
            gap.reason for gap in self.stored.gaps
        ]

    @property
    def is_undecided(self) -> bool:
        """Whether matching waits for a file that may still come."""
        return any(family._undecided_since is not None for family in self.logs._families.values())

    def look(self) -> None:
        """Let the thread do its work, and look at the log's files, as before each step."""
        self.thread()
        self.logs.discover(self.time.now)
        self.logs.look(self.time.now)
        self.logs.look_at_files()

    def step(self, seconds: float = STEP_SECONDS) -> None:
        """Let time pass, look, and collect once."""
        self.time.now += seconds
        self.look()
        self._keep(self._collector.collect(self.time.now))

    def hand_on(self) -> None:
        """Collect the lines in the buffers, without reading."""
        self._keep(self._collector.flush())

    def commit(self) -> None:
        """Put the lines that were handed on into the store."""
        rows, files = self._rows.changed()
        self._rows.commit(rows, files)
        self.stored = Stored(dict(self._rows.committed), dict(self._rows.files), self.lines)
        self._lines = {}

    def successor(self) -> "Follower":
        """End as if killed, and return a follower that goes on from the store."""
        self.close()
        return type(self)(self._path, self.time, self.stored, framing=self._framing)

    def drain(self) -> "Follower":
        """Step and commit until no more lines come."""
        idle = 0
        while idle < 12:
            self.step()
            idle = 0 if self._rows.have_changed or self.thread.waiting else idle + 1
            self.commit()
        return self

    def pass_time(self, seconds: float) -> "Follower":
        """Drain, let `seconds` pass, and drain again."""
        self.drain()
        self.time.now += seconds
        return self.drain()

    def lines_of_part(self, data: bytes, number: int, start: int, context: str) -> dict[Place, Line]:
        """The lines of a part of a file."""
        return lines_in(data, self._framing, number, start, context)

    def close(self) -> None:
        self.logs.close()

    def _keep(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            begin = 0
            for part in chunk.parts:
                data = chunk.lines[begin : begin + part.length]
                lines = self.lines_of_part(data, *part.start, part.context)
                begin += part.length
                if part.overlong is not None:
                    lines = {part.start: (part.overlong.length, part.overlong.digest.hexdigest())}
                assert not lines.keys() & self.lines.keys(), "handed on twice"
                self._lines |= lines
                self._rows.take(BatchPart(**structs.asdict(part), stored=len(lines)))
            assert begin == len(chunk.lines)


def write_and_follow(draw: st.DataObject, log: Log, follower: Follower, data: bytes) -> Follower:
    """Write the bytes in pieces of any length. After each piece the follower steps, commits or is killed.

    Returns the last of the followers.
    """
    while data:
        length = draw.draw(st.integers(1, len(data)))
        log.write(data[:length])
        data = data[length:]
        for action in draw.draw(st.lists(st.sampled_from(["step", "commit", "die"]), max_size=5)):
            if action == "step":
                follower.step()
            elif action == "commit":
                follower.commit()
            else:
                follower = follower.successor()
    return follower
