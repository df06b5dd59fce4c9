"""Retires a writer: adds its rows to those of the writer `archive`, by numbered commits of the archive.

    resume the writer -> its row `retired` -> a commit for each of its days -> a commit for its logs

A commit of a day adds each row of the writer to that of the archive, and empties it in the same write where the store
can: no reader counts it twice. A redo adds to the archive's rows with a lower number, as every redo, and empties the
others. The rows of the day are removed before the ledger, so a day that has any is not retired yet.

The requests stay where they are until they expire. Nothing is counted under this name again.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TypeVar

from msgspec import structs

from log_processor.counting.limits import LIMITS, Limits
from log_processor.counting.logs import GAPS_KEPT
from log_processor.counting.start import start
from log_processor.process.retry import until_stored
from rollups.counts import NO_COUNTS, DailyAggregate, DailyKey, RollupKey, RollupKind, RollupRow, RollupSegmentKey
from rollups.daily import DailyDelta, add
from rollups.groups import ALL_CUSTOMERS, OTHER, empty
from rollups.refolding import Refolding
from rollups.rows import encode_daily, encode_rollup
from rollups.rules import DEFAULT
from storage.contract import Storage
from storage.errors import StorageRefused
from storage.kept import decode_kept, encode_kept, merged
from storage.keys import IntentKey, Key, LogKey, StateKey
from storage.ledger import Intent, Ledger, decode_intent, decode_ledger, encode_intent, encode_ledger
from storage.logs import LedgerRow, Position, decode_log, encode_log

# Rows that are moved by one write: their number, and characters of their text.
_ROWS_A_WRITE = 500
_CHARACTERS_A_WRITE = 2 << 20
_NOTHING = DailyAggregate(NO_COUNTS, NO_COUNTS)

SomeKey = TypeVar("SomeKey")


def retire(storage: Storage, archive: Storage, writer: str, limits: Limits = LIMITS) -> bool:
    """Retire a writer. Returns whether there was anything left to do.

    `storage`, `archive`: connections as the writer and as the archive. Acquires both leases. Raises LeaseHeld where a
    processor of the writer runs, StorageRefused where the store has no such writer, or another one was broken off while
    it was retired.
    """
    is_retired = bool(storage.read_state("retired"))
    if not is_retired and not storage.read_state("counts") and not storage.read_state("report"):
        raise StorageRefused(f"This store has no writer {writer}.")
    token = storage.acquire()
    mover = _Mover(storage, archive, writer, limits)
    logs = mover.broken_off_logs()
    if logs is None:
        days = storage.counted_days()
        rows, _, _ = storage.read_logs()
        if is_retired and not days and not rows and mover.broken_off is None:
            return False
        counting = start(storage, token, "", limits, rules=None, may_be_retired=True)
        counting.rollups.finish(math.inf)
        counting.counts.close()
        mover.rules = counting.rollups.rules
        until_stored(partial(storage.write, {StateKey("retired"): "1"}))
        broken_off = mover.broken_off.days if mover.broken_off is not None else ()
        for day in sorted({*until_stored(storage.counted_days), *broken_off}):
            mover.move_day(day)
        logs = mover.logs_after()
    mover.move_logs(logs)
    return True


class _Mover:
    """The commits of the archive that take over a writer's rows."""

    def __init__(self, storage: Storage, archive: Storage, writer: str, limits: Limits) -> None:
        self._storage = storage
        self._archive = archive
        self._writer = writer
        self._limits = limits
        self._token = archive.acquire()
        self._number = until_stored(lambda: decode_ledger(archive.read_state("counts"))).number
        text = until_stored(partial(archive.read_intent, self._number + 1))
        self.broken_off: Intent | None = until_stored(partial(decode_intent, text)) if text else None
        """The intent of the commit that was broken off; it is the next one."""
        self.rules = DEFAULT
        """The rules that tell which paths get a name: the writer's latest."""
        if self.broken_off is not None and self.broken_off.retired != writer:
            raise StorageRefused(f"Writer {self.broken_off.retired} is not retired yet: retire it first.")

    def broken_off_logs(self) -> tuple[LedgerRow, ...] | None:
        """The archive's rows of logs after a commit that was broken off; None if that is none of logs."""
        return self.broken_off.logs if self.broken_off is not None and not self.broken_off.days else None

    def logs_after(self) -> tuple[LedgerRow, ...]:
        """The archive's rows of the writer's logs, with what the writer has read."""
        of_archive, _, _ = until_stored(self._archive.read_logs)
        rows, _, _ = until_stored(self._storage.read_logs)
        return tuple(
            _sum(decode_log(log, row), decode_log(log, of_archive[log]) if log in of_archive else None)
            for log, row in rows.items()
        )

    def move_day(self, day: int) -> None:
        """A commit that takes over the counts of a day."""
        self._begin((day,), ())
        daily, rollups = until_stored(partial(self._storage.read_day, day))
        self._move(self._moved_daily(daily))
        self._move(self._moved_rollups(rollups))
        until_stored(partial(self._storage.remove_day, day))
        self._end()

    def move_logs(self, logs: tuple[LedgerRow, ...]) -> None:
        """The last commit, which takes over the rows of logs and removes everything that the writer has left."""
        self._begin((), logs)
        rows: dict[Key, str] = {LogKey(row.log): encode_log(row) for row in logs}
        until_stored(partial(self._archive.write, rows, {StateKey("requests"): self._kept()}))
        until_stored(self._storage.remove_writer)
        self._end()

    def _kept(self) -> str:
        """Which requests the writer and the archive have stored."""
        texts = [until_stored(partial(storage.read_state, "requests")) for storage in (self._archive, self._storage)]
        return encode_kept(merged(*map(decode_kept, texts)))

    def _begin(self, days: tuple[int, ...], logs: tuple[LedgerRow, ...]) -> None:
        self._number += 1
        intent = Intent(
            self._number,
            self._token,
            (),
            0,
            0,
            0,
            logs=logs,
            # A reader may have read rows in the middle of the commit.
            customers=None,
            days=days,
            ledger=Ledger(self._number),
            retired=self._writer,
        )
        until_stored(partial(self._archive.write, {IntentKey(self._number): encode_intent(intent)}))
        until_stored(self._archive.check_lease)
        until_stored(self._storage.check_lease)

    def _end(self) -> None:
        until_stored(partial(self._archive.write, {StateKey("counts"): encode_ledger(Ledger(self._number))}))
        until_stored(self._archive.compact)

    def _move(self, moves: Iterator[tuple[dict[Key, str], dict[Key, str]]]) -> None:
        """Write rows of the archive together with those of the writer that they replace."""
        rows: dict[Key, str] = {}
        emptied: dict[Key, str] = {}
        for of_archive, of_writer in moves:
            rows |= of_archive
            emptied |= of_writer
            if len(rows) + len(emptied) >= _ROWS_A_WRITE or sum(map(len, rows.values())) >= _CHARACTERS_A_WRITE:
                until_stored(partial(self._archive.write_both, rows, self._storage, emptied))
                rows, emptied = {}, {}
        if rows or emptied:
            until_stored(partial(self._archive.write_both, rows, self._storage, emptied))

    def _moved_daily(self, daily: dict[DailyKey, DailyAggregate]) -> Iterator[tuple[dict[Key, str], dict[Key, str]]]:
        """The daily aggregates, first that of all customers together, which every day has."""
        keys = sorted((key for key, row in daily.items() if row.statuses != NO_COUNTS), key=_all_first)
        for some in _divided(keys):
            before = until_stored(partial(self._archive.read_daily, some))
            for key in some:
                row = before.get(key, _NOTHING)
                yield self._moved_aggregate(key, row, daily[key]), {key: encode_daily(_NOTHING)}

    def _moved_aggregate(self, key: DailyKey, row: DailyAggregate, more: DailyAggregate) -> dict[Key, str]:
        if row.commit >= self._number:
            return {}
        after = add(DailyDelta(key, more.statuses, more.latencies), row, self._number)
        if key.customer == OTHER and more.first and not after.first:
            after = after._replace(first=self._number)
        return {key: encode_daily(after)}

    def _moved_rollups(
        self, rollups: dict[RollupSegmentKey, RollupRow]
    ) -> Iterator[tuple[dict[Key, str], dict[Key, str]]]:
        """The roll-ups, first those of all customers together, which every day has."""
        segments: dict[RollupKey, list[RollupSegmentKey]] = {}
        for segment in sorted(rollups, key=lambda key: (key.group < ALL_CUSTOMERS, key)):
            segments.setdefault(_rollup_of(segment), []).append(segment)
        for some in _divided(list(segments)):
            before = until_stored(partial(self._archive.read_rollups, some))
            for key in some:
                own = segments[key]
                refolding = Refolding([rollups[segment] for segment in own], self._limits.row_characters, self.rules)
                if refolding.is_empty:
                    continue
                rows: list[dict[Key, str]] = [
                    {RollupSegmentKey(*key, row.segment): encode_rollup(row)}
                    for row in refolding.add(before.get(key, empty(key.kind)), self._number)
                ]
                for earlier in rows[:-1]:
                    until_stored(partial(self._archive.write, earlier))
                emptied: dict[Key, str] = {segment: encode_rollup(empty(segment.kind)) for segment in own}
                yield {} if not rows else rows[-1], emptied


