"""How far the store is in each log."""

from collections.abc import Sequence

from api.caching.progress import Progress, WriterProgress, utc
from api.schemas.statistics import FileStatus, LogStatus, MissingPart, Place, Seen, StoreStatus
from storage.logs import FileRow, LedgerRow, Position
from storage.observed import SAME_REPORT_SECONDS, ObservedEnd, bytes_behind, log_complete_through

# Clocks of two machines that are kept right are closer together than this; a log's times are whole seconds.
CLOCKS_AGREE_SECONDS = 2.0
# Files of a log that are listed.
FILES_SHOWN = 100


class LogsProgress:
    """How far each log is."""

    def __init__(
        self,
        progress: Progress,
        sightings: Sequence[tuple[str, ObservedEnd]],
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

    def is_followed(self, writer: str, log: str) -> bool:
        """Whether the writer's latest report is also about this log: what has not changed is stored again rarely. What
        was seen much later than that was seen before the clock was set back."""
        seen, of_writer = self.sightings.get((writer, log)), self.progress.writers.get(writer)
        return (
            seen is not None
            and of_writer is not None
            and of_writer.report is not None
            and abs(seen.time - of_writer.report.time) < SAME_REPORT_SECONDS
        )


def store_status(logs: LogsProgress, files: Sequence[tuple[str, FileRow]], now: float) -> StoreStatus:
    """The status at `now` (Unix time, s). `files`: each with its writer."""
    of_logs: dict[tuple[str, str], list[FileRow]] = {}
    for writer, file in files:
        if not file.gone:
            of_logs.setdefault((writer, file.log), []).append(file)
    return StoreStatus(
        complete_through=logs.progress.complete_through,
        clock_faults=clock_faults(logs, logs.progress.reported, now),
        logs=[
            _log_status(logs, writer, row, of_logs.get((writer, row.log), ())[-FILES_SHOWN:], now)
            for writer, row in logs.logs
        ],
    )


def clock_faults(logs: LogsProgress, reported: float | None, now: float) -> list[str]:
    """Sentences about clocks that cannot be right: each would make a negative age. `reported`: when the processor
    reported last, `now`: by the api's clock (Unix time, s)."""
    seen = reported if reported is not None else now
    faults = []
    if seen > now + CLOCKS_AGREE_SECONDS:
        faults.append(
            f"The processor reported at a time that is {seen - now:,.0f} s ahead of the api's clock. One of the two is "
            "wrong, or was set back since."
        )
    faults += [
        f"The newest request of log {row.log} is {row.newest - max(now, seen):,.0f} s ahead of the clocks of the "
        "processor and the api. They are wrong, or were set back since, or the log's times are not UTC."
        for writer, row in logs.logs
        if row.newest > max(now, seen) + CLOCKS_AGREE_SECONDS and logs.is_followed(writer, row.log)
    ]
    return faults


def _log_status(logs: LogsProgress, writer: str, row: LedgerRow, files: Sequence[FileRow], now: float) -> LogStatus:
    seen = logs.sightings.get((writer, row.log))
    of_writer = logs.progress.writers.get(writer) if logs.is_followed(writer, row.log) else None
    behind = bytes_behind(row, seen) if seen is not None else None
    complete = log_complete_through(row, seen)
    if of_writer is not None:
        complete = max((time for time in (complete, of_writer.complete_through) if time is not None), default=None)
    return LogStatus(
        log=row.log,
        writer=writer,
        path=row.path,
        format=row.format,
        first=_place(row.first),
        position=_place(row.position),
        lines_read=row.read,
        lines_stored=row.stored,
        lines_rejected=sum(row.rejected.values()),
        rejected={reason.value: lines for reason, lines in row.rejected.items()},
        lines_skipped=row.skipped,
        mended={what.value: requests for what, requests in row.mended.items()},
        gaps=[MissingPart(position=_place(gap.position), reason=gap.reason) for gap in row.gaps],
        files=[
            FileStatus(
                generation=file.generation,
                path=file.path,
                state=file.state,
                start=file.start,
                offset=file.offset,
                copy_of=file.copy_of,
            )
            for file in files
        ],
        newest_request=utc(row.newest) if row.newest else None,
        seen=_seen(seen, of_writer, now) if seen is not None else None,
        bytes_behind=behind,
        seconds_behind=0.0 if behind == 0 else round(now - complete, 3) if complete is not None else None,
        complete_through=utc(complete) if complete is not None else None,
    )


def _seen(seen: ObservedEnd, of_writer: WriterProgress | None, now: float) -> Seen:
    """`of_writer`: None where its latest report is not about this log."""
    time = seen.time
    if of_writer is not None and of_writer.report is not None:
        time = max(time, of_writer.report.time)
    return Seen(
        time=utc(time),
        age_seconds=round(now - time, 3),
        position=_place(seen.position),
        size=seen.size,
    )


def _place(position: Position) -> Place:
    return Place(generation=position.generation, offset=position.offset)
