"""Collecting lines in chunks: when lines are handed on, and which lines share a chunk."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from log_processor.following.collector import BEHIND_BYTES, READ_BYTES, SHARE_BYTES, Collector
from log_processor.following.followed_logs import FollowedLogs
from log_processor.following.log_files import LogFiles
from log_processor.parsing.chunk import Chunk
from log_processor.spool import Spool
from request_log.line import MAX_LINE_BYTES
from storage.keys import FileKey
from storage.logs import Position

WAIT_SECONDS = 10
MAX_LINES = 1_000
LINE = b"x" * 999 + b"\n"
SHORT = b"x" * 19 + b"\n"


class Reader:
    """Reads all logs in a folder from their beginnings, and keeps the lines that it is handed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        files = LogFiles([folder / "*.log"], {})
        self.logs = FollowedLogs(files, Spool(folder / "spool"), {}, {}, folder / "spool", look_seconds=0)
        self.stored: set[FileKey] = set()
        """Files whose generations are stored."""
        self.never_stored = ""
        """Name of a log whose generations are never stored."""
        self.collector = Collector(self.logs, MAX_LINES, WAIT_SECONDS, self._is_begun)
        self.ends: dict[FileKey, Position] = {}
        self.read: dict[str, bytes] = {}

    def _is_begun(self, file: FileKey) -> bool:
        return Path(file.log).name != self.never_stored and file in self.stored

    def step(self, now: float) -> list[Chunk]:
        """Look at all logs, and collect; return the chunks that have lines."""
        self.logs.discover(now)
        self.logs.look(now)
        self.logs.look_at_files()
        return self.keep(self.collector.collect(now))

    def keep(self, chunks: list[Chunk]) -> list[Chunk]:
        """Keep the content of these chunks; return the chunks that have lines."""
        for chunk in chunks:
            begin = 0
            for part in chunk.parts:
                file = FileKey(part.log, part.start.generation)
                assert part.start == self.ends.get(file, Position(file.generation, 0)), "the parts of a file follow"
                self.ends[file] = part.end
                self.stored.add(file)
                name = Path(part.log).name
                self.read[name] = self.read.get(name, b"") + chunk.lines[begin : begin + part.length]
                begin += part.length
            assert begin == len(chunk.lines)
        return [chunk for chunk in chunks if chunk.lines]

    def begin(self, *names: str) -> None:
        """Write a first line to each of these logs, and hand it on."""
        for name in names:
            self.append(name, SHORT)
        while set(self.read) < set(names) or not all(self.read.values()):
            self.step(0)
            self.keep(self.collector.flush())

    def append(self, name: str, lines: bytes) -> None:
        with (self.folder / name).open("ab") as log:
            log.write(lines)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.logs.close()


def logs_of(chunk: Chunk) -> list[str]:
    return [Path(part.log).name for part in chunk.parts]


def until_read(reader: Reader, size: int) -> list[Chunk]:
    """Step without letting time pass until `size` bytes are handed on; return the chunks."""
    chunks = []
    for _ in range(1_000):
        chunks += reader.step(0)
        if sum(len(chunk.lines) for chunk in chunks) >= size:
            return chunks
    raise AssertionError("nothing more comes")


def test_the_last_lines_of_a_backlog_do_not_wait_for_more_and_later_ones_do(reader: Reader) -> None:
    lines = BEHIND_BYTES // len(LINE) + 1_234
    reader.append("a.log", LINE * lines)
    until_read(reader, len(LINE) * lines)
    reader.append("a.log", LINE)
    assert not reader.step(now=1)
    assert not reader.step(now=WAIT_SECONDS)
    (chunk,) = reader.step(now=1 + WAIT_SECONDS)
    assert chunk.lines == LINE


