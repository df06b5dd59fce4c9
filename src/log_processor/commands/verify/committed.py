"""How far a writer's commits are, of counts and of roll-ups, in a store that may go on meanwhile.

A commit writes its intent, then its rows, then its ledger. So the row of a file may be that of a commit that the ledger
does not have yet, or that came while all this was read. The intents of these commits say where they began.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from log_processor.commands.verify.text_file import FilesChanged
from storage.contract import Storage
from storage.keys import FileKey
from storage.ledger import (
    Intent,
    Ledger,
    RolledUp,
    RollupIntent,
    decode_intent,
    decode_ledger,
    decode_rolled_up,
    decode_rollup_intent,
    decode_rollup_ledger,
)
from storage.logs import FileRow, LedgerRow
from storage.requests import FileId, OffsetRange

_BEING_REMOVED = "A file is being removed from the store."


class Committed(NamedTuple):
    """What a writer has counted, through one commit."""

    writer: str
    ledger: Ledger
    logs: Mapping[str, LedgerRow]
    """Log -> its row, as of the latest commit whose intent is there."""
    files: Mapping[FileKey, FileRow]
    """File -> its row, as of the same commit."""
    offsets: Mapping[FileKey, int]
    """File -> the offset through which it is counted by that commit."""
    since: Mapping[str, int]
    """Writer -> the place from which on the intents of later commits lie, see Storage.intents."""
    other_writers: tuple[str, ...]

    @property
    def number(self) -> int:
        return self.ledger.number

    @property
    def bytes(self) -> int:
        return sum(end - start for _, start, end in self.ranges({}))

    def ranges(self, after: Mapping[FileKey, int]) -> Iterator[OffsetRange]:
        """What is counted of the files after these offsets, or after their starts."""
        for key, offset in self.offsets.items():
            yield offset_range(self.files[key], after.get(key, self.files[key].start), offset)

    def row(self, file: FileId) -> FileRow:
        return self.files[FileKey(file.log, file.generation)]

    def later(self) -> Iterator[OffsetRange]:
        """What is counted by later commits, as far as the rows say."""
        for key, offset in self.offsets.items():
            yield offset_range(self.files[key], offset, self.files[key].offset)


class RollupCommits(NamedTuple):
    """The last commit of roll-ups that has ended, and the last that has begun: the same commit, or the next."""

    ended: int
    ended_through: int
    """The commit of counts through which the roll-ups have all requests after that commit."""
    begun: int
    begun_through: int

    @classmethod
    def read(cls, storage: Storage) -> "RollupCommits":
        """The commits of the writer of the connection."""
        ledger = decode_rollup_ledger(storage.read_state("rollups"))
        intent = _rollup_intent(storage)
        if intent is None or intent.number <= ledger.number:
            return cls(ledger.number, ledger.through, ledger.number, ledger.through)
        return cls(ledger.number, ledger.through, intent.number, intent.through)


class RolledUpTo(NamedTuple):
    """How far the roll-ups have the files."""

    commits: RollupCommits
    logs: Mapping[str, RolledUp]
    """By the commit that has ended."""
    begun: Mapping[FileKey, int]
    """Through which offset they have files by the commit that has begun, where that is further."""

    def check(self, committed: "Committed") -> None:
        """Raise FilesChanged if the roll-ups have more of a file than the counts: the file is being removed."""
        for key, offset in committed.offsets.items():
            if self.commits.begun_through <= committed.number and self.bounds(committed.files[key])[0] > offset:
                raise FilesChanged(_BEING_REMOVED)

    def bounds(self, row: FileRow) -> tuple[int, int]:
        """The offsets through which the roll-ups have a file, by the ended commit and by the begun one."""
        ended = self.logs.get(row.log, RolledUp()).through(row)
        return ended, self.begun.get(FileKey(row.log, row.generation), ended)


def read_rolled_up(storage: Storage) -> RolledUpTo:
    """How far the roll-ups are. Call this before the counts are read, so that these are further. Raises FilesChanged
    while a file is removed."""
    while True:
        commits = RollupCommits.read(storage)
        _, _, rows = storage.read_logs()
        intent = _rollup_intent(storage) if commits.begun > commits.ended else None
        if intent is not None and intent.weight < 0:
            raise FilesChanged(_BEING_REMOVED)
        if RollupCommits.read(storage) == commits:
            logs = {log: decode_rolled_up(row) for log, row in rows.items()}
            ranges = intent.ranges if intent is not None else ()
            begun = {FileKey(file.log, file.generation): end for file, _, end in ranges}
            return RolledUpTo(commits, logs, begun)


def _rollup_intent(storage: Storage) -> RollupIntent | None:
    """The latest intent of roll-ups; None if there is none."""
    text = storage.read_state("rollups_intent")
    return decode_rollup_intent(text) if text else None


def offset_range(row: FileRow, start: int, end: int) -> OffsetRange:
    return OffsetRange(FileId(row.log, row.generation, row.lane, row.base), start, end)


async def read_committed(storage: Storage, writer: str, before: Committed | None = None) -> Committed:
    """Read it, in an order in which the intent of each row that is found is there. `before`: an earlier reading.
    FilesChanged where so many commits came meanwhile that their intents are not kept."""
    states = await storage.states()
    ledger = next((decode_ledger(state.counts) for state in states if state.writer == writer), Ledger())
    logs = {row.log: row for of_writer, row in await storage.logs() if of_writer == writer}
    files = {FileKey(row.log, row.generation): row for of_writer, row in await storage.files() if of_writer == writer}
    intents, since = await _intents(storage, writer, before.since if before is not None else {writer: 0}, ledger.number)
    starts: dict[FileKey, int] = {}
    for intent in _without_holes(intents, ledger.number, max(intents, default=ledger.number)):
        logs.update({row.log: row for row in intent.logs})
        files.update({FileKey(row.log, row.generation): row for row in intent.files})
        for file, start, _ in intent.ranges:
            starts.setdefault(FileKey(file.log, file.generation), start)
    return Committed(
        writer,
        ledger,
        logs,
        {key: row for key, row in files.items() if row.state != "copy"},
        {key: starts.get(key, row.offset) for key, row in files.items() if row.state != "copy"},
        since,
        tuple(state.writer for state in states if state.writer != writer),
    )


async def later_intents(storage: Storage, committed: Committed, through: int) -> list[Intent]:
    """The intents of the commits after `committed`, through that of a number. FilesChanged where one is not kept."""
    intents, _ = await _intents(storage, committed.writer, committed.since, committed.number)
    return _without_holes(intents, committed.number, through)


async def _intents(
    storage: Storage, writer: str, since: Mapping[str, int], after: int
) -> tuple[dict[int, Intent], Mapping[str, int]]:
    """The intents with a number higher than `after`, by that; and from which place on these and later ones lie."""
    later: dict[int, Intent] = {}
    for one in await storage.intents(since):
        if one.writer == writer and one.number > after:
            # Of two of a number the later one counts.
            later[one.number] = decode_intent(one.row)
        elif one.writer == writer:
            since = {writer: one.place}
    return later, since


def _without_holes(intents: Mapping[int, Intent], after: int, through: int) -> list[Intent]:
    try:
        found = [intents[number] for number in range(after + 1, through + 1)]
    except KeyError as error:
        raise FilesChanged(f"The store no longer has what commit {error} counted.") from None
    if any(intent.weight < 0 for intent in found):
        raise FilesChanged(_BEING_REMOVED)
    return found
