"""How far a writer is in a log and in each of its files; as text, which is the same in both stores.

The rows are structs of msgspec, because a commit makes and replaces some for each log. Dataclasses would take six times
as long.
"""

import json
from collections import Counter
from collections.abc import Mapping
from statistics import median_low
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct, structs

from request_log.line import MIN_LINE_BYTES, Mended, Reason
from storage.damage import reading, struct_of
from storage.keys import FileKey

BACKFILL = "backfill-"
"""Prefix of the names of logs that were backfilled: read once, and not followed."""
LAST_SECONDS = 5
"""Requests of which a log's row has the times, see LedgerRow.last_seconds."""
CELL_BYTES = MIN_LINE_BYTES
"""Bytes of a cell. A lane is divided into cells: each file begins at a cell, and no two lines begin in the same one."""


class Position(NamedTuple):
    """A place in a log: the number of one of its files, and the byte offset in that file.

    Files are numbered as they are found. Numbers say nothing about the order in which the files were written.
    """

    generation: int
    offset: int


class Gap(Struct, frozen=True):
    """Bytes of a log that could no longer be read: from `position` to the end of that file."""

    position: Position
    reason: str


class LedgerRow(Struct, frozen=True):
    """How far a writer is in a log, all its files together: a checkpoint with a balance.

    The balance is lines read = stored + rejected + skipped.
    """

    log: str
    path: str
    """Where the log is followed."""
    first: Position
    """Where the writer began to read: the beginning of the log, or its end at that time."""
    position: Position
    """Where reading continues in the file at the log's path, or in the last file that was there."""
    bytes: int = 0
    """Bytes read, of all files. Of a partition of a topic: records."""
    read: int = 0
    """Lines read, as in the balance."""
    stored: int = 0
    """Lines stored as requests."""
    rejected: Mapping[Reason, int] = msgspec.field(default_factory=Counter)
    skipped: int = 0
    """Lines that are comments, or directives for the lines after them."""
    mended: Mapping[Mended, int] = msgspec.field(default_factory=Counter)
    """Stored requests with a value that was mended, by kind of the value."""
    gaps: tuple[Gap, ...] = ()
    newest: int = 0
    """Unix time (s) of the latest stored request; 0 where there is none."""
    format: str = ""
    """The format settings with which a log was backfilled; "" for a followed log, whose settings may change."""
    last_seconds: tuple[int, ...] = ()
    """Unix times (s) of the stored requests that were read last, LAST_SECONDS at most, in the order of reading."""

    @property
    def reached(self) -> int:
        """The time (Unix, s) that the log has reached; 0 where it has no request. A single line with a time far from
        that of its neighbours does not move it, as it moves `newest`."""
        return median_low(self.last_seconds) if self.last_seconds else self.newest


FileState = Literal["live", "open", "closed", "copy"]
"""The state of a file at its last commit.

live    it was at the log's path, or was the newest file of a log without a path of its own
open    it was at another path, and is read on when it grows
closed  nothing more is read under its number: if it grows, the rest gets another number
copy    its bytes are those of another file of the log, so it is not read
"""


class FileRow(Struct, frozen=True):
    """A file of a log, and how far it is read."""

    log: str
    generation: int
    """The number of the file among those of its log."""
    lane: int = -1
    """The sequence of files, among all logs of the writer, in which its requests are stored. Files that are read at the
    same time are in different lanes. A copy is in none (-1)."""
    base: int = 0
    """Offset of the file in its lane (bytes): the files of a lane follow one another."""
    start: int = 0
    """Offset at which reading began (bytes). Bytes before it are not read under this number."""
    offset: int = 0
    """Offset up to which the file is read (bytes)."""
    size: int = 0
    """Bytes of the file when it was last seen."""
    state: FileState = "live"
    path: str = ""
    """Where the file was last seen."""
    identity: str = ""
    """Distinguishes the file from every other file, see log_processor.following.identity."""
    copy_of: int | None = None
    """The generation of the file that a copy has its bytes from."""
    gone: int = 0
    """The day (since 1970-01-01) on which the file was found to be gone; 0 where it was there when last looked for."""
    context: str = ""
    """What lines before `offset` say about lines after it. Of a W3C log: the `#Fields` in force. Of a log with
    wrappers: the streams whose unfinished line is left out."""


def encoded(values: object) -> str:
    """The values as JSON, without spaces. Structs become objects."""
    try:
        # A commit has a row for each log, and json takes ten times as long.
        return msgspec.json.encode(values).decode()
    except UnicodeEncodeError:
        # A path with bytes that are not UTF-8.
        return json.dumps(values, separators=(",", ":"))


def encode_log(row: LedgerRow) -> str:
    """The text of a log's row. The log's name is in its key."""
    values = structs.asdict(row) | {"gaps": [(*gap.position, gap.reason) for gap in row.gaps]}
    del values["log"]
    return encoded(values)


def decode_log(log: str, text: str) -> LedgerRow:
    """The reverse of `encode_log`. Raises DamagedRow."""
    with reading(f"of the log {log}", text):
        row = json.loads(text)
        gaps = [{"position": place, "reason": reason} for *place, reason in row["gaps"]]
        found = msgspec.convert({**row, "log": log, "gaps": gaps}, LedgerRow)
        return structs.replace(found, rejected=Counter(found.rejected), mended=Counter(found.mended))


def encode_file(row: FileRow) -> str:
    """The text of a file's row. Its log and generation are in its key."""
    _, _, *values = structs.astuple(row)
    return encoded(values)


def decode_file(log: str, generation: int, text: str) -> FileRow:
    """The reverse of `encode_file`. Raises DamagedRow."""
    with reading(f"of file {generation} of the log {log}", text):
        return struct_of([log, generation, *json.loads(text)], FileRow, 7)


def with_gap(row: LedgerRow, reason: str) -> LedgerRow:
    return structs.replace(row, gaps=(*row.gaps, Gap(row.position, reason)))


def forgotten(files: Mapping[FileKey, FileRow], oldest_day: int) -> list[FileKey]:
    """The files that were gone before a day (since 1970-01-01). The last file of a log stays, so that no number is
    given twice."""
    last = dict(sorted(files))
    return [key for key, row in files.items() if 0 < row.gone < oldest_day and key.generation < last[key.log]]
