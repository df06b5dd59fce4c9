"""How far we are in each log: what was taken in, and what of it is committed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import attrgetter

from log_processor.chunk import BatchPart
from log_processor.retry import until_stored
from storage.contract import FileId, FileKey, FileRow, LedgerRow, Position, Storage, Stretch
from storage.ledger import decode_file, decode_log, decode_position

GAPS_KEPT = 100
# Files begin at a multiple of it in their lane (bytes): requests are told apart to so many bytes.
LANE_STEP = 16


class Logs:
    """The rows of the logs of one writer, and of their files."""

    def __init__(self, rows: Iterable[LedgerRow], files: Iterable[FileRow], rolled_up: Mapping[str, Position]) -> None:
        self.committed = {row.log: row for row in rows}
        self.rolled_up = dict(rolled_up)
        """Log -> through which position the roll-ups have it."""
        self._taken = dict(self.committed)
        self._files = {FileKey(row.log, row.generation): row for row in files}
        self._changed: set[str] = set()
        self._changed_files: set[FileKey] = set()

    @property
    def have_changed(self) -> bool:
        """Whether something was taken in since the last commit."""
        return bool(self._changed)

    def file(self, log: str, generation: int) -> FileId:
        """The identity of a log's file, which is known before any of its lines is stored."""
        row = self._files[FileKey(log, generation)]
        return FileId(log, generation, row.lane, row.base)

    def begin(self, row: LedgerRow) -> None:
        """Take in a log that is new to the store."""
        self._taken[row.log] = row
        self._changed.add(row.log)
        self._begin_file(row.log, row.first.generation)

    def is_news(self, part: BatchPart) -> bool:
        """Whether a part says something that was not taken in yet."""
        row = self._taken.get(part.log)
        return row is None or part.end > part.start or bool(part.gaps) or part.fingerprint != row.fingerprint

    def take(self, part: BatchPart) -> None:
        """Take in a part, which begins where its log ends, or with a later generation. A gap between two parts ends the
        program instead of passing unseen."""
        if part.log not in self._taken:
            self.begin(LedgerRow(part.log, part.path, part.start, part.start, part.fingerprint))
        row = self._taken[part.log]
        begins_file = part.start == part.end and part.start.generation > row.position.generation
        if part.start != row.position and not begins_file:
            raise AssertionError(f"{part.log}: lines from {row.position} to {part.start} did not come")
        if begins_file:
            self._end_file(row)
            self._begin_file(part.log, part.start.generation)
        self._taken[part.log] = replace(
            row,
            path=part.path,
            position=part.end,
            fingerprint=part.fingerprint,
            read=row.read + part.stored + len(part.rejected),
            stored=row.stored + part.stored,
            rejected=Counter(row.rejected) + Counter(line.reason for line in part.rejected),
            gaps=(row.gaps + part.gaps)[-GAPS_KEPT:],
            newest=max(row.newest, part.newest),
        )
        self._changed.add(part.log)

    def changed(self) -> tuple[tuple[LedgerRow, ...], tuple[FileRow, ...]]:
        """The rows that the next commit changes."""
        return tuple(self._taken[log] for log in self._changed), tuple(self._files[key] for key in self._changed_files)

    def uncommitted(self) -> tuple[Stretch, ...]:
        """The requests that the next commit counts."""
        starts = {log: row.position for log, row in self.committed.items()}
        return self._stretches(starts, {log: self._taken[log].position for log in self._changed})

    def commit(self, rows: Iterable[LedgerRow], files: Iterable[FileRow]) -> None:
        """These rows are committed: all that were changed, or those of a commit that was done again."""
        for row in rows:
            self.committed[row.log] = self._taken[row.log] = row
        self._files.update({FileKey(row.log, row.generation): row for row in files})
        self._changed.clear()
        self._changed_files.clear()

    def not_rolled_up(self) -> tuple[Stretch, ...]:
        """The committed requests that the roll-ups lack."""
        return self._stretches(self.rolled_up, self.positions())

    def positions(self) -> dict[str, Position]:
        """Through which position each log is committed, where the roll-ups have another one."""
        return {log: row.position for log, row in self.committed.items() if row.position != self.rolled_up.get(log)}

    def _stretches(self, starts: Mapping[str, Position], ends: Mapping[str, Position]) -> tuple[Stretch, ...]:
        """What lies between these positions of each log, by file."""
        found = []
        for log, end in ends.items():
            start = starts.get(log, self._taken[log].first)
            for generation in range(start.generation, end.generation + 1):
                file = self._files.get(FileKey(log, generation))
                if file is None:
                    # A generation in which nothing was read.
                    continue
                first = start.offset if generation == start.generation else 0
                last = end.offset if generation == end.generation else file.end or 0
                if first < last:
                    found.append(Stretch(self.file(log, generation), first, last))
        return tuple(found)

    def _begin_file(self, log: str, generation: int) -> None:
        """Give a new file its place: in its log's lane behind the last one, or in a new lane."""
        before = [row for row in self._files.values() if row.log == log]
        if before:
            last = max(before, key=attrgetter("base", "generation"))
            lane, base = last.lane, last.base + -(-(last.end or 0) // LANE_STEP) * LANE_STEP
        else:
            lane, base = 1 + max((row.lane for row in self._files.values()), default=-1), 0
        key = FileKey(log, generation)
        self._files[key] = FileRow(log, generation, lane, base)
        self._changed_files.add(key)

    def _end_file(self, row: LedgerRow) -> None:
        key = FileKey(row.log, row.position.generation)
        self._files[key] = replace(self._files[key], end=row.position.offset, fingerprint=row.fingerprint)
        self._changed_files.add(key)


def read_logs(storage: Storage) -> Logs:
    """How far the store's writer is."""
    logs, files, rolled_up = until_stored(storage.read_logs)
    return Logs(
        [decode_log(log, row) for log, row in logs.items()],
        [decode_file(*key, row) for key, row in files.items()],
        {log: decode_position(row) for log, row in rolled_up.items()},
    )