def _divided(keys: Sequence[SomeKey]) -> Iterator[Sequence[SomeKey]]:
    for first in range(0, len(keys), _ROWS_A_WRITE):
        yield keys[first : first + _ROWS_A_WRITE]


def _all_first(key: DailyKey) -> tuple[bool, str]:
    return key.customer is not None, key.customer or ""


def _rollup_of(key: RollupSegmentKey) -> RollupKey:
    """The roll-up of the archive that takes over a segment."""
    kind: RollupKind = "parts" if key.kind == "hours" else key.kind
    return RollupKey(key.group, key.day, kind)


def _sum(row: LedgerRow, other: LedgerRow | None) -> LedgerRow:
    """What was read of a log by a writer, and by writers of the archive."""
    nowhere = Position(0, 0)
    row = structs.replace(row, first=nowhere, position=nowhere)
    if other is None:
        return row
    return structs.replace(
        row,
        bytes=row.bytes + other.bytes,
        read=row.read + other.read,
        stored=row.stored + other.stored,
        rejected=Counter(row.rejected) + Counter(other.rejected),
        skipped=row.skipped + other.skipped,
        mended=Counter(row.mended) + Counter(other.mended),
        gaps=(*other.gaps, *row.gaps)[-GAPS_KEPT:],
        newest=max(row.newest, other.newest),
    )
