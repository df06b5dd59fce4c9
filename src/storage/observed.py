"""The end of a log as the processor last observed it, and how far the store is behind it."""

import json
from collections.abc import Mapping, Sequence

from msgspec import Struct

from storage.damage import reading, struct_of
from storage.logs import BACKFILL, LedgerRow, Position, encoded

# Seconds within which a processor reports on all logs that it follows. An older observation is of a log that is no
# longer followed.
SAME_REPORT_SECONDS = 30.0


class ObservedEnd(Struct, frozen=True):
    log: str
    time: float
    """Unix time, s."""
    position: Position
    """Up to where the file at the log's path was read. The ledger may be a little behind."""
    size: int
    """Bytes of that file."""
    bytes_behind: int
    """Bytes of all files of the log that were not read, without a line that is still being written. Of a partition of a
    topic: records."""
    bytes: int
    """Bytes that were read, as LedgerRow.bytes."""


def encode_observed_end(row: ObservedEnd) -> str:
    """The text of an observed end. The log's name is in its key."""
    return encoded([row.time, row.position, row.size, row.bytes_behind, row.bytes])


def decode_observed_end(log: str, text: str) -> ObservedEnd:
    """The reverse of `encode_observed_end`. Raises DamagedRow."""
    with reading(f"of the observed end of the log {log}", text):
        return struct_of([log, *json.loads(text)], ObservedEnd, 6)


def bytes_behind(row: LedgerRow, seen: ObservedEnd) -> int:
    """Bytes that the log had when its end was observed and that are not stored now."""
    return max(0, seen.bytes + seen.bytes_behind - row.bytes)


def log_complete_through(row: LedgerRow, seen: ObservedEnd | None) -> float | None:
    """The Unix time (s) before which all requests of a log are stored, as far as is known; None where nothing is known.

    It is the time of the observation if all bytes of that moment are stored. Else it is the time that the log has
    reached, unless that was in the future when the log was observed.
    """
    if seen is None:
        return None
    if not bytes_behind(row, seen):
        return seen.time
    return row.reached if 0 < row.reached <= seen.time else None


def complete_through(rows: Sequence[LedgerRow], ends: Mapping[str, ObservedEnd]) -> float | None:
    """The least `log_complete_through` of several logs; None where it is not known of each. `ends`: by the log's name.

    Logs that were not observed lately are left out, because they are no longer followed. So are backfilled logs that
    were never observed, because they may have been read between two reports.
    """
    latest = max((end.time for end in ends.values()), default=0.0)
    times = [
        log_complete_through(row, ends.get(row.log))
        for row in rows
        if (ends[row.log].time > latest - SAME_REPORT_SECONDS if row.log in ends else not row.log.startswith(BACKFILL))
    ]
    known = [time for time in times if time is not None]
    return min(known) if known and len(known) == len(times) else None