def test_a_backlog_in_many_logs_is_one(reader: Reader) -> None:
    names = [f"{number}.log" for number in range(100)]
    content = SHORT * (2 * BEHIND_BYTES // len(SHORT) // len(names))
    for name in names:
        reader.append(name, content)
    chunks = until_read(reader, len(content) * len(names))
    assert reader.read == dict.fromkeys(names, content)
    assert chunks[0].has_backlog
    assert not chunks[-1].has_backlog
    # Each chunk except the last is full, so it has lines of a few logs.
    assert {chunk.lines.count(b"\n") for chunk in chunks[:-1]} == {MAX_LINES}
    assert max(len(chunk.parts) for chunk in chunks) <= 1 + MAX_LINES * len(SHORT) // SHARE_BYTES + 1


def test_a_part_has_no_more_bytes_than_a_record_may_have(reader: Reader) -> None:
    most = 384 << 10
    reader.collector = Collector(reader.logs, 1_000_000, WAIT_SECONDS, reader._is_begun, most_bytes=most)
    reader.append("a.log", (b"x" * (MAX_LINE_BYTES - 1) + b"\n") * 40 + SHORT * 100_000)
    chunks = until_read(reader, 40 * MAX_LINE_BYTES + 100_000 * len(SHORT) - most)
    assert max(part.length for chunk in chunks for part in chunk.parts) <= 2 * most + MAX_LINE_BYTES


def test_of_many_logs_little_is_read_ahead(reader: Reader) -> None:
    names = [f"{number}.log" for number in range(200)]
    for name in names:
        reader.append(name, LINE * 200)
    most = 0
    while len(reader.read) < len(names) or sum(map(len, reader.read.values())) < 200 * 200 * len(LINE):
        reader.step(0)
        most = max(most, sum(len(file.reader.buffer) for file in reader.logs.files() if file.reader))
    assert most < 2 * READ_BYTES


def test_a_log_with_few_lines_does_not_wait_until_anothers_backlog_is_read(reader: Reader) -> None:
    reader.append("a.log", SHORT * (4 * READ_BYTES // len(SHORT)))
    reader.append("z.log", SHORT)
    chunks = until_read(reader, 2 * READ_BYTES)
    assert any("z.log" in logs_of(chunk) for chunk in chunks)


def test_lines_of_several_logs_come_together_when_the_first_has_waited(reader: Reader) -> None:
    names = ["a.log", "b.log", "c.log"]
    reader.begin(*names)
    for second, name in enumerate(names):
        reader.append(name, SHORT * (second + 1))
        assert not reader.step(now=100 + second)
    reader.append("a.log", SHORT)
    assert not reader.step(now=99 + WAIT_SECONDS)
    (chunk,) = reader.step(now=100 + WAIT_SECONDS)
    assert logs_of(chunk) == names
    assert [part.length for part in chunk.parts] == [2 * len(SHORT), 2 * len(SHORT), 3 * len(SHORT)]
    assert chunk.due == 100 + WAIT_SECONDS


def test_lines_of_several_logs_come_together_when_they_are_as_many_as_a_chunk_has(reader: Reader) -> None:
    reader.begin("a.log", "b.log")
    reader.append("a.log", SHORT * (MAX_LINES - 10))
    assert not reader.step(now=100)
    reader.append("b.log", SHORT * 15)
    (chunk,) = reader.step(now=101)
    assert logs_of(chunk) == ["a.log", "b.log"]
    assert chunk.lines.count(b"\n") == MAX_LINES
    # The five lines that are left begin to wait.
    assert not reader.step(now=100 + WAIT_SECONDS)
    (chunk,) = reader.step(now=101 + WAIT_SECONDS)
    assert (logs_of(chunk), chunk.lines) == (["b.log"], SHORT * 5)


def test_nothing_of_a_file_comes_before_its_number_is_stored(reader: Reader) -> None:
    reader.begin("a.log")
    reader.append("b.log", SHORT)
    reader.append("a.log", SHORT)
    reader.never_stored = "b.log"
    for now in (100, 200, 300):
        for chunk in reader.step(now):
            assert logs_of(chunk) == ["a.log"]
    assert reader.read["b.log"] == b""


def test_all_lines_are_handed_on_once_and_in_order(reader: Reader) -> None:
    pick = random.Random(1)
    names = [f"{number}.log" for number in range(20)]
    written = dict.fromkeys(names, b"")
    for now in range(300):
        for name in pick.sample(names, pick.randrange(5)):
            # Some lines are halves, and some are too long to be held.
            lines = pick.choice([b"%d\n" % now, b"%d " % now, b"%d\n" % now * 700, b"%d " % now * 20_000 + b"\n"])
            written[name] += lines
            reader.append(name, lines)
        reader.step(now)
    for name in names:
        reader.append(name, b"\n")
        written[name] += b"\n"
    for now in range(300, 330):
        reader.step(now)
    # A line that is too long may have been held all the same.
    assert {name: _without_long_lines(lines) for name, lines in reader.read.items()} == {
        name: _without_long_lines(lines) for name, lines in written.items()
    }
    ends = {FileKey(str(reader.folder / name), 0): Position(0, len(lines)) for name, lines in written.items()}
    assert reader.ends == ends


def _without_long_lines(lines: bytes) -> bytes:
    return b"".join(line for line in lines.splitlines(keepends=True) if len(line) <= MAX_LINE_BYTES)


def test_the_pause_is_longer_where_many_logs_have_lines_that_wait(reader: Reader) -> None:
    names = [f"{number}.log" for number in range(210)]
    reader.begin(*names)
    reader.append(names[0], SHORT)
    now = time.monotonic()
    assert not reader.step(now)
    assert reader.collector.pause() == 0.05
    for name in names:
        reader.append(name, SHORT)
    assert not reader.step(now + 1)
    assert reader.collector.pause() == pytest.approx(1.0)
