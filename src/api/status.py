"""How far the store is in each log, from the ledger and what the processor saw last."""

from collections.abc import Sequence
from datetime import datetime, timezone
from hashlib import blake2b

from pydantic_core import to_json

from api.models import LogStatus, MissingPart, Place, Seen, StoreStatus
from rollups.counts import Position
from storage.contract import BACKFILL, LedgerRow, Sighting
from storage.lag import bytes_behind

# The processor reports on all logs that it follows at once.
SAME_REPORT_SECONDS = 10.0


class Progress:
    """How far the store is: its ledger, and the processor's latest sightings."""

    def __init__(self, ledger: Sequence[LedgerRow], sightings: Sequence[Sighting]) -> None:
        self.ledger = ledger
        self.sightings = sightings
        self.ledger_hash = blake2b(repr(ledger).encode(), digest_size=16).digest()
        """Another one as soon as the ledger has moved."""
        self.complete_through = _utc_or_none(_complete_through(ledger, sightings))
        """That of all counts that are asked for after this, and not before."""
        self.complete_through_json = to_json(self.complete_through)
        pending = [row.pending.oldest for row in ledger if row.pending is not None]
        self.broken_down_through_json = self.complete_through_json
        """The same of the breakdowns."""
        if self.complete_through is not None and pending:
            self.broken_down_through_json = to_json(min(self.complete_through, _utc(min(pending))))


def store_status(progress: Progress, now: float) -> StoreStatus:
    """The status at `now` (Unix time, s)."""
    seen = {sighting.log: sighting for sighting in progress.sightings}
    return StoreStatus(
        complete_through=progress.complete_through,
        logs=[_log_status(row, seen.get(row.log), now) for row in progress.ledger],
    )


def _log_status(row: LedgerRow, seen: Sighting | None, now: float) -> LogStatus:
    behind = bytes_behind(row, seen) if seen is not None else None
    complete = _log_complete_through(row, seen)
    return LogStatus(
        log=row.log,
        path=row.path,
        first=_place(row.first),
        position=_place(row.position),
        lines_read=row.read,
        lines_stored=row.stored,
        lines_rejected=sum(row.rejected.values()),
        rejected={reason.value: lines for reason, lines in row.rejected.items()},
        gaps=[MissingPart(position=_place(gap.position), reason=gap.reason) for gap in row.gaps],
        newest_request=_utc_or_none(row.newest or None),
        seen=_seen(seen, now) if seen is not None else None,
        bytes_behind=behind,
        seconds_behind=0.0 if behind == 0 else round(max(0.0, now - complete), 3) if complete is not None else None,
        complete_through=_utc_or_none(complete),
    )


def _seen(seen: Sighting, now: float) -> Seen:
    return Seen(
        time=_utc(seen.time),
        age_seconds=round(max(0.0, now - seen.time), 3),
        position=_place(seen.position),
        size=seen.size,
    )


def _complete_through(ledger: Sequence[LedgerRow], sightings: Sequence[Sighting]) -> float | None:
    """Unix time (s), of several logs the least; of those that the latest report has, for the others are no longer
    followed, and of those that none has yet, but for logs that may have been read between two reports."""
    latest = max((sighting.time for sighting in sightings), default=0.0)
    seen = {sighting.log: sighting for sighting in sightings}
    times = [
        _log_complete_through(row, seen.get(row.log))
        for row in ledger
        if (seen[row.log].time > latest - SAME_REPORT_SECONDS if row.log in seen else not row.log.startswith(BACKFILL))
    ]
    known = [time for time in times if time is not None]
    return min(known) if known and len(known) == len(times) else None


def _log_complete_through(row: LedgerRow, seen: Sighting | None) -> float | None:
    """When the log was seen, if all that it had then is stored; else the time of the newest stored request, which tells
    nothing where it was in the future then."""
    if seen is None:
        return None
    if not bytes_behind(row, seen):
        return seen.time
    return row.newest if 0 < row.newest <= seen.time else None


def _place(position: Position) -> Place:
    return Place(generation=position.generation, offset=position.offset)


def _utc(time: float) -> datetime:
    """Unix time (s) as a date and time."""
    return datetime.fromtimestamp(time, timezone.utc)


def _utc_or_none(time: float | None) -> datetime | None:
    return _utc(time) if time is not None else None
