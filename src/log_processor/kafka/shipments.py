"""What a partition's shippers have sent, taken in record by record: each byte of a file once, and in its order.

A record is taken, dropped or refused. It is decided by the records before it alone, so a start decides as before.

dropped   It is of a session that another one has superseded, or the bytes came before. Its successor sends them.
cut       A part of its bytes came before. The rest is taken.
a gap     Bytes between two records never came. Reading goes on after them.
refused   It lies in the wrong partition, is damaged, or contradicts what came before.
"""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import structs

from log_processor.following.identity import Identity
from log_processor.kafka.shipment import Seen, Shipment, part_of, partition_of, stored_name
from log_processor.parsing.chunk import Part
from storage.damage import reading
from storage.errors import DamagedRow
from storage.keys import FileKey
from storage.logs import FileRow, Gap, LedgerRow, Position
from storage.observed import ObservedEnd
from storage.topic_files import is_partition

MISSING = "its lines did not come: the records with them are gone from the topic, or were refused"
"""The reason of a gap between two records."""
MISPLACED = "it lies in the wrong partition"
DAMAGED = "its header says what cannot be"
CONTRADICTS = "it is not of the file that came under this number before"
CUTS_A_LINE = "what came before ends within one of its lines"
NUMBERED_BEFORE = "its file has the number of an earlier file"
MOST_SHIPPERS = 1_000
"""Shippers of a partition whose sessions are known: the latest ones."""


class Taken(NamedTuple):
    parts: tuple[tuple[Part, bytes], ...] = ()
    """What is taken of it, each with its lines."""
    begins: tuple[Part, ...] = ()
    """States of files that have to be stored first. Then the record is to be taken again."""
    dropped: str = ""
    """Why it, or some of it, is dropped."""
    refused: str = ""
    """Why it is refused."""


class Refused(Exception):
    """The record is refused."""


class Shipments:
    """How far the logs of a partition came."""

    def __init__(self, partition: int, context: str, logs: Iterable[LedgerRow], files: Iterable[FileRow]) -> None:
        """`context`: as it was when these rows were committed. `logs`, `files`: rows of the partition's writer. That of
        the partition itself may be among them."""
        self._partition = partition
        self.sessions = _sessions(context)
        """Shipper -> the number of its highest session."""
        self.files: dict[FileKey, FileRow] = {}
        self._numbers: dict[str, int] = {}
        """Log -> the number after those of its files."""
        self._bytes = {row.log: row.bytes for row in logs if not is_partition(row.path)}
        """Log -> bytes that came, of all its files."""
        self._seen: dict[str, ObservedEnd] = {}
        for row in files:
            if row.log in self._bytes:
                self._note(row)

    @property
    def context(self) -> str:
        """What the records so far say about the next ones: the sessions."""
        return sessions_text(self.sessions)

    @property
    def logs(self) -> frozenset[str]:
        """The logs of which anything came."""
        return frozenset(self._bytes)

    def observed_ends(self, is_late: bool) -> list[ObservedEnd]:
        """The ends of the logs as their shippers observed them. `is_late`: whether a log of which nothing was heard is
        taken for one that nobody follows."""
        silent = self._bytes.keys() - self._seen.keys() if is_late else ()
        nothing = [ObservedEnd(log, 0.0, Position(0, 0), 0, 0, self._bytes[log]) for log in silent]
        return [*self._seen.values(), *nothing]

    def take(self, shipment: Shipment, value: bytes) -> Taken:
        if shipment.log and (
            shipment.partitions < 1 or partition_of(shipment.name, shipment.partitions) != self._partition
        ):
            return Taken(refused=MISPLACED)
        if sum(part.length for part in shipment.parts) != len(value):
            return Taken(refused=DAMAGED)
        if shipment.session < self.sessions.get(shipment.shipper, 0):
            return Taken(dropped="another session has superseded its session")
        self._begin_session(shipment)
        files = dict[FileKey, FileRow]()
        taken: list[tuple[Part, bytes]] = []
        begins: list[Part] = []
        is_dropped = False
        place = 0
        try:
            for shipped in shipment.parts:
                lines = value[place : place + shipped.length]
                place += shipped.length
                part, lines = part_of(shipment.name, shipped, lines)
                if not _is_sound(part, lines):
                    raise Refused(DAMAGED)
                key = FileKey(part.log, part.start.generation)
                row = files.get(key) or self.files.get(key)
                if key not in self.files and part.start != part.end:
                    gaps = _gap_before(part) if row is None else ()
                    row = row or self._begun(part)
                    begins.append(_state(part, row, gaps))
                    files[key] = row
                    continue
                row = row or self._begun(part)
                fitted = list(_fitted(row, part, lines))
                is_dropped |= not fitted or fitted[-1][0].start.offset > part.start.offset
                taken += fitted
                for one, _ in fitted:
                    row = one.row_after(row)
                files[key] = row
        except Refused as refused:
            return Taken(refused=str(refused))
        if begins:
            for part in begins:
                self._note(files[FileKey(part.log, part.start.generation)])
            return Taken(begins=tuple(begins))
        for row in files.values():
            self._note(row)
        if shipment.log:
            self._bytes.setdefault(shipment.name, 0)
        for part, _ in taken:
            self._bytes[part.log] = self._bytes.get(part.log, 0) + part.end.offset - part.start.offset
        for seen in shipment.seen:
            self._observe(shipment, seen)
        return Taken(tuple(taken), dropped="its bytes came before" if is_dropped else "")

    def take_at_once(self, shipment: Shipment, value: bytes) -> Taken:
        """Take in the next record where no file has to be stored before its lines."""
        taken = self.take(shipment, value)
        return self.take(shipment, value) if taken.begins else taken

    def _begin_session(self, shipment: Shipment) -> None:
        self.sessions[shipment.shipper] = shipment.session
        if len(self.sessions) > MOST_SHIPPERS:
            # Numbers of sessions follow the clock.
            del self.sessions[min(self.sessions, key=lambda name: (self.sessions[name], name))]

    def _begun(self, part: Part) -> FileRow:
        """The row of a new file, of which nothing is taken yet."""
        number = part.start.generation
        if number < self._numbers.get(part.log, 0):
            raise Refused(NUMBERED_BEFORE)
        offset = part.start.offset
        return FileRow(part.log, number, start=offset, offset=offset, state=part.state, path=part.path)

    def _note(self, row: FileRow) -> None:
        self.files[FileKey(row.log, row.generation)] = row
        self._numbers[row.log] = max(self._numbers.get(row.log, 0), row.generation + 1)

    def _observe(self, shipment: Shipment, seen: Seen) -> None:
        log = stored_name(shipment.shipper, seen.log)
        if log in self._bytes:
            position = Position(seen.file, seen.offset)
            self._seen[log] = ObservedEnd(log, seen.time, position, seen.size, seen.behind, self._bytes[log])


