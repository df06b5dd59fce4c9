"""Where reading begins in a partition: by the rows of its writer, and by what the broker has."""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import structs

from log_processor.parsing.batch import BatchPart
from log_processor.parsing.chunk import Part
from storage.logs import FileRow, Gap, Position
from storage.topic_files import TopicFile

MADE_ANEW = "the topic was made anew: records that were not read are gone"
REMOVED = "the broker removed records before they were read"


class Place(NamedTuple):
    """A place in a partition's log."""

    log: str
    path: str
    generation: int
    file: TopicFile
    record: int
    """The offset of the next record."""
    context: str = ""
    """What the records before say about the next ones, see Shipments."""

    @property
    def position(self) -> Position:
        return Position(self.generation, self.file.offset(self.record))

    def part(self, record: int, context: str | None = None) -> Part:
        """The part of the file from here to a later record. `context`: that of the later record; None: as here."""
        end = Position(self.generation, self.file.offset(record))
        return Part(
            self.log,
            self.path,
            self.position,
            end,
            str(self.file),
            size=end.offset,
            context=self.context,
            context_after=self.context if context is None else context,
            unit=self.file.record_bytes,
        )

    def closed(self, today: int) -> Part:
        """Says that nothing more is read of the file. `today`: days since 1970-01-01."""
        return structs.replace(self.part(self.record), state="closed", gone=today)

    def next_file(self, file: TopicFile, record: int) -> "Place":
        """The place at which the next file of the log begins, with this record."""
        return Place(self.log, self.path, self.generation + 1, file, record, self.context)


class Beginning(NamedTuple):
    """Where reading begins, and what a commit has to say before."""

    place: Place
    before: tuple[BatchPart, ...]


def beginning(
    log: str, path: str, files: Iterable[FileRow], topic_id: str, low: int, end: int, today: int
) -> Beginning:
    """Where reading begins.

    `files`: the rows of the log's files. `topic_id`: of the topic that is there, with records from `low` until before
    `end`. `today`: days since 1970-01-01.
    """
    row = max(files, key=lambda row: row.generation, default=None)
    if row is None:
        first = Place(log, path, 0, TopicFile.beginning(topic_id, low), low)
        return Beginning(first, (_said(first.part(low)),))
    file = TopicFile.decode(row.identity)
    place = Place(log, path, row.generation, file, file.record(row.offset), row.context)
    if row.state == "live" and file.topic_id == topic_id and low <= place.record <= end:
        return Beginning(place, ())
    if file.topic_id != topic_id:
        reason, record = MADE_ANEW, low
    else:
        # The place is after the end where the partition has lost records that are counted.
        reason, record = REMOVED, min(max(low, place.record), end)
    closed = place.closed(today)
    if file.topic_id != topic_id or low > place.record:
        closed = structs.replace(closed, gaps=(Gap(place.position, reason),))
    following = place.next_file(TopicFile.beginning(topic_id, record, file.lines), record)
    return Beginning(following, (_said(closed), _said(following.part(record))))


def _said(part: Part) -> BatchPart:
    """A part without lines, as a commit takes it in."""
    return BatchPart(**structs.asdict(part))
