"""Any mix of what writers, logrotate and crashes do: what is handed on equals the lines that were written."""

import gzip
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from following import Follower, Line, Rotating, lines_of
from log_processor import tail
from log_processor.fingerprint import HEAD_BYTES
from storage.contract import Position

# Lines, made of a number of their own, so that no two places in the log look alike.
LINES = {
    "short": b"%d ",
    "longer": b"%d " * 50,
    "long": b"%d " * 1_000,
    "too long": b"%d " * 30_000,
    "carriage return": b"%d \r",
    "then empty": b"%d \n",
    "not UTF-8": b"%d \xff",
}


@dataclass(eq=False)
class File:
    """One file of the log; its name is told elsewhere."""

    content: bytes = b""
    start: int = 0
    """What is before belongs to the file that this one was cut from."""
    compressed: bool = False


class Following(RuleBasedStateMachine):
    """The files of the log are followed by one who is killed at times, and starts from where the ledger is then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.log = Rotating(Path(self.folder.name) / "log")
        self.files: list[File] = []
        """All that there ever were, in the order in which they were begun."""
        self.current: File | None = None
        self.rotated: list[File] = []
        """`log.1`, `log.2`, ..."""
        self.writer: int | None = None
        self.written: File | None = None
        self.numbers = 0
        self.seen: dict[Position, Line] = {}
        self.follower = Follower(self.log.path)
        self.committed = self.follower.place
        self.gaps: set[Position] = set()
        self.possible_gaps: set[Position] = set()

    @rule()
    def open(self) -> None:
        """The writer opens the log's path."""
        if self.writer is not None:
            os.close(self.writer)
        if self.current is None:
            self.create()
        self.writer = os.open(self.log.path, os.O_WRONLY | os.O_APPEND)
        self.written = self.current

    @rule(kinds=st.lists(st.sampled_from([*LINES]), min_size=1, max_size=5))
    def append(self, kinds: list[str]) -> None:
        """Whole lines; the first one ends a half line, if there is one."""
        self._write(b"".join(self._line(kind) + b"\n" for kind in kinds))

    @rule(kind=st.sampled_from([*LINES]))
    def append_half_a_line(self, kind: str) -> None:
        self._write(self._line(kind))

    @precondition(lambda self: self.current is None)
    @rule()
    def create(self) -> None:
        """As logrotate does, before the writer opens it."""
        self.log.write(b"")
        self.current = File()
        self.files.append(self.current)

    @precondition(lambda self: self.current is not None)
    @rule()
    def rename(self) -> None:
        """The writer goes on with the renamed file until it opens the new one."""
        self.log.rename()
        self.rotated.insert(0, self.current)
        self.current = None

    @precondition(lambda self: self.current is not None)
    @rule()
    def copytruncate(self) -> None:
        self.log.copytruncate()
        self.rotated.insert(0, self.current)
        self._truncated()

    @precondition(lambda self: self.current is not None)
    @rule()
    def put_a_copy_in_its_place(self) -> None:
        """As an editor does, and who restores a backup."""
        self.log.put_a_copy_in_its_place()
        if self.written is self.current:
            self.open()

    @precondition(lambda self: self._is_committed(self.current))
    @rule()
    def truncate(self) -> None:
        self.possible_gaps.add(self.committed[0])
        self.log.replace(b"")
        self._truncated()

    @precondition(lambda self: self._is_committed(self.current) and len(self.current.content) > HEAD_BYTES)
    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        """As a power cut does, and an editor. It is seen before the file has grown again: else nobody knows where."""
        self.possible_gaps.add(self.committed[0])
        # One in whose place a copy was put has to be known first.
        self.drain()
        length = data.draw(st.integers(HEAD_BYTES, len(self.current.content) - 1))
        os.truncate(self.log.path, length)
        self.log.touch(self.log.path)
        is_written = self.written is self.current
        self.current = File(self.current.content[:length], length)
        if is_written:
            self.written = self.current
        self.files.append(self.current)
        self.drain()
        self.commit()

    @precondition(lambda self: self._is_committed(self.current))
    @rule()
    def delete(self) -> None:
        self.possible_gaps.add(self.committed[0])
        self.log.path.unlink()
        self.current = None
        self.open()

    @precondition(lambda self: self.rotated and self._is_finished(self.rotated[-1]))
    @rule()
    def delete_oldest(self) -> None:
        if self._is_committed(self.rotated[-1]):
            self.possible_gaps.add(self.committed[0])
        oldest = self.rotated.pop()
        self._name(len(self.rotated) + 1, oldest).unlink()

    @precondition(lambda self: self._oldest_uncompressed())
    @rule()
    def compress_oldest(self) -> None:
        number, file = self._oldest_uncompressed()
        name = self._name(number, file)
        with gzip.open(f"{name}.gz", "wb") as compressed:
            compressed.write(file.content)
        times = name.stat()
        os.utime(f"{name}.gz", ns=(times.st_atime_ns, times.st_mtime_ns))
        name.unlink()
        file.compressed = True

    @rule(steps=st.integers(1, 4))
    def poll(self, steps: int) -> None:
        for _ in range(steps):
            self._step()

    @rule()
    def drain(self) -> None:
        before = None
        while before != (before := self.follower.place):
            for _ in range(6):
                self._step()

    @rule()
    def commit(self) -> None:
        self.committed = self.follower.place

    @rule()
    def restart(self) -> None:
        """In order: what was handed on is committed."""
        self.commit()
        self.crash()

    @rule()
    def crash(self) -> None:
        self.follower.close()
        self.follower = Follower(self.log.path, *self.committed)

    def teardown(self) -> None:
        try:
            self.drain()
            self.check()
        finally:
            self.follower.close()
            if self.writer is not None:
                os.close(self.writer)
            self.folder.cleanup()

    def check(self) -> None:
        """Every line was handed on, at its place; and nothing is said to be lost that is not."""
        assert self.seen == self._expected()
        assert self.gaps <= self.possible_gaps

    def _step(self) -> None:
        for position, line in self.follower.step().items():
            assert self.seen.setdefault(position, line) == line
        self.gaps.update(gap.position for gap in self.follower.gaps)
        if self.follower.place[0].offset == 0:
            # Nothing of a generation is handed on before its beginning is stored.
            self.commit()

    def _expected(self) -> dict[Position, Line]:
        lines: dict[Position, Line] = {}
        for generation, file in enumerate(self._generations()):
            lines |= self._lines(file, generation)
        return lines

    def _lines(self, file: File, generation: int) -> dict[Position, Line]:
        """The lines of a file, but for a half one that may still be ended."""
        is_last = file is self._generations()[-1]
        end = file.content.rfind(b"\n") + 1 if is_last else len(file.content)
        return lines_of(file.content[file.start : end], generation, file.start)

    def _generations(self) -> list[File]:
        return [file for file in self.files if file.content]

    def _write(self, data: bytes) -> None:
        if self.writer is None:
            self.open()
        os.write(self.writer, data)
        self.log.touch(self.writer)
        self.written.content += data

    def _line(self, kind: str) -> bytes:
        self.numbers += 1
        return LINES[kind].replace(b"%d", str(self.numbers).encode())

    def _truncated(self) -> None:
        begun = File()
        if self.written is self.current:
            self.written = begun
        self.current = begun
        self.files.append(begun)

    def _name(self, number: int, file: File) -> Path:
        name = self.log.rotated(number)
        return Path(f"{name}.gz") if file.compressed else name

    def _is_committed(self, file: File | None) -> bool:
        """Whether the ledger is at this file's end."""
        generations = self._generations()
        return file in generations and self.committed[0] == (generations.index(file), len(file.content))

    def _is_finished(self, file: File) -> bool:
        """Whether neither the writer nor the follower need it any more."""
        if file is self.written:
            return False
        generations = self._generations()
        return (
            file not in generations
            or generations.index(file) < self.committed[0].generation
            or self._is_committed(file)
        )

    def _oldest_uncompressed(self) -> tuple[int, File] | None:
        """The next one to be compressed. Not an empty one: what a compressed one held is not known."""
        for number, file in reversed(list(enumerate(self.rotated, 1))):
            if file.content and not file.compressed:
                return (number, file) if self._is_finished(file) and not self._is_committed(file) else None
        return None


