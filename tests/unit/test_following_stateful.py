"""Writers, rotation, people and crashes change a log's files in any order: each line is handed on once.

The model is a file system whose files are made of pieces, each written once. A copy has the same pieces as its
original, so a line is the same wherever it is now, and two lines are two though their bytes are equal.

A line may be missing only if the bytes cannot tell better:

- No file has it any more: its file was truncated or deleted before it was read, and there is no copy.
- Its file was truncated and has grown again to at most its earlier size, without a look in between. That much of the
  file may be the bytes that were read, and a gap says so.
- Another file begins, or began, with the same bytes up to the line's end. Two such files may be a file and its copy.
  `following.matching` has the rule.

A gap may be there only if a known file was truncated, or was deleted while no follower ran.
"""

import bz2
import gzip
import lzma
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import zstandard
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from following import DAY, GRACE, QUIET, Follower, Line, Stored, Time, line_of

LIVE = "app.log"
# Kinds of lines. A number makes a line unique; lines without one have equal bytes.
LINES = {
    "short": b"%d ",
    "longer": b"%d " * 50,
    "long": b"%d " * 1_000,
    "too long": b"%d " * 20_000,
    "carriage return": b"%d \r",
    "then empty": b"%d \n",
    "not UTF-8": b"%d \xff",
    "header": b"#Fields: a b c",
    "a": b"a",
    "b": b"b",
}
SCHEMES: dict[str, Callable[[int], str]] = {
    "grow": lambda n: f"app.log.{n}",
    "date": lambda n: f"app.log-2026{1 + n // 28:02}{1 + n % 28:02}",
    "date and count": lambda n: f"app.log.2026-11-28.{n}",
    "lumberjack": lambda n: f"app-2026-11-28T10-{n // 60:02}-{n % 60:02}.000.log",
    "pm2": lambda n: f"app__2026-11-28_10-{n // 60:02}-{n % 60:02}.log",
    "keeps the ending": lambda n: f"app.{n}.log",
}
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}
KINDS = st.sampled_from([*LINES])

Key = tuple[int, int]
"""A line: the number of the piece that it begins in, and its offset there."""


class Piece(NamedTuple):
    """Bytes that were written at once, or a part of them."""

    number: int
    """-1 for a hole."""
    data: bytes


class FoundLine(NamedTuple):
    """A line in a file."""

    key: Key
    data: bytes
    start: int
    is_ended: bool


class Node:
    """A file, under any names."""

    def __init__(self, path: Path, appends: bool = True) -> None:
        self.file = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        self.inode = os.fstat(self.file).st_ino
        self.lineage = {self.inode}
        """Inodes of the files from which the file's bytes were copied."""
        self.pieces: list[Piece] = []
        self.appends = appends
        self.offset = 0
        """Offset at which a writer without O_APPEND goes on."""
        self.is_packed = False
        self.is_written = True
        """Whether a writer has had the file open since it was the log."""
        self.hazard = 0
        """Bytes of the file before it was truncated, if there was no look since."""
        self.cuts: set[int] = set()
        """Offsets within a line at which the file was cut."""
        self.written = 0.0

    @property
    def data(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)

    def lines(self) -> Iterator[FoundLine]:
        key: Key | None = None
        line, start, offset = b"", 0, 0
        for piece in self.pieces:
            begin = 0
            for part in piece.data.splitlines(keepends=True) if piece.number < 0 else _split(piece.data):
                if key is None and piece.number >= 0:
                    key = (piece.number, begin)
                if not line:
                    start = offset
                line += part
                begin += len(part)
                offset += len(part)
                if part.endswith(b"\n"):
                    assert key is not None
                    yield FoundLine(key, line[:-1].lstrip(b"\0"), start, True)
                    line, key = b"", None
        if key is not None:
            yield FoundLine(key, line.lstrip(b"\0"), start, False)


