"""A record that a shipper has sent: whole lines of a log's files, and a header that says which.

The record's value has the lines. Its header `shipped` is a JSON object, see Shipment. Its key is the log's name in the
store, and its partition is `crc32(name) % partitions`, as by librdkafka's partitioner `consistent`.
"""

import zlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from log_processor.parsing.chunk import Overlong, Part
from storage.logs import FileState, Gap, Position

HEADER = "shipped"
_BETWEEN = ":"
# Between the name of a shipper and that of a log. A shipper's name has none.

# A store has no room for any larger number, nor for longer names: whoever may write to the topic may write any header.
_Count = Annotated[int, Meta(ge=0, le=1 << 50)]
_Session = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_Text = Annotated[str, Meta(max_length=16_384)]
_ShipperName = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
_Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]


class FilePart(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whole lines of a file, from `start` up to `end`, or only the state of the file. See Part, which has the same."""

    file: _Count
    """The number of the file within its log."""
    start: _Count
    """Offset of the first byte."""
    end: _Count
    """Offset after the last byte."""
    identity: _Text = ""
    """The identity of the file at `end`."""
    length: _Count = 0
    """Bytes in the record's value."""
    path: _Text = ""
    state: FileState = "live"
    size: _Count = 0
    gaps: tuple[tuple[_Count, _Count, _Text], ...] = ()
    """Ranges that the shipper could not read any more: file, offset, and reason."""
    too_long: tuple[_Count, _Digest] | None = None
    """Length and hash of a line that is too long. The value has its beginning."""
    copy_of: _Count | None = None
    gone: _Count = 0
    context: _Text = ""
    context_after: _Text = ""


class Seen(msgspec.Struct, frozen=True):
    """The end of a log as its shipper observed it. See ObservedEnd."""

    log: _Text
    time: float
    """Unix time, s."""
    file: _Count
    offset: _Count
    """Up to where the file at the log's path is sent."""
    size: _Count
    """Bytes of that file."""
    behind: _Count
    """Bytes of all files of the log that are not sent."""


class Shipment(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the header of a record says. A record without a log has no lines, and only tells of its shipper."""

    shipper: _ShipperName
    session: _Session
    """The number of the shipper's session: higher than those of all sessions before."""
    partitions: _Count
    """The number of partitions among which the log has its partition."""
    log: _Text = ""
    """The name of the log at its shipper."""
    parts: tuple[FilePart, ...] = ()
    """Their lines are in the value, in this order."""
    seen: tuple[Seen, ...] = ()

    @property
    def name(self) -> str:
        return stored_name(self.shipper, self.log)


class Undecodable(Exception):
    """The header of a record is not that of a shipment."""


_decoder = msgspec.json.Decoder(Shipment)


def encode(shipment: Shipment) -> bytes:
    return msgspec.json.encode(shipment)


def decode(header: bytes) -> Shipment:
    """The reverse of `encode`. Raises Undecodable."""
    try:
        return _decoder.decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(str(error)) from None


def stored_name(shipper: str, log: str) -> str:
    return f"{shipper}{_BETWEEN}{log}"


def name_at_shipper(stored: str) -> str:
    return stored.partition(_BETWEEN)[2]


def partition_of(name: str, partitions: int) -> int:
    """The partition of a log that has this name in the store, of so many."""
    return zlib.crc32(name.encode()) % partitions


def shipped_part(part: Part, lines: bytes) -> tuple[FilePart, bytes]:
    """A part as it is sent, and its bytes of the value."""
    too_long = None
    if part.overlong is not None:
        too_long, lines = (part.overlong.length, part.overlong.digest.hexdigest()), part.overlong.beginning
    shipped = FilePart(
        part.start.generation,
        part.start.offset,
        part.end.offset,
        length=len(lines),
        path=part.path.encode(errors="backslashreplace").decode(),
        gaps=tuple((*gap.position, gap.reason) for gap in part.gaps),
        too_long=too_long,
        **_shared(part),
    )
    return shipped, lines


def part_of(log: str, part: FilePart, lines: bytes) -> tuple[Part, bytes]:
    """The reverse of `shipped_part`: the part, and its lines. `log`: the name in the store. `lines`: its bytes of the
    value."""
    overlong = None
    if part.too_long is not None:
        length, digest = part.too_long
        overlong, lines = Overlong(length, lines, digest=_KnownDigest(digest)), b""
    taken = Part(
        log,
        part.path,
        Position(part.file, part.start),
        Position(part.file, part.end),
        length=len(lines),
        gaps=tuple(Gap(Position(file, offset), reason) for file, offset, reason in part.gaps),
        overlong=overlong,
        **_shared(part),
    )
    return taken, lines


def _shared(part: Part | FilePart) -> dict[str, Any]:
    """The fields that are the same in both."""
    names = ("identity", "state", "size", "copy_of", "gone", "context", "context_after")
    return {name: getattr(part, name) for name in names}


class _KnownDigest:
    """The hash of a line that the shipper has read."""

    def __init__(self, digest: str) -> None:
        self._digest = digest

    def update(self, data: bytes, /) -> None:
        raise AssertionError("the line is whole")

    def hexdigest(self) -> str:
        return self._digest