class Losing(Following):
    """The same where files are also lost before they were read: the others are still handed on, in order and once."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: list[File] = []
        self.cut: list[File] = []
        """What came between copy and truncation is lost, and nothing tells whether there was anything."""

    # Lost in a copy that nobody saw is lost in silence.
    put_a_copy_in_its_place = None
    # What is before the cut is not a part of the file that is lost.
    cut = None

    @precondition(lambda self: self.current is not None)
    @rule()
    def truncate_unread(self) -> None:
        self.lost.append(self.current)
        self.log.replace(b"")
        self._truncated()

    @precondition(lambda self: self.current and self.written is self.current and self.current.content.endswith(b"\n"))
    @rule(kinds=st.lists(st.sampled_from([*LINES]), min_size=1, max_size=5), steps=st.integers(0, 4))
    def copytruncate_while_lines_come(self, kinds: list[str], steps: int) -> None:
        self.cut.append(self.current)
        self.log.copy()
        self.append(kinds)
        self.poll(steps)
        self.rotated.insert(0, self.current)
        self.log.replace(b"")
        self._truncated()

    @precondition(lambda self: self.current is not None)
    @rule()
    def delete_unread(self) -> None:
        self.lost.append(self.current)
        self.log.path.unlink()
        self.current = None

    @precondition(lambda self: self.rotated)
    @rule()
    def delete_oldest_unread(self) -> None:
        oldest = self.rotated.pop()
        self.lost.append(oldest)
        self._name(len(self.rotated) + 1, oldest).unlink()

    def teardown(self) -> None:
        # A loss is said when the next generation begins.
        self.open()
        self.append(["short"])
        super().teardown()

    def check(self) -> None:
        """What is missing was lost; and where a file was read in part, it is said."""
        seen = {line: position for position, line in sorted(self.seen.items()) if line}
        numbers = [int(line.split()[0]) for line in seen if isinstance(line, bytes)]
        assert numbers == sorted(set(numbers))
        assert len(seen) == sum(line != b"" for line in self.seen.values())
        said = {position.generation for position in self.gaps}
        for file in self._generations():
            whole = {line for line in lines_of(file.content[: file.content.rfind(b"\n") + 1], 0).values() if line}
            if not whole <= seen.keys():
                assert file in self.cut or (
                    file in self.lost and {seen[line].generation for line in whole & seen.keys()} <= said
                )


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "QUIET_SECONDS", 0)
    monkeypatch.setattr(tail, "CHECK_SECONDS", 0)


class TestFollowing(Following.TestCase):
    pass


class TestLosing(Losing.TestCase):
    pass
