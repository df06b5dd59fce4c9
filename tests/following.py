"""A log that is rotated in every way, and one who follows it."""

import hashlib
import os
import shutil
from itertools import count
from pathlib import Path

from log_processor.chunk import DIGEST_BYTES
from log_processor.collector import Collector
from log_processor.followed_logs import FollowedLogs
from log_processor.log_files import LogFiles
from log_processor.spool import Spool
from request_log.line import MAX_LINE_BYTES
from storage.contract import Gap, LedgerRow, Position

Line = bytes | tuple[int, str]
"""A line without its newline; of one that is too long, length and hash."""


def line_of(data: bytes) -> Line:
    """A line as it is compared."""
    if len(data) <= MAX_LINE_BYTES:
        return data
    return len(data), hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def lines_of(data: bytes, generation: int, start: int = 0) -> dict[Position, Line]:
    """The lines in `data`, which begins at the offset `start`, each at its position. The last one needs no newline."""
    lines = {}
    for line in data.removesuffix(b"\n").split(b"\n") if data else []:
        lines[Position(generation, start)] = line_of(line)
        start += len(line) + 1
    return lines


class Rotating:
    """What a writer and logrotate do to the log at `path`.

    Files have times on a clock of their own: two steps of a test are closer together than two of a real clock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seconds = count(1_800_000_000)

    def write(self, data: bytes, path: Path | None = None) -> None:
        """Append to the log, or to one of its other files."""
        path = path or self.path
        with path.open("ab") as file:
            file.write(data)
        self.touch(path)

    def replace(self, data: bytes) -> None:
        """Truncate the log and write."""
        self.path.write_bytes(data)
        self.touch(self.path)

    def touch(self, path: Path | int) -> None:
        """Set the time of the file, or of its descriptor."""
        second = next(self._seconds)
        os.utime(path, (second, second))

    def rotated(self, number: int) -> Path:
        """The name of the rotated file."""
        return Path(f"{self.path}.{number}")

    def rename(self) -> None:
        """`log` -> `log.1` -> `log.2` ...; there is no log after that."""
        self._make_room(1)
        self.path.rename(self.rotated(1))

    def copytruncate(self) -> None:
        """Copy the log to `log.1`, and empty it."""
        self.copy()
        self.replace(b"")

    def copy(self) -> None:
        """Copy the log to `log.1`."""
        self._make_room(1)
        shutil.copyfile(self.path, self.rotated(1))
        self.touch(self.rotated(1))

    def put_a_copy_in_its_place(self) -> None:
        """The log becomes another file with the same bytes."""
        copy = self.path.with_name("copy")
        shutil.copyfile(self.path, copy)
        self.touch(copy)
        copy.rename(self.path)

    def _make_room(self, number: int) -> None:
        for suffix in ("", ".gz"):
            name = Path(f"{self.rotated(number)}{suffix}")
            if name.exists():
                self._make_room(number + 1)
                name.rename(f"{self.rotated(number + 1)}{suffix}")


START = Position(0, 0)


class Follower:
    """Follows the log from a place on, and keeps what it was handed."""

    def __init__(self, path: Path, position: Position = START, fingerprint: str = "") -> None:
        ledger = [LedgerRow("log", str(path), position, position, fingerprint)] if fingerprint else []
        self._logs = FollowedLogs(LogFiles([path], {path: "log"}), Spool(path.parent / "spool"), ledger, look_seconds=1)
        (self._log,) = self._logs.discover(now=0)
        self.tail = self._log.tail
        self._stored = self.tail.fingerprint
        self._collector = Collector(self._logs, max_lines=3, max_wait=1, is_stored=self._is_stored)
        self._now = 0.0
        self.lines: dict[Position, Line] = {}
        self.gaps: list[Gap] = []
        self.places: list[tuple[Position, str]] = [self.place]
        """Where it was after each chunk: position and fingerprint."""

    @property
    def place(self) -> tuple[Position, str]:
        return self.tail.position, self.tail.fingerprint

    def step(self) -> dict[Position, Line]:
        """Collect once; the lines that came."""
        self._now += 0.4
        lines: dict[Position, Line] = {}
        self._logs.to_read[self._log] = None
        for chunk in self._collector.collect(self._now):
            begin = 0
            for part in chunk.parts:
                self.gaps += part.gaps
                self.places.append((part.end, part.fingerprint))
                self._stored = part.fingerprint
                if part.overlong is not None:
                    lines[part.start] = (part.overlong.length, part.overlong.digest.hexdigest())
                lines |= lines_of(chunk.lines[begin : begin + part.length], *part.start)
                begin += part.length
        if self.place != self.places[-1]:
            self.places.append(self.place)
        assert not lines.keys() & self.lines.keys(), "handed on twice"
        self.lines |= lines
        return lines

    def drain(self) -> "Follower":
        """Collect until nothing more comes."""
        idle = 0
        while idle < 6:
            before = self.place
            self.step()
            idle = idle + 1 if self.place == before else 0
        return self

    def close(self) -> None:
        self._logs.close()

    def _is_stored(self, _log: str, fingerprint: str) -> bool:
        return fingerprint == self._stored