def _split(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


class Files(RuleBasedStateMachine):
    """The files of a log."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.root = Path(self.folder.name)
        self.time = Time()
        self.names: dict[str, Node] = {}
        self.nodes: list[Node] = []
        self.orphans: list[Node] = []
        """Files without a name that the follower has open."""
        self.count = 0
        self.pieces = 0
        self.variants: dict[Key, set[bytes]] = defaultdict(set)
        """Each line that was ever written -> its bytes, whole or not."""
        self.ends: dict[Key, set[bytes]] = defaultdict(set)
        """Each line -> its whole forms. A copy may end it in another way than its original."""
        self.versions: list[list[FoundLine]] = []
        """Lines of files before they were truncated or deleted."""
        self.halves: set[Key] = set()
        """Lines whose first half is the end of a copy. Such a half counts as a line if its other half is found
        later."""
        self.may: set[Key] = set()
        """Lines that may be missing."""
        self.gap_allowed = False
        self.process: Follower | None = self._followed(Stored())

    # Writers.

    @initialize(appends=st.booleans())
    def how(self, appends: bool) -> None:
        self.appends = appends

    @rule(kinds=st.lists(KINDS, min_size=1, max_size=5))
    def append(self, kinds: list[str]) -> None:
        """Append whole lines. The first one ends half a line, if there is one."""
        self._write(self._live(), b"".join(self._line(kind) + b"\n" for kind in kinds))

    @rule(kind=KINDS)
    def append_half_a_line(self, kind: str) -> None:
        self._write(self._live(), self._line(kind))

    @precondition(lambda self: self._late())
    @rule(data=st.data(), kind=KINDS, ends=st.booleans())
    def write_late(self, data: st.DataObject, kind: str, ends: bool) -> None:
        """Write to a file that was renamed or deleted."""
        node = data.draw(_one_of(self._late()))
        self._write(node, self._line(kind) + b"\n" * (ends or node in self.orphans))

    # Rotation.

    @precondition(lambda self: LIVE in self.names)
    @rule(scheme=st.sampled_from([*SCHEMES, "shift", "shift"]))
    def rotate(self, scheme: str) -> None:
        self._rename(LIVE, self._rotated(scheme))

    @precondition(lambda self: LIVE in self.names)
    @rule(scheme=st.sampled_from([*SCHEMES, "shift"]))
    def rotate_and_make_new(self, scheme: str) -> None:
        self._rename(LIVE, self._rotated(scheme))
        self._live()

    @precondition(lambda self: self.process is not None and LIVE in self.names and self._has_one_name(LIVE))
    @rule()
    def move_to_another_folder(self) -> None:
        """Move the log while it is open and has no other name. Otherwise the follower cannot know the folder."""
        self.follower.pass_time(6)
        (self.root / "old").mkdir(exist_ok=True)
        self._rename(LIVE, f"old/{self._rotated('date')}")
        self.drain()

    @precondition(lambda self: LIVE in self.names)
    @rule(scheme=st.sampled_from([*SCHEMES, "shift"]), late=st.booleans())
    def copytruncate(self, scheme: str, late: bool) -> None:
        """Copy the log and empty it. `late`: lines come after the copy, and are lost."""
        live = self._live()
        self._copy(live, self._rotated(scheme))
        if late:
            self._write(live, self._line("short") + b"\n")
            self._cut(live, 0)
        else:
            self._record(live)
            self._truncate(live, 0)

    @precondition(lambda self: LIVE in self.names and b"\n" in self.names[LIVE].data)
    @rule(scheme=st.sampled_from([*SCHEMES, "shift"]), share=st.floats(0, 1))
    def copy(self, scheme: str, share: float) -> None:
        """Copy the whole log or its beginning, but at least its first line, because less cannot be recognized."""
        live = self._live()
        size = len(live.data)
        length = max(round(share * size), live.data.find(b"\n") + 1)
        copy = self._copy(live, self._rotated(scheme), length)
        self.halves |= {line.key for line in copy.lines() if not line.is_ended}

    @precondition(lambda self: self._rotated_names())
    @rule(data=st.data(), ending=st.sampled_from([*COMPRESS]), removes=st.booleans())
    def compress(self, data: st.DataObject, ending: str, removes: bool) -> None:
        name = data.draw(st.sampled_from(self._rotated_names()))
        if name + ending in self.names:
            return
        node = self.names[name]
        packed = self._node(name + ending)
        packed.is_packed, packed.is_written = True, False
        packed.pieces = list(node.pieces)
        packed.lineage |= node.lineage
        os.write(packed.file, COMPRESS[ending](node.data))
        self._touch(packed)
        if removes:
            self._remove(name)

    @precondition(lambda self: self._rotated_names(True))
    @rule(data=st.data())
    def delete_rotated(self, data: st.DataObject) -> None:
        self._remove(data.draw(st.sampled_from(self._rotated_names(True))))

    # People.

    @precondition(lambda self: LIVE in self.names)
    @rule()
    def delete_live(self) -> None:
        self._remove(LIVE)

    @precondition(lambda self: LIVE in self.names)
    @rule()
    def empty(self) -> None:
        self._cut(self._live(), 0)

    @precondition(lambda self: LIVE in self.names)
    @rule(kind=KINDS)
    def write_header_anew(self, kind: str) -> None:
        live = self._live()
        self._cut(live, 0)
        live.offset = 0
        self._write(live, LINES["header"] + b"\n" + self._line(kind) + b"\n")

    @precondition(lambda self: LIVE in self.names)
    @rule(share=st.floats(0, 1))
    def cut(self, share: float) -> None:
        live = self._live()
        lines = self.follower.lines if self.process is not None else self.stored.lines
        length = round(share * len(live.data))
        if length and not any(line_of(line.data) in lines.values() for line in live.lines()):
            # Beside a copy, the file at the log's path is another file if the follower knows neither.
            return
        self._cut(live, length)
        live.offset = len(live.data)

    @precondition(lambda self: self.names)
    @rule(data=st.data())
    def link(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([*self.names]))
        if not self.names[name].is_packed:
            other = self._rotated("date")
            os.link(self.root / name, self.root / other)
            self.names[other] = self.names[name]

    @precondition(lambda self: self._rotated_names() or LIVE in self.names)
    @rule(data=st.data())
    def put_a_copy_in_its_place(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([*self._rotated_names(), *([LIVE] if LIVE in self.names else [])]))
        node = self.names[name]
        if name == LIVE and not self._has_one_name(name):
            # A file at the log's path is never a copy of a rotated file.
            return
        if name != LIVE and not node.data.endswith(b"\n"):
            # Half a line counts when its file is deleted. Then the line that the copy continues is another line.
            return
        copy = self._copy(node, "copy")
        # If the original keeps another name, the copy cannot grow: nothing could tell whose lines are whose.
        copy.offset, copy.is_written = node.offset, node.is_written and self._has_one_name(name)
        # If half a line is ended in two ways, nothing tells which is right.
        node.is_written = node.data.endswith(b"\n")
        self._rename("copy", name)

    # The follower.

    @property
    def follower(self) -> Follower:
        assert self.process is not None
        return self.process

    @precondition(lambda self: self.process is not None)
    @rule(steps=st.integers(1, 4))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            self.follower.step()
        if steps > 1:
            self._looked()

    @precondition(lambda self: self.process is not None)
    @rule()
    def look(self) -> None:
        self.follower.look()

    @precondition(lambda self: self.process is not None)
    @rule()
    def hand_on(self) -> None:
        self.follower.hand_on()

    @precondition(lambda self: self.process is not None)
    @rule()
    def commit(self) -> None:
        self.follower.commit()

    @precondition(lambda self: self.process is not None)
    @rule()
    def drain(self) -> None:
        self.follower.drain()
        self._looked()

    @precondition(lambda self: self.process is not None)
    @rule(seconds=st.sampled_from([1.0, GRACE, 6.0, QUIET]))
    def pass_time(self, seconds: float) -> None:
        self.time.now += seconds
        self.follower.step()
        self.follower.step()
        self._looked()

    @precondition(lambda self: self.process is not None)
    @rule(commits=st.booleans())
    def stop(self, commits: bool) -> None:
        if commits:
            self.follower.commit()
        self._forget_orphans()
        self.follower.close()
        self.stored = self.follower.stored
        self.process = None

    @precondition(lambda self: self.process is None)
    @rule()
    def start(self) -> None:
        self.process = self._followed(self.stored)

    def teardown(self) -> None:
        try:
            if self.process is None:
                self.start()
            for seconds in (GRACE, GRACE, QUIET, DAY, QUIET):
                self.follower.pass_time(seconds)
            self.check()
        finally:
            if self.process is not None:
                self.follower.close()
            for node in self.nodes:
                os.close(node.file)
            self.folder.cleanup()

    def check(self) -> None:
        """Assert that every line was handed on once."""
        handed = Counter(self.follower.lines.values())
        keys: dict[Line, set[Key]] = defaultdict(set)
        for node in self.nodes:
            self._record(node)
        for key, variants in self.variants.items():
            for data in variants:
                keys[line_of(data)].add(key)
        for line, times in handed.items():
            assert times <= len(keys[line]), f"{times} times: {line[:100]!r}"
        for key, variants in self.variants.items():
            if key not in self.may | self.halves and all(len(keys[line_of(data)]) == 1 for data in variants):
                assert sum(handed[line_of(data)] for data in variants) <= max(1, len(self.ends[key])), (
                    f"whole and in part: {[data[:50] for data in variants]!r}"
                )
        must: Counter[Line] = Counter()
        for key, line in self._readable().items():
            is_part = any(handed[line_of(whole)] for whole in self.variants[key] if len(whole) > len(line))
            if key not in self.may and not is_part:
                must[line_of(line)] += 1
        for line, times in must.items():
            assert handed[line] >= times, f"{handed[line]} of {times} times: {line[:100]!r}"
        assert self.gap_allowed or not self.follower.gaps, self.follower.gaps

    def _readable(self) -> dict[Key, bytes]:
        """The lines that are there, without lines that may be missing because of other files' bytes."""
        found: dict[Key, bytes] = {}
        nodes = {id(node): node for node in [*self.names.values(), *self.orphans]}
        versions = self.versions + [[*node.lines()] for node in nodes.values()]
        live = [*self.names[LIVE].lines()] if LIVE in self.names else []
        waited_for = {line.key for line in live if not line.is_ended}
        for node in nodes.values():
            lines = [*node.lines()]
            equal = 0
            for version in versions:
                equal = max(equal, _equal(lines, version))
                if node in self.names.values() and _may_be_a_copy(lines, version):
                    equal = len(lines)
            for place, line in enumerate(lines):
                if not line.is_ended and (line.key in waited_for or node in self.orphans):
                    continue
                if place < equal:
                    self.may.add(line.key)
                if len(line.data) >= len(found.get(line.key, b"")):
                    found[line.key] = line.data
        return found

    # The file system.

    def _followed(self, stored: Stored) -> Follower:
        return Follower(self.root / LIVE, self.time, stored, scratch=self.root / "spool")

    def _node(self, name: str) -> Node:
        node = Node(self.root / name, self.appends)
        self.names[name] = node
        self.nodes.append(node)
        self._touch(node)
        return node

    def _live(self) -> Node:
        return self.names.get(LIVE) or self._node(LIVE)

    def _has_one_name(self, name: str) -> bool:
        """Whether a file is not empty and has no other name."""
        node = self.names[name]
        return bool(node.pieces) and list(self.names.values()).count(node) == 1

    def _late(self) -> list[Node]:
        """Files to which a writer may still write."""
        nodes = {id(node): node for name, node in self.names.items() if name != LIVE and node.is_written}
        return [
            *nodes.values(),
            *(node for node in self.orphans if node.is_written and self.time.now - node.written < 4),
        ]

    def _rotated_names(self, packed: bool = False) -> list[str]:
        live = self.names.get(LIVE)
        return [
            name for name, node in self.names.items() if name != LIVE and node is not live and packed >= node.is_packed
        ]

    def _rotated(self, scheme: str) -> str:
        if scheme == "shift":
            self._make_room(1)
            return f"{LIVE}.1"
        while True:
            self.count += 1
            name = SCHEMES[scheme](self.count)
            if not any(name + ending in self.names for ending in ("", *COMPRESS)):
                return name

    def _make_room(self, number: int) -> None:
        for ending in ("", *COMPRESS):
            name = f"{LIVE}.{number}{ending}"
            if name in self.names:
                self._make_room(number + 1)
                self._rename(name, f"{LIVE}.{number + 1}{ending}")

    def _line(self, kind: str) -> bytes:
        self.pieces += 1
        return LINES[kind].replace(b"%d", b"%d" % self.pieces)

    def _write(self, node: Node, data: bytes) -> None:
        self.pieces += 1
        size = len(node.data)
        if node.appends or node.offset < size:
            node.offset = size
        if node.offset > size:
            node.pieces.append(Piece(-1, b"\0" * (node.offset - size)))
        os.pwrite(node.file, data, node.offset)
        node.pieces.append(Piece(self.pieces, data))
        node.offset += len(data)
        for line in node.lines():
            if line.start + len(line.data) >= size and line.start < node.hazard:
                self.may.add(line.key)
        self._record(node)
        self._touch(node)

    def _copy(self, node: Node, name: str, length: int | None = None) -> Node:
        copy = self._node(name)
        copy.is_written = False
        copy.pieces = _first(node.pieces, len(node.data) if length is None else length)
        copy.lineage |= node.lineage
        os.pwrite(copy.file, copy.data, 0)
        self._record(copy)
        self._touch(copy)
        return copy

    def _cut(self, node: Node, length: int) -> None:
        """Truncate a file without a copy, so that its lines may be lost."""
        self.gap_allowed = True
        node.hazard = max(node.hazard, len(node.data))
        self._record(node)
        self._truncate(node, length)
        node.cuts = {cut for cut in node.cuts if cut < length}
        if not node.data.endswith(b"\n"):
            node.cuts.add(length)

    def _truncate(self, node: Node, length: int) -> None:
        self.versions.append([*node.lines()])
        lost = {line.key for line in node.lines() if line.start + len(line.data) >= length}
        os.truncate(node.file, length)
        node.pieces = _first(node.pieces, length)
        self._record(node)
        self._touch(node)
        self._lose(lost)

    def _rename(self, name: str, to: str) -> None:
        node = self.names.pop(name)
        (self.root / name).rename(self.root / to)
        before = self.names.get(to)
        self.names[to] = node
        if before is not None and before is not node:
            self._unnamed(before)

    def _remove(self, name: str) -> None:
        (self.root / name).unlink()
        self._unnamed(self.names.pop(name))

    def _unnamed(self, node: Node) -> None:
        if node in self.names.values():
            return
        self.versions.append([*node.lines()])
        lost = {line.key for line in node.lines()}
        # A file that was emptied before it was deleted does not count any more.
        if (
            node.pieces
            and self.process is not None
            and any(
                reader.at[1] == node.inode for one in self.follower.logs.files() if (reader := one.reader) is not None
            )
        ):
            node.written = self.time.now
            self.orphans.append(node)
            return
        self._lose(lost)
        stored = self.follower.stored if self.process is not None else self.stored
        self.gap_allowed |= any(
            int(row.identity.split("-")[0] or 0) in node.lineage and (row.state == "live" or row.offset < row.size)
            for row in stored.files.values()
            if row.identity
        )

    def _forget_orphans(self) -> None:
        """Forget the files without a name, which the follower has closed."""
        for node in self.orphans:
            self.gap_allowed = True
            self._lose({line.key for line in node.lines()})
        self.orphans.clear()

    def _lose(self, keys: set[Key]) -> None:
        """Note that these lines may be missing, unless another file has them."""
        self.may |= keys - {line.key for node in [*self.names.values(), *self.orphans] for line in node.lines()}

    def _record(self, node: Node) -> None:
        for line in node.lines():
            self.variants[line.key].add(line.data)
            if line.is_ended:
                self.ends[line.key].add(line.data)
            for cut in node.cuts:
                if line.start < cut <= line.start + len(line.data):
                    # If the follower has seen the cut, the rest of the line is a line of its own.
                    self.may.add(line.key)
                    self.variants[line.key].add(line.data[cut - line.start :])

    def _touch(self, node: Node) -> None:
        self.time.now += 0.01
        node.written = self.time.now
        os.utime(node.file, (self.time.now, self.time.now))

    def _looked(self) -> None:
        if self.process is None or self.follower.is_undecided:
            return
        for node in self.nodes:
            node.hazard = 0


def _first(pieces: list[Piece], length: int) -> list[Piece]:
    first = []
    for piece in pieces:
        if length > 0:
            first.append(piece._replace(data=piece.data[:length]))
        length -= len(piece.data)
    return first


def _equal(lines: list[FoundLine], version: list[FoundLine]) -> int:
    """Number of first lines whose bytes equal those of another file, without being the same lines."""
    equal = 0
    for place, (line, other) in enumerate(zip(lines, version, strict=False)):
        if line.data != other.data and not (not line.is_ended and other.data.startswith(line.data)):
            break
        if line.key != other.key:
            equal = place + 1
    return equal


def _may_be_a_copy(lines: list[FoundLine], version: list[FoundLine]) -> bool:
    """Whether a file may be taken for a copy of a file that is gone.

    Of that file only hashes are known, and not of each line. So a shorter file with the same first half may pass for a
    copy.
    """
    equal = _equal(lines, version)
    if not equal or not version or version[-1].start < lines[-1].start:
        return False
    same = lines[equal - 1].start + len(lines[equal - 1].data) + 1
    return lines[-1].start + len(lines[-1].data) < 2 * same + 1000


def _one_of(nodes: list[Node]) -> st.SearchStrategy[Node]:
    return st.integers(0, len(nodes) - 1).map(nodes.__getitem__)


TestFiles = Files.TestCase
# The profile `hard` draws other examples each time, to find faults that are still there.
TestFiles.settings = settings(
    max_examples=3 * settings().max_examples,
    stateful_step_count=15,
    derandomize=settings.get_current_profile_name() != "hard",
)
