"""How far the store is in each log."""

from collections.abc import Sequence

from api.models import LogStatus, MissingPart, Place, Seen, StoreStatus
from api.progress import Progress, WriterProgress, utc
from storage.contract import LedgerRow, Position, Sighting
from storage.lag import SAME_REPORT_SECONDS, bytes_behind, log_complete_through


class LogsProgress:
    """How far each log is."""

    def __init__(
        self,
        progress: Progress,
        sightings: Sequence[tuple[str, Sighting]],
        logs: Sequence[tuple[str, LedgerRow]],
    ) -> None:
        """`sightings`, `logs`: each with its writer. Each was read after the one before it: so no log is told to be
        complete through a time at which it was not."""
        self.progress = progress
        self.logs = logs
        self.sightings = {(writer, sighting.log): sighting for writer, sighting in sightings}

    @property
    def bytes_behind(self) -> int:
        """Bytes that were there when the logs were seen last, and that are not stored."""
        found = ((row, self.sightings.get((writer, row.log))) for writer, row in self.logs)
        return sum(bytes_behind(row, seen) for row, seen in found if seen is not None)


def store_status(logs: LogsProgress, now: float) -> StoreStatus:
    """The status at `now` (Unix time, s)."""
    return StoreStatus(
        complete_through=logs.progress.complete_through,
        logs=[_log_status(logs, writer, row, now) for writer, row in logs.logs],
    )


def _log_status(logs: LogsProgress, writer: str, row: LedgerRow, now: float) -> LogStatus:
    seen, of_writer = logs.sightings.get((writer, row.log)), logs.progress.writers.get(writer)
    behind = bytes_behind(row, seen) if seen is not None else None
    complete = log_complete_through(row, seen)
    if seen is not None and of_writer is not None and _is_followed(seen, of_writer):
        complete = max((time for time in (complete, of_writer.complete_through) if time is not None), default=None)
    return LogStatus(
        log=row.log,
        writer=writer,
        path=row.path,
        first=_place(row.first),
        position=_place(row.position),
        lines_read=row.read,
        lines_stored=row.stored,
        lines_rejected=sum(row.rejected.values()),
        rejected={reason.value: lines for reason, lines in row.rejected.items()},
        gaps=[MissingPart(position=_place(gap.position), reason=gap.reason) for gap in row.gaps],
        newest_request=utc(row.newest) if row.newest else None,
        seen=_seen(seen, of_writer, now) if seen is not None else None,
        bytes_behind=behind,
        seconds_behind=0.0 if behind == 0 else round(max(0.0, now - complete), 3) if complete is not None else None,
        complete_through=utc(complete) if complete is not None else None,
    )


def _is_followed(seen: Sighting, of_writer: WriterProgress) -> bool:
    """Whether the writer's latest report is also about this log: what has not changed is stored again rarely."""
    return of_writer.report is not None and seen.time > of_writer.report.time - SAME_REPORT_SECONDS


def _seen(seen: Sighting, of_writer: WriterProgress | None, now: float) -> Seen:
    time = seen.time
    if of_writer is not None and of_writer.report is not None and _is_followed(seen, of_writer):
        time = max(time, of_writer.report.time)
    return Seen(
        time=utc(time),
        age_seconds=round(max(0.0, now - time), 3),
        position=_place(seen.position),
        size=seen.size,
    )


def _place(position: Position) -> Place:
    return Place(generation=position.generation, offset=position.offset)
