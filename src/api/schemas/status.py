"""The status of the service: how far the store is in each log."""

import os
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

from api.schemas.listing import CompleteThrough, Missing
from storage.logs import FileState
from storage.writers import MAIN


def _path(text: str) -> str:
    """The text of a path, with `\\xNN` for bytes that are not UTF-8: JSON has no such text."""
    return os.fsencode(text).decode(errors="backslashreplace")


PathText = Annotated[str, BeforeValidator(_path)]


class LogPosition(BaseModel):
    """A position in a log."""

    generation: int = Field(description="How often the log had been rotated.", examples=[0])
    offset: int = Field(
        description="Bytes from the beginning of that generation's file; in a partition of a topic, the offset of a "
        "record.",
        examples=[69340],
    )


class Gap(BaseModel):
    """Bytes of a log that were lost before they could be read: from the position to the end of its generation."""

    position: LogPosition
    reason: str


class ObservedEnd(BaseModel):
    """The end of the log as the processor last saw it. The processor reports once a second."""

    time: datetime
    age_seconds: float = Field(
        description="Above a few seconds: the processor is down. Below zero: a clock is wrong, see `clock_faults`.",
        examples=[0.4],
    )
    position: LogPosition = Field(description="Read through this position.")
    size: int = Field(description="Bytes in the file.", examples=[69340])


class FileStatus(BaseModel):
    """A file of a log, and how far the store is in it."""

    generation: int = Field(description="Its number among the files of the log.", examples=[0])
    path: PathText = Field(description="Where it was last seen.", examples=["/logs/log"])
    state: FileState = Field(
        description="live: at the log's path, or the newest file of a log without a path. open: elsewhere, and still "
        "read. closed: read to its end. copy: has the bytes of another file, so it is not read.",
        examples=["live"],
    )
    start: int = Field(description="The offset at which reading began.", examples=[0])
    offset: int = Field(description="Stored through this offset.", examples=[311])
    copy_of: int | None = Field(description="Of a copy: the generation of the other file.", examples=[None])


class LogStatus(BaseModel):
    """How far the store is in one log."""

    log: str = Field(examples=["api_requests"])
    writer: str = Field(default=MAIN, description="The name of the processor that stores the log.", examples=[MAIN])
    path: PathText = Field(description="Where the processor follows the log; of a backfilled file, where it was.")
    format: str = Field(
        description="The settings by which a backfilled file was read; empty for a log that is followed.", examples=[""]
    )
    first: LogPosition = Field(description="The position at which the store began.")
    position: LogPosition = Field(description="Stored through this position.")
    lines_read: int = Field(
        description="From `first` to `position`: stored, rejected and skipped lines.", examples=[1049]
    )
    lines_stored: int = Field(examples=[1042])
    lines_rejected: int = Field(examples=[3])
    rejected: dict[str, int] = Field(description="Rejected lines by reason.", examples=[{"fields": 2, "status": 1}])
    lines_skipped: int = Field(description="Comments and directives.", examples=[4])
    mended: dict[str, int] = Field(
        description="Stored requests with a mended field, by field. `duration`: invalid or out of bounds, stored as "
        "none. `status`: none was logged, or it was in a list. `encoding`, `control_character`: bytes of the customer "
        "or the path are stored as `\\xNN`. A request may count in several fields.",
        examples=[{"duration": 5}],
    )
    gaps: list[Gap] = Field(description="Bytes that were lost before they could be read.")
    files: list[FileStatus] = Field(
        description="The log's files that exist, or did when they were last seen; at most the last hundred."
    )
    newest_request: datetime | None = Field(description="The latest time of a stored request.")
    seen: ObservedEnd | None = Field(description="null: the processor has not reported on the log yet.")
    bytes_behind: int | None = Field(
        description="Bytes that the log had when it was last seen and that are not stored, without a line that is "
        "still being written. null: the log is a partition of a topic, see `records_behind`.",
        examples=[0],
    )
    records_behind: int | None = Field(
        default=None,
        description="Records that a partition of a topic had when it was last seen and that are not stored; null of a "
        "log in files.",
        examples=[None],
    )
    seconds_behind: float | None = Field(
        description="0 when nothing is behind; otherwise the age of `complete_through`, an upper bound. Below zero: "
        "a clock is wrong, see `clock_faults`.",
        examples=[0],
    )
    complete_through: CompleteThrough


class WriterStatus(BaseModel):
    """How far a writer is that was not retired."""

    writer: str = Field(description="WRITER of its processor.", examples=[MAIN])
    is_silent: bool = Field(
        description="Whether its processor has not reported for 15 s. A processor reports once a second, whether lines "
        "come or not.",
        examples=[False],
    )
    reported: datetime | None = Field(description="The time of its latest report. null: it has not reported yet.")
    age_seconds: float | None = Field(
        description="The age of that report. Below zero: a clock is wrong, see `clock_faults`.", examples=[0.4]
    )
    bytes_behind: int = Field(
        description="Bytes that its logs had when they were last seen and that are not stored.", examples=[0]
    )
    complete_through: CompleteThrough


class StoreStatus(BaseModel):
    """How far the store is in all logs."""

    complete_through: CompleteThrough
    missing: Missing
    clock_faults: list[str] = Field(
        description="Sentences about clocks that are wrong, and so are ages. Empty: none that is known.",
        examples=[[]],
    )
    writers: list[WriterStatus]
    logs: list[LogStatus]


class Health(BaseModel):
    """The service works; otherwise the HTTP status differs."""

    status: str = Field(default="ok", examples=["ok"])
