"""The status of each log: what the ledger has of it, and what the processor has seen of it."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from msgspec import structs

from api.caching.change_feed import ChangeFeed
from api.caching.liveness import SILENT_SECONDS
from api.caching.progress import StoreProgress, WriterProgress
from api.caching.single_flight import SingleFlight
from api.schemas.status import FileStatus, Gap, LogPosition, LogStatus, ObservedEnd, StoreStatus, WriterStatus
from api.utc import to_datetime
from storage import observed
from storage.contract import Storage
from storage.logs import FileRow, LedgerRow, Position
from storage.observed import SAME_REPORT_SECONDS, bytes_behind, log_complete_through
from storage.topic_files import is_partition, record_at, with_records

# How far apart the clocks of two synchronized machines may be, in seconds. Times in logs are whole seconds.
CLOCK_TOLERANCE_SECONDS = 2.0
# The most files that are listed of a log.
MAX_FILES = 100


class LogsProgress:
    def __init__(
        self,
        progress: StoreProgress,
        observed: Sequence[tuple[str, observed.ObservedEnd]],
        logs: Sequence[tuple[str, LedgerRow]],
    ) -> None:
        """`observed`, `logs`: each with its writer.

        The arguments must be read in this order: otherwise a log could seem complete through a time at which it was
        not.
        """
        self.progress = progress
        self.logs = logs
        self.observed = {(writer, observed_end.log): observed_end for writer, observed_end in observed}

    @property
    def bytes_behind(self) -> int:
        """Bytes that the logs in files had when they were last seen and that are not stored."""
        return sum(self.bytes_behind_by_writer.values())

    @property
    def bytes_behind_by_writer(self) -> Counter[str]:
        return self._behind(of_partitions=False)

    @property
    def records_behind(self) -> int:
        """Records that the partitions of topics had when they were last seen and that are not stored."""
        return sum(self._behind(of_partitions=True).values())

    def _behind(self, of_partitions: bool) -> Counter[str]:
        found: Counter[str] = Counter()
        for writer, row in self.logs:
            seen = self.observed.get((writer, row.log))
            if seen is not None and is_partition(row.path) == of_partitions:
                found[writer] += bytes_behind(row, seen)
        return found

    def is_followed(self, writer: str, log: str) -> bool:
        """Whether the writer's latest report is also about this log.

        The observed end of a log that does not change is stored rarely, so it may be older than the report. One that
        is much younger was stored before the clock was set back.
        """
        seen, of_writer = self.observed.get((writer, log)), self.progress.writers.get(writer)
        return (
            seen is not None
            and of_writer is not None
            and of_writer.report is not None
            and abs(seen.time - of_writer.report.time) < SAME_REPORT_SECONDS
        )


class StatusReader:
    """Reads from the store what a status consists of, once for all callers at a time."""

    def __init__(self, storage: Storage, feed: ChangeFeed) -> None:
        self._storage = storage
        self._feed = feed
        self.logs: Callable[[], Awaitable[LogsProgress]] = SingleFlight(self._logs)
        self.files: Callable[[], Awaitable[list[tuple[str, FileRow]]]] = SingleFlight(storage.files)
        """All files of the logs, each with its writer."""

    async def status(self, now: float) -> StoreStatus:
        """The status at `now` (Unix time, s)."""
        return store_status(await self.logs(), await self.files(), now)

    async def _logs(self) -> LogsProgress:
        progress = await self._feed.poll()
        return LogsProgress(progress, await self._storage.observed_ends(), await self._storage.logs())


def store_status(logs: LogsProgress, files: Sequence[tuple[str, FileRow]], now: float) -> StoreStatus:
    """The status at `now` (Unix time, s). `files`: each with its writer."""
    of_logs: dict[tuple[str, str], list[FileRow]] = {}
    for writer, file in files:
        of_logs.setdefault((writer, file.log), []).append(file)
    return StoreStatus(
        complete_through=logs.progress.complete_through,
        missing=logs.progress.missing,
        clock_faults=clock_faults(logs, logs.progress.reported, now),
        writers=_writers(logs, now),
        logs=[_log_status(logs, writer, row, of_logs.get((writer, row.log), ()), now) for writer, row in logs.logs],
    )


def clock_faults(logs: LogsProgress, reported: float | None, now: float) -> list[str]:
    """Sentences about clocks that must be wrong: an age would be negative, or that of a processor that reports is not.

    `reported`: the time of the processor's latest report, `now`: the time of the api's clock (Unix times, s).
    """
    seen = reported if reported is not None else now
    faults = []
    if seen > now + CLOCK_TOLERANCE_SECONDS:
        faults.append(
            f"The processor reported at a time that is {seen - now:,.0f} s ahead of the api's clock. One of the two is "
            "wrong, or was set back since."
        )
    faults += [
        f"The processor of writer {name} reports times that are {now - writer.report.time:,.0f} s behind the api's "
        "clock. One of the two is wrong."
        for name, writer in logs.progress.going_on.items()
        # How long a processor is silent the api knows without its wall clock.
        if name not in logs.progress.missing
        and writer.report is not None
        and now - writer.report.time > SILENT_SECONDS + CLOCK_TOLERANCE_SECONDS
    ]
    faults += [
        f"The last requests of log {row.log} are {row.reached - max(now, seen):,.0f} s ahead of the clocks of the "
        "processor and the api. They are wrong, or were set back since, or the log's times are not UTC."
        for writer, row in logs.logs
        if row.reached > max(now, seen) + CLOCK_TOLERANCE_SECONDS and logs.is_followed(writer, row.log)
    ]
    return faults


def _writers(logs: LogsProgress, now: float) -> list[WriterStatus]:
    behind = logs.bytes_behind_by_writer
    return [
        WriterStatus(
            writer=name,
            is_silent=name in logs.progress.missing,
            reported=to_datetime(writer.report.time) if writer.report is not None else None,
            age_seconds=round(now - writer.report.time, 3) if writer.report is not None else None,
            bytes_behind=behind[name],
            complete_through=to_datetime(through) if (through := writer.complete_through) is not None else None,
        )
        for name, writer in logs.progress.going_on.items()
    ]


def _log_status(logs: LogsProgress, writer: str, row: LedgerRow, files: Sequence[FileRow], now: float) -> LogStatus:
    """The status of a log. `files`: all its files, also those that are gone."""
    seen = logs.observed.get((writer, row.log))
    of_topic = is_partition(row.path)
    if of_topic:
        row, seen, files = _in_records(row, seen, files)
    files = [file for file in files if not file.gone][-MAX_FILES:]
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
        first=_position(row.first),
        position=_position(row.position),
        lines_read=row.read,
        lines_stored=row.stored,
        lines_rejected=sum(row.rejected.values()),
        rejected={reason.value: lines for reason, lines in row.rejected.items()},
        lines_skipped=row.skipped,
        mended={field.value: requests for field, requests in row.mended.items()},
        gaps=[Gap(position=_position(gap.position), reason=gap.reason) for gap in row.gaps],
        files=[FileStatus.model_validate(file, from_attributes=True) for file in files],
        newest_request=to_datetime(row.newest) if row.newest else None,
        seen=_observed_end(seen, of_writer, now) if seen is not None else None,
        bytes_behind=None if of_topic else behind,
        records_behind=behind if of_topic else None,
        seconds_behind=0.0 if behind == 0 else round(now - complete, 3) if complete is not None else None,
        complete_through=to_datetime(complete) if complete is not None else None,
    )


def _in_records(
    row: LedgerRow, seen: observed.ObservedEnd | None, files: Sequence[FileRow]
) -> tuple[LedgerRow, observed.ObservedEnd | None, Sequence[FileRow]]:
    """The rows of a partition with the offsets of records in place of those in its files."""
    identities = {file.generation: file.identity for file in files}

    def record(position: Position) -> Position:
        identity = identities.get(position.generation)
        return record_at(position, identity) if identity else position

    gaps = tuple(structs.replace(gap, position=record(gap.position)) for gap in row.gaps)
    row = structs.replace(row, first=record(row.first), position=record(row.position), gaps=gaps)
    if seen is not None:
        size = record(Position(seen.position.generation, seen.size)).offset
        seen = structs.replace(seen, position=record(seen.position), size=size)
    return row, seen, [with_records(file) for file in files]


def _observed_end(seen: observed.ObservedEnd, of_writer: WriterProgress | None, now: float) -> ObservedEnd:
    """`of_writer`: None if the writer's latest report is not about this log."""
    time = seen.time
    if of_writer is not None and of_writer.report is not None:
        time = max(time, of_writer.report.time)
    return ObservedEnd(
        time=to_datetime(time), age_seconds=round(now - time, 3), position=_position(seen.position), size=seen.size
    )


def _position(position: Position) -> LogPosition:
    return LogPosition(generation=position.generation, offset=position.offset)