def sessions_text(sessions: Mapping[str, int]) -> str:
    """The context that says these sessions."""
    return json.dumps(sessions, separators=(",", ":"), sort_keys=True) if sessions else ""


def _sessions(context: str) -> dict[str, int]:
    """The reverse of `sessions_text`. Raises DamagedRow."""
    with reading("of a file of a topic, its sessions", context):
        sessions: dict[str, int] = json.loads(context or "{}")
        return {str(shipper): int(number) for shipper, number in sessions.items()}


def _fitted(row: FileRow, part: Part, lines: bytes) -> list[tuple[Part, bytes]]:
    """What is taken of a part of a file that came so far as its row says. Raises Refused."""
    start, end, offset = part.start.offset, part.end.offset, row.offset
    number = part.start.generation
    if not _may_be_same(Identity.decode(part.identity), Identity.decode(row.identity)):
        raise Refused(CONTRADICTS)
    if start > offset:
        missing = _state(part, row, (Gap(Position(number, offset), MISSING),))
        moved = structs.replace(missing, end=part.start, identity=row.identity)
        return [(moved, b""), (part, lines)]
    if start == offset:
        return [(part, lines)]
    if end < offset:
        return []
    if end == offset:
        # The state may be news.
        return [(structs.replace(part, start=part.end, length=0, gaps=(), overlong=None), b"")]
    cut = offset - start
    if part.overlong is not None or (lines and lines[cut - 1 : cut] != b"\n"):
        raise Refused(CUTS_A_LINE)
    left = lines[cut:]
    return [
        (structs.replace(part, start=Position(number, offset), length=len(left), gaps=(), context=row.context), left)
    ]


def _state(part: Part, row: FileRow, gaps: tuple[Gap, ...]) -> Part:
    """Says the state of a part's file where its row is."""
    at = Position(part.start.generation, row.offset)
    return structs.replace(part, start=at, end=at, length=0, gaps=gaps, overlong=None, context_after=part.context)


def _gap_before(part: Part) -> tuple[Gap, ...]:
    """The gap at the beginning of a file whose first records did not come."""
    return (Gap(Position(part.start.generation, 0), MISSING),) if part.start.offset else ()


def _is_sound(part: Part, lines: bytes) -> bool:
    """Whether a part can be. Its lines have their places in the file: more of them would take the places of others."""
    try:
        Identity.decode(part.identity)
    except DamagedRow:
        return False
    size = part.end.offset - part.start.offset
    if part.overlong is not None:
        return 0 < part.overlong.length <= size
    # Zeros of a file are not sent. A file's last line may lack its newline, which is sent all the same.
    return size >= 0 and len(lines) in (0, size, size + 1) and (not lines or lines.endswith(b"\n"))


def _may_be_same(one: Identity, other: Identity) -> bool:
    """Whether two identities, each at some offset, may be of one file."""
    if one.head_at == other.head_at and 0 < one.length == other.length and one.head != other.head:
        return False
    marks = {mark.offset: mark.digest for mark in one.marks}
    return all(marks.get(mark.offset, mark.digest) == mark.digest for mark in other.marks)
