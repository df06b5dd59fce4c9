"""Counts files that a test lays out, without a processor that follows them. The test says what is read of each file."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import structs

from log_processor.commands.progress_bar import ProgressBar
from log_processor.commands.verify.daily_rows import compare
from log_processor.commands.verify.result import VerifyResult
from log_processor.counting.limits import LIMITS, Limits
from log_processor.counting.start import start
from log_processor.following.compressed import text_of
from log_processor.following.identity import Hasher, Identity
from log_processor.parsing.batch import parse_chunk
from log_processor.parsing.chunk import Chunk, Part
from request_log.formats import simple
from request_log.framing.framed import Framed
from request_log.requests import Parser
from rollups.rules import DEFAULT, Rules
from storage.contract import Storage
from storage.keys import FileKey
from storage.logs import FileState, Gap, LedgerRow, Position
from storage.writers import MAIN
from stores import ask

RETENTION_DAYS = 45
SILENT_SECONDS = 0.3
"""No other process is at work."""


@dataclass
class Read:
    """What was read of a file: its bytes from `start` through `end`."""

    path: Path
    generation: int = 0
    start: int = 0
    end: int | None = None
    """None: that of its text."""
    log: str = "log"
    state: FileState = "live"
    copy_of: int | None = None
    gaps: tuple[Gap, ...] = ()
    begun: int | None = None
    """Where reading of it began, if not at `start`."""
    text: bytes = field(init=False)

    def __post_init__(self) -> None:
        with self.path.open("rb") as file:
            self.text = text_of(file).read()
        if self.end is None:
            self.end = len(self.text)

    def part(self) -> Part:
        """The same, as it is handed on."""
        assert self.end is not None
        return Part(
            self.log,
            str(self.path),
            Position(self.generation, self.start),
            Position(self.generation, self.end),
            str(self._identity()),
            len(self.lines()),
            self.gaps,
            state=self.state,
            size=len(self.text),
            copy_of=self.copy_of,
        )

    def lines(self) -> bytes:
        """The bytes, in whole lines. Zeros are skipped."""
        lines = self.text[self.start : self.end].lstrip(b"\0")
        return lines if lines.endswith(b"\n") or not lines else lines + b"\n"

    def _identity(self) -> Identity:
        assert self.end is not None
        begun = self.start if self.begun is None else self.begun
        sampled = Identity.sampled(
            self.path.stat().st_ino, self.end, lambda length, start: self.text[start : start + length]
        )
        hasher = Hasher(begun)
        hasher.add(self.text[begun : self.end])
        return hasher.identity(sampled)


class Counting:
    """Counts what the test tells it to, as the processor of a store."""

    def __init__(
        self,
        storage: Storage,
        path: Path,
        limits: Limits = LIMITS,
        parse: Parser = simple.parse,
        rules: Rules = DEFAULT,
    ) -> None:
        """`path`: of the log that is called `log`."""
        self._parse = parse
        self._storage = storage
        self._path = path
        self.logs, self._counts, self._rollups = start(storage, storage.acquire(), "simple", limits, rules)

    def __enter__(self) -> "Counting":
        return self

    def __exit__(self, *_: object) -> None:
        self._counts.close()
        self._storage.close()

    def count(self, *reads: Read, roll_up: bool = True) -> None:
        """Store and count all that was read, in one commit; and one of roll-ups."""
        for read in reads:
            if read.log not in {*self.logs.committed, *(row.log for row in self.logs.changed()[0])}:
                begin = Position(read.generation, read.start)
                path = self._path if read.log == "log" else read.path
                self.logs.begin(LedgerRow(read.log, str(path), begin, begin))
        parts = tuple(read.part() for read in reads)
        # The number of a file is stored before its lines. No file is closed before its lines are read.
        begins = {
            key_of(part): structs.replace(
                part,
                end=part.start,
                length=0,
                gaps=(),
                state="open" if part.state == "closed" else part.state,
            )
            for part in reversed(parts)
        }
        self._take(tuple(begin for key, begin in reversed(begins.items()) if key not in self.logs.files), b"")
        first = len(self._rollups.open.parts)
        self._take(parts, b"".join(read.lines() for read in reads))
        self._counts.commit(self._rollups.open, first, lambda _: None, 0, 0)
        if roll_up:
            self.roll_up()

    def roll_up(self, slices: float = math.inf) -> None:
        """Roll up what is counted, or so many slices of it."""
        while slices > 0 and not self._rollups.is_done:
            self._rollups.work()
            slices -= 1

    def _take(self, parts: tuple[Part, ...], lines: bytes) -> None:
        batch = parse_chunk(
            Chunk(parts, lines),
            self._parse,
            0,
            self.logs.file,
            self._storage.prepare,
            template_of=self._rollups.rules.template_of,
        )
        batch.store()
        self._storage.flush()
        for part in batch.parts:
            self.logs.take(part)
        self._rollups.open.take(batch.requests, self._rollups.rules.counts_methods)


def key_of(part: Part) -> FileKey:
    """Of the part's file."""
    return FileKey(part.log, part.start.generation)


def verified(storage: Storage, retention_days: int = RETENTION_DAYS, parse: Parser | None = None) -> VerifyResult:
    """What verify says of a store. It closes the connection. `parse`: of a format that is not our own."""

    async def verify(storage: Storage) -> VerifyResult | None:
        with TemporaryDirectory() as folder:
            return await compare(
                storage,
                MAIN,
                retention_days,
                Framed.of(parse) if parse is not None else None,
                Path(folder, "none"),
                Path(folder),
                ProgressBar(),
                SILENT_SECONDS,
            )

    result = ask(storage, verify)
    storage.close()
    assert result is not None
    return result
