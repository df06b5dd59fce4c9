"""How far the writer is in each log and in each of its files: what was taken in, and how much of that is committed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec import structs

from log_processor.parsing.batch import BatchPart
from log_processor.process.retry import until_stored
from storage.contract import Storage
from storage.keys import FileKey
from storage.ledger import RolledUp, decode_rolled_up
from storage.logs import BACKFILL, CELL_BYTES, LAST_SECONDS, FileRow, LedgerRow, Position, decode_file, decode_log
from storage.requests import FileId, OffsetRange

# Gaps that the row of a log has: the latest ones.
GAPS_KEPT = 100
# Bytes of a lane that are left free after a file that an earlier process was reading: more than it may have stored
# and not committed. Those requests stay there if the file is gone.
UNCOMMITTED_BYTES = 2 << 30

Item = TypeVar("Item")


class Logs:
    """The rows of one writer's logs, and of their files."""

    def __init__(
        self, rows: Iterable[LedgerRow], files: Iterable[FileRow], rolled_up: Mapping[str, RolledUp], form: str = ""
    ) -> None:
        """`form`: the LedgerRow.format of a log that is backfilled."""
        self._form = form
        self.committed = {row.log: row for row in rows}
        self.files = {FileKey(row.log, row.generation): row for row in files}
        """The files as they are committed."""
        self.rolled_up = dict(rolled_up)
        """Log -> how far it is rolled up."""
        self._taken = dict(self.committed)
        self._taken_files = dict(self.files)
        self._changed: set[str] = set()
        self._changed_files: set[FileKey] = set()
        self._ends: dict[int, int] = {}
        """Lane -> its end (bytes)."""
        self._held: dict[int, FileKey] = {}
        """Lane -> the file in it that is read on."""
        self._numbers: Counter[str] = Counter()
        """Log -> the number after those of its files."""
        for key, row in self.files.items():
            self._note(key, row)
        self._may_have_uncommitted = set(self._held)
        """Lanes in which an earlier process may have stored requests after the end."""
        self._behind = {key for key, row in self.files.items() if row.offset > self._rolled_up_through(row)}
        """Files with requests that the roll-ups lack."""
        self._ahead = {key for key, row in self.files.items() if self._is_ahead(row)}
        """Files with requests that the roll-ups have and that were taken back from the counts."""

    @property
    def have_changed(self) -> bool:
        """Whether anything was taken in since the last commit."""
        return bool(self._changed)

    def file(self, log: str, generation: int) -> FileId:
        """The identity of a log's file, which is known before its first line is stored."""
        row = self._taken_files[FileKey(log, generation)]
        return FileId(log, generation, row.lane, row.base)

    def begin(self, row: LedgerRow) -> None:
        """Take in a new log."""
        self._taken[row.log] = row
        self._changed.add(row.log)

    def is_news(self, part: BatchPart) -> bool:
        """Whether a part has anything that was not taken in yet."""
        row = self._taken_files.get(FileKey(part.log, part.start.generation))
        return (
            row is None
            or part.end.offset > row.offset
            or bool(part.gaps)
            or (part.state, part.path, part.identity, part.gone) != (row.state, row.path, row.identity, row.gone)
        )

    def take(self, part: BatchPart) -> None:
        """Take in a part, which begins where the last part of its file ends.

        Raises AssertionError where lines between the two are missing.
        """
        key = FileKey(part.log, part.start.generation)
        row = self._taken_files.get(key)
        if row is None:
            row = self._begin_file(key, part)
        if part.start.offset != row.offset:
            raise AssertionError(f"{key}: lines from {row.offset} to {part.start.offset} did not come")
        log = self._taken[part.log]
        moves = part.state == "live" or not self._is_live(log)
        self._taken[part.log] = structs.replace(
            log,
            path=part.path if part.state == "live" else log.path,
            position=part.end if moves and part.state != "copy" else log.position,
            bytes=log.bytes + (part.end.offset - part.start.offset) // part.unit,
            read=log.read + part.stored + len(part.rejected) + part.skipped,
            stored=log.stored + part.stored,
            rejected=_sum(log.rejected, (line.reason for line in part.rejected)) if part.rejected else log.rejected,
            skipped=log.skipped + part.skipped,
            mended=_sum(log.mended, (line.what for line in part.mended)) if part.mended else log.mended,
            gaps=(log.gaps + part.gaps)[-GAPS_KEPT:],
            newest=max(log.newest, part.newest),
            last_seconds=(log.last_seconds + part.last_seconds)[-LAST_SECONDS:],
        )
        row = part.row_after(row)
        self._taken_files[key] = row
        self._note(key, row)
        self._changed.add(part.log)
        self._changed_files.add(key)

    def changed(self) -> tuple[tuple[LedgerRow, ...], tuple[FileRow, ...]]:
        """The rows of logs and of files that the next commit changes."""
        rows = tuple(self._taken[log] for log in self._changed)
        return rows, tuple(self._taken_files[key] for key in self._changed_files)

    def uncommitted(self) -> tuple[OffsetRange, ...]:
        """The ranges of requests that the next commit counts."""
        found = []
        for key in self._changed_files:
            row = self._taken_files[key]
            before = self.files.get(key)
            found += self._offset_range(key, before.offset if before is not None else row.start, row.offset)
        return tuple(found)

    def commit(self, rows: Iterable[LedgerRow], files: Iterable[FileRow]) -> None:
        """Note that these rows are committed: all changed ones, or those of a redone commit."""
        for row in rows:
            self.committed[row.log] = self._taken[row.log] = row
        for file in files:
            key = FileKey(file.log, file.generation)
            self.files[key] = self._taken_files[key] = file
            self._note(key, file)
            if file.offset > self._rolled_up_through(file):
                self._behind.add(key)
            if self._is_ahead(file):
                self._ahead.add(key)
        self._changed.clear()
        self._changed_files.clear()

    def not_rolled_up(self) -> tuple[OffsetRange, ...]:
        """The backlog of the roll-ups: ranges of committed requests that they lack."""
        found = []
        for key in sorted(self._behind):
            row = self.files[key]
            found += self._offset_range(key, self._rolled_up_through(row), row.offset)
        return tuple(found)

    def rolled_up_after(self) -> dict[str, RolledUp]:
        """How far the logs of the backlog are rolled up when the roll-ups have all that is committed."""
        logs = {key.log for key in self._behind}
        offsets: dict[str, dict[int, int]] = {log: {} for log in logs}
        numbers: Counter[str] = Counter()
        for key, row in self.files.items():
            if key.log in logs:
                numbers[key.log] = max(numbers[key.log], key.generation + 1)
                if row.state in ("live", "open"):
                    offsets[key.log][key.generation] = row.offset
        return {log: RolledUp(numbers[log], offsets[log]) for log in logs}

    def places(self) -> dict[str, RolledUp]:
        """How far each log is committed, with the offset of each file that is there and may still grow."""
        numbers: Counter[str] = Counter()
        offsets: dict[str, dict[int, int]] = {log: {} for log in self.committed}
        for key, row in self.files.items():
            numbers[key.log] = max(numbers[key.log], key.generation + 1)
            if not row.gone:
                offsets.setdefault(key.log, {})[key.generation] = row.offset
        return {log: RolledUp(numbers[log], of_log) for log, of_log in offsets.items()}

    def roll_up(self, rolled_up: Mapping[str, RolledUp]) -> None:
        """Note how far these logs are rolled up."""
        self.rolled_up.update(rolled_up)
        self._behind = {
            key for key in self._behind if self.files[key].offset > self._rolled_up_through(self.files[key])
        }
        self._ahead = {key for key in self._ahead if self._is_ahead(self.files[key])}

    def is_rolled_up(self, log: str) -> bool:
        """Whether the roll-ups have all committed requests of a log."""
        return not any(key.log == log for key in self._behind)

    def forget(self, keys: Iterable[FileKey]) -> None:
        """Note that the rows of these files were removed."""
        for key in keys:
            del self.files[key], self._taken_files[key]

    def forget_log(self, log: str) -> None:
        """Note that the rows of this log and of its files were removed."""
        self.forget([key for key in self.files if key.log == log])
        del self.committed[log], self._taken[log]
        self.rolled_up.pop(log, None)

    # Taking back the requests of a backfilled log.

    def with_offsets(self, log: str) -> RolledUp:
        """How far a log is rolled up, with the offset of each file, so that it stays the same when less is counted."""
        rows = [row for key, row in self.files.items() if key.log == log]
        return RolledUp(self._numbers[log], {row.generation: self._rolled_up_through(row) for row in rows})

    def without(self, key: FileKey, start: int, requests: int) -> tuple[LedgerRow, FileRow]:
        """The rows of a log and of its file once the requests after an offset are taken back. `requests`: how many.

        The file's row has no identity then: nothing is known of the bytes that were read.
        """
        row, log = self.files[key], self.committed[key.log]
        return (
            structs.replace(
                log,
                position=Position(key.generation, start),
                bytes=log.bytes - (row.offset - start),
                read=log.read - requests,
                stored=log.stored - requests,
            ),
            structs.replace(row, offset=start, state="closed", identity="", context=""),
        )

    def taken_back(self) -> tuple[OffsetRange, ...]:
        """The ranges of requests that the roll-ups have and that were taken back from the counts."""
        found = []
        for key in sorted(self._ahead):
            row = self.files[key]
            found += self._offset_range(key, row.offset, self._rolled_up_through(row))
        return tuple(found)

    def after_taking_back(self) -> dict[str, RolledUp]:
        """How far the logs of `taken_back` are rolled up after the roll-ups have taken those requests back, too."""
        found: dict[str, RolledUp] = {}
        for key in self._ahead:
            before = found.get(key.log) or self.with_offsets(key.log)
            offsets = {**before.offsets, key.generation: self.files[key].offset}
            found[key.log] = RolledUp(before.files, offsets)
        return found

    def _is_ahead(self, row: FileRow) -> bool:
        # Only a file that is taken back has no identity. In a store that was put back, roll-ups may be ahead, too.
        return not row.identity and row.state == "closed" and row.offset < self._rolled_up_through(row)

    def _rolled_up_through(self, row: FileRow) -> int:
        return self.rolled_up.get(row.log, RolledUp()).through(row)

    def _offset_range(self, key: FileKey, start: int, end: int) -> list[OffsetRange]:
        return [OffsetRange(self.file(*key), start, end)] if start < end else []

    def _is_live(self, log: LedgerRow) -> bool:
        row = self._taken_files.get(FileKey(log.log, log.position.generation))
        return row is not None and row.state == "live"

    def _begin_file(self, key: FileKey, part: BatchPart) -> FileRow:
        """The row of a new file. It lies in a lane of its log in which no other file is read on, or in a new lane."""
        if key.log not in self._taken:
            form = self._form if key.log.startswith(BACKFILL) else ""
            self.begin(LedgerRow(key.log, part.path, part.start, part.start, format=form))
        if key.generation < self._numbers[key.log]:
            raise AssertionError(f"{key}: files get ascending numbers")
        start = part.start.offset
        row = FileRow(key.log, key.generation, start=start, offset=start)
        if part.state == "copy":
            return row
        lanes = {row.lane for of_file, row in self._taken_files.items() if of_file.log == key.log and row.lane >= 0}
        free = sorted(lanes - self._held.keys())
        lane = free[0] if free else 1 + max(self._ends, default=-1)
        end = self._ends.get(lane, 0) + (UNCOMMITTED_BYTES if lane in self._may_have_uncommitted else 0)
        self._may_have_uncommitted.discard(lane)
        begin = -(-end // CELL_BYTES) * CELL_BYTES
        return structs.replace(row, lane=lane, base=max(0, begin - start // CELL_BYTES * CELL_BYTES))

    def _note(self, key: FileKey, row: FileRow) -> None:
        self._numbers[key.log] = max(self._numbers[key.log], key.generation + 1)
        if row.lane < 0:
            return
        self._ends[row.lane] = max(self._ends.get(row.lane, 0), row.base + row.offset)
        if row.state in ("live", "open"):
            self._held[row.lane] = key
        elif self._held.get(row.lane) == key:
            del self._held[row.lane]


def _sum(counts: Mapping[Item, int], more: Iterable[Item]) -> Counter[Item]:
    return Counter(counts) + Counter(more)


def read_logs(storage: Storage, form: str = "") -> Logs:
    """The logs of the store's writer. `form`: see Logs."""

    def read() -> Logs:
        logs, files, rolled_up = storage.read_logs()
        return Logs(
            [decode_log(log, row) for log, row in logs.items()],
            [decode_file(*key, row) for key, row in files.items()],
            {log: decode_rolled_up(row) for log, row in rolled_up.items()},
            form,
        )

    return until_stored(read)
