"""A partition of a topic as a log: its records as the bytes of files.

A partition's log has one file, until the topic is made anew, records are gone, or a record has more lines than any
before it. Then another file follows. A file's offsets are those of lines: a record has as many cells as the file allows
lines of a record, so each line has a cell of its own wherever records are missing.
"""

from dataclasses import dataclass

from msgspec import structs

from storage.damage import reading
from storage.logs import CELL_BYTES, FileRow, Position

_PATH = "kafka:"
# Lines of a record that a file may allow.
_LINES = (1, 1 << 10, 1 << 16, 1 << 22)
# Offset at which another file begins: SQLite's keys have 40 bits of it.
_MOST_OFFSET = 1 << 39


@dataclass(frozen=True, slots=True)
class TopicFile:
    """Which records of a partition a file has. Its text is the identity of the file's row."""

    topic_id: str
    """A topic that is deleted and made anew gets another id."""
    first: int
    """The offset of the record that lies at offset 0 of the file."""
    lines: int
    """The most lines of one record."""

    @classmethod
    def beginning(cls, topic_id: str, record: int, lines: int = 1) -> "TopicFile":
        """The file in which reading begins at a record. `lines`: of the record with the most lines."""
        most = next((most for most in _LINES if most >= lines), lines)
        # With one line a record, offsets then follow from those of the records alone.
        first = 0 if most == 1 and record * CELL_BYTES < _MOST_OFFSET // 2 else record
        return cls(topic_id, first, most)

    @classmethod
    def decode(cls, identity: str) -> "TopicFile":
        """The reverse of `str()`. Raises DamagedRow."""
        with reading("of a file of a topic", identity):
            topic_id, first, lines = identity.split()
            return cls(topic_id, int(first), int(lines))

    def __str__(self) -> str:
        return f"{self.topic_id} {self.first} {self.lines}"

    @property
    def record_bytes(self) -> int:
        return self.lines * CELL_BYTES

    def offset(self, record: int) -> int:
        """The offset in the file of a record's first line."""
        return (record - self.first) * self.record_bytes

    def record(self, offset: int) -> int:
        """The record at an offset of the file."""
        return self.first + offset // self.record_bytes

    def line(self, offset: int) -> int:
        """Which line of its record is at an offset of the file, from 0."""
        return offset % self.record_bytes // CELL_BYTES

    def holds(self, record: int, lines: int) -> bool:
        """Whether the file has room for a record of so many lines."""
        return lines <= self.lines and self.offset(record + 1) < _MOST_OFFSET


def path_of(topic: str, partition: int) -> str:
    """What the rows of a partition's log and of its files have as their path."""
    return f"{_PATH}{topic}/{partition}"


def is_partition(path: str) -> bool:
    return path.startswith(_PATH)


def with_records(row: FileRow) -> FileRow:
    """The row of a file with the offsets of records in place of its own."""
    file = TopicFile.decode(row.identity)
    return structs.replace(
        row, start=file.record(row.start), offset=file.record(row.offset), size=file.record(row.size)
    )


def record_at(position: Position, identity: str) -> Position:
    """A position in a file of this identity, with the offset of the record in place of the file's."""
    return position._replace(offset=TopicFile.decode(identity).record(position.offset))
