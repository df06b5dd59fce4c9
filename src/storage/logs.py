"""How far a writer is in a log and in each of its files. As text, the same in both backends."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from request_log.line import Mended, Reason

BACKFILL = "backfill-"
"""What the names of logs begin with that were read once and are not followed."""


class Position(NamedTuple):
    """A place in a log: the number of one of its files, and the byte offset in that file.

    Files are numbered as they are found. Numbers say nothing about the order in which the files were written.
    """

    generation: int
    offset: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a log that could not be read any more: from `position` to the end of that file."""

    position: Position
    reason: str


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """How far a writer is in one log, all its files together: lines read = stored + rejected + skipped."""

    log: str
    path: str
    """Where the log is followed."""
    first: Position
    """Where the store began with this log: at its beginning, or at what was its end then."""
    position: Position
    """Through which the file at the log's path is read, or the last one that was there."""
    bytes: int = 0
    """Bytes that were read of all its files."""
    read: int = 0
    stored: int = 0
    rejected: Mapping[Reason, int] = field(default_factory=Counter)
    skipped: int = 0
    """Lines that are comments or say what the next ones mean."""
    mended: Mapping[Mended, int] = field(default_factory=Counter)
    """Of how many of the stored requests something was mended, by what it was."""
    gaps: tuple[Gap, ...] = ()
    newest: int = 0
    """Unix time (s) of the latest request stored; 0 where there is none."""
    format: str = ""
    """The settings by which a file was read that somebody handed in; "" for a log that is followed, whose settings may
    change."""


FileState = Literal["live", "open", "closed", "copy"]
"""Of a file when it was committed last.

live    it was at the log's path, or the newest of a log that has no path of its own
open    it was elsewhere, and is read on when it grows
closed  nothing more is read under its number; if it grows, the rest has another number
copy    its bytes are those of another file of the log, so it is not read
"""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of a log, and how far it is read."""

    log: str
    generation: int
    """Its number among the files of the log."""
    lane: int = -1
    """Where its requests lie, among all logs of the writer. Files that are read at a time have different lanes. A
    copy, of which nothing is stored, has none (-1)."""
    base: int = 0
    """Bytes of the lane before this file: files of a lane follow one another in it."""
    start: int = 0
    """Offset at which reading began: what is before it is not read under this number."""
    offset: int = 0
    """Offset through which it is read."""
    size: int = 0
    """Bytes that it had when it was seen last."""
    state: FileState = "live"
    path: str = ""
    """Where it was seen last."""
    identity: str = ""
    """Tells the file from every other, see log_processor.following.identity."""
    copy_of: int | None = None
    """The number of the file that a copy has its bytes from."""
    gone: int = 0
    """Since which day (since 1970-01-01) it is not there any more; 0: it is, or was when it was seen last."""
    context: str = ""
    """What it says before `offset` of what is behind it: of a W3C log the `#Fields` in force; of a wrapped one the
    streams of whose line more parts come that are left out."""


def encode_log(row: LedgerRow) -> str:
    """The text of a log's row, without its name."""
    return json.dumps(
        {
            "path": row.path,
            "first": row.first,
            "position": row.position,
            "bytes": row.bytes,
            "read": row.read,
            "stored": row.stored,
            "rejected": row.rejected,
            "skipped": row.skipped,
            "mended": row.mended,
            "gaps": [(*gap.position, gap.reason) for gap in row.gaps],
            "newest": row.newest,
            "format": row.format,
        },
        separators=(",", ":"),
    )


def decode_log(log: str, text: str) -> LedgerRow:
    """The reverse of `encode_log`."""
    row = json.loads(text)
    return LedgerRow(
        log=log,
        path=row["path"],
        first=Position(*row["first"]),
        position=Position(*row["position"]),
        bytes=row["bytes"],
        read=row["read"],
        stored=row["stored"],
        rejected=Counter({Reason(reason): lines for reason, lines in row["rejected"].items()}),
        skipped=row["skipped"],
        mended=Counter({Mended(what): requests for what, requests in row["mended"].items()}),
        gaps=tuple(Gap(Position(generation, offset), reason) for generation, offset, reason in row["gaps"]),
        newest=row["newest"],
        format=row["format"],
    )


def encode_file(row: FileRow) -> str:
    """The text of a file's row, without its log and generation."""
    values = [row.lane, row.base, row.start, row.offset, row.size, row.state, row.path, row.identity]
    return json.dumps([*values, row.copy_of, row.gone, row.context], separators=(",", ":"))


def decode_file(log: str, generation: int, text: str) -> FileRow:
    """The reverse of `encode_file`."""
    return FileRow(log, generation, *json.loads(text))


def with_gap(row: LedgerRow, reason: str) -> LedgerRow:
    """The log's row with a gap at its position."""
    return replace(row, gaps=(*row.gaps, Gap(row.position, reason)))
