"""Where the processor last saw the end of a log, and how far the store is behind that."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from storage.logs import BACKFILL, LedgerRow, Position

# A processor reports on all logs that it follows within this time (s): an older sighting is of one that it does not.
SAME_REPORT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class ObservedEnd:
    """A log's file as the processor last saw it."""

    log: str
    time: float
    """Unix time, s."""
    position: Position
    """Through which the file at the log's path was read; the ledger may be a little behind."""
    size: int
    """Bytes of that file."""
    bytes_behind: int
    """Bytes of all its files that were not read, without a line that is still being written."""
    bytes: int
    """Bytes that were read of all its files; see LedgerRow."""


def encode_observed_end(row: ObservedEnd) -> str:
    """The text of a sighting, without its log's name."""
    return json.dumps([row.time, row.position, row.size, row.bytes_behind, row.bytes])


def decode_observed_end(log: str, text: str) -> ObservedEnd:
    """The reverse of `encode_observed_end`."""
    time, position, size, bytes_behind, read = json.loads(text)
    return ObservedEnd(log, time, Position(*position), size, bytes_behind, read)


def bytes_behind(row: LedgerRow, seen: ObservedEnd) -> int:
    """Bytes that the log's files had when they were seen and that are not stored now."""
    return max(0, seen.bytes + seen.bytes_behind - row.bytes)


def log_complete_through(row: LedgerRow, seen: ObservedEnd | None) -> float | None:
    """Unix time (s): when the log was seen, if all that it had then is stored; else that of the newest stored request,
    which tells nothing where it was in the future then."""
    if seen is None:
        return None
    if not bytes_behind(row, seen):
        return seen.time
    return row.newest if 0 < row.newest <= seen.time else None


def complete_through(rows: Sequence[LedgerRow], sightings: Mapping[str, ObservedEnd]) -> float | None:
    """Unix time (s), of several logs the least; of those that were seen lately, for the others are no longer followed,
    and of those that were not seen yet, but for logs that may have been read between two reports."""
    latest = max((sighting.time for sighting in sightings.values()), default=0.0)
    times = [
        log_complete_through(row, sightings.get(row.log))
        for row in rows
        if (
            sightings[row.log].time > latest - SAME_REPORT_SECONDS
            if row.log in sightings
            else not row.log.startswith(BACKFILL)
        )
    ]
    known = [time for time in times if time is not None]
    return min(known) if known and len(known) == len(times) else None
