"""What shippers note in the topic `TOPIC.shippers`, which has one partition and is compacted.

session:SHIPPER          the session of a shipper, and from where a successor reads the partitions
log:SESSION:SHIPPER:LOG  the number of partitions among which a log has its partition, and how far its files are sent

The key of a log's note has the session, so that a shipper that was paused replaces no note of its successor. A note may
be late. What counts is in the headers of the log's partition: a start reads them from where the notes say.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from log_processor.kafka.records import PASSING
from storage.logs import FileRow, decode_file, encode_file

SUFFIX = ".shippers"
"""What the name of the notes' topic has after the name of the topic."""
MOST_BYTES = 8 << 20
"""Bytes of a record of notes."""
_SETTINGS = {"cleanup.policy": "compact", "max.message.bytes": str(MOST_BYTES)}
_ANSWER_SECONDS = 10.0
_SESSION, _LOG = "session:", "log:"
_OF_THE_BROKER = -1
"""The broker's own number of copies."""


class SessionNote(msgspec.Struct, frozen=True):
    session: int
    owner: str
    """See storage.owner.LeaseOwner."""
    released: bool = False
    """Whether the session has ended by itself."""
    offsets: dict[int, int] = {}
    """Partition -> offset from which a successor reads it. The notes of logs have what is before."""
    noted_by: int = 0
    """The session that has noted the offsets: its fence is before them, and nothing of an older one counts after it."""


class LogNote(msgspec.Struct, frozen=True):
    """How far a log is sent."""

    partitions: int
    """Among so many partitions the log has its own. It never changes."""
    is_begun: bool = False
    """Whether the topic has where the shipper has begun in the log."""
    files: tuple[tuple[int, str], ...] = ()
    """Number and row of each file, see storage.logs."""

    def rows(self, log: str) -> list[FileRow]:
        return [decode_file(log, number, row) for number, row in self.files]


def log_note(partitions: int, is_begun: bool, rows: Mapping[int, FileRow]) -> LogNote:
    """The note of a log. `rows`: of its files, by their numbers."""
    return LogNote(partitions, is_begun, tuple((number, encode_file(row)) for number, row in sorted(rows.items())))


class Notes:
    """Reads the notes. All methods raise KafkaException."""

    def __init__(self, topic: str, client: dict[str, Any], reader: dict[str, Any]) -> None:
        """`client`, `reader`: settings of librdkafka, of an administrator and of a consumer."""
        self.topic = topic + SUFFIX
        self.sessions: dict[str, SessionNote] = {}
        self.logs: dict[str, dict[int, LogNote]] = {}
        """Name of a log in the store -> session -> the log's note in that session."""
        self._of = topic
        self._admin = AdminClient(client)
        self._consumer = Consumer(reader)

    def partitions(self, seconds: float = _ANSWER_SECONDS) -> int:
        """The number of the topic's partitions now, if the broker answers within so many seconds."""
        found = self._admin.list_topics(self._of, timeout=seconds).topics[self._of]
        if found.error is not None:
            raise KafkaException(found.error)
        return len(found.partitions)

    def begin(self) -> None:
        """Make the topic of the notes where it is not there yet, and begin to read it."""
        if self.topic not in self._admin.list_topics(timeout=_ANSWER_SECONDS).topics:
            new = NewTopic(self.topic, 1, _OF_THE_BROKER, config=_SETTINGS)
            try:
                self._admin.create_topics([new], request_timeout=_ANSWER_SECONDS)[self.topic].result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        self._consumer.assign([TopicPartition(self.topic, 0, OFFSET_BEGINNING)])

    def read(self, seconds: float = 0.0) -> list[str]:
        """Take in the notes that have come, or wait for some for so long. Returns the shippers among them."""
        told = []
        for message in self._consumer.consume(1_000, seconds):
            error = message.error()
            if error is not None:
                if not error.retriable() and error.code() not in PASSING:
                    raise KafkaException(error)
                continue
            name = self._take((message.key() or b"").decode(errors="replace"), message.value())
            told += [name] if name else []
        return told

    def read_to_end(self, seconds: float = _ANSWER_SECONDS) -> None:
        """Take in all notes that are there now, if they come within so many seconds."""
        deadline = time.monotonic() + seconds
        _, end = self._consumer.get_watermark_offsets(TopicPartition(self.topic, 0), timeout=seconds)
        while not self._has_read(end):
            self.read(0.1)
            if time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    def close(self) -> None:
        self._consumer.close()

    def _has_read(self, end: int) -> bool:
        (position,) = self._consumer.position([TopicPartition(self.topic, 0)])
        return end == 0 or position.offset >= end

    def _take(self, key: str, value: bytes | None) -> str:
        """Take in a note. Returns the shipper whose session it tells; "" for another note."""
        try:
            if key.startswith(_SESSION):
                name = key.removeprefix(_SESSION)
                note = msgspec.json.decode(value or b"", type=SessionNote)
                # A shipper that was paused may still write of its own session.
                if note.session >= self.sessions.get(name, note).session:
                    self.sessions[name] = note
                    return name
            elif key.startswith(_LOG):
                session, _, log = key.removeprefix(_LOG).partition(":")
                notes = self.logs.setdefault(log, {})
                if value is None:
                    notes.pop(int(session), None)
                else:
                    notes[int(session)] = msgspec.json.decode(value, type=LogNote)
        except (msgspec.DecodeError, ValueError):
            # Whatever it is, no shipper of this version wrote it.
            return ""
        return ""


def session_record(shipper: str, note: SessionNote) -> tuple[bytes, bytes]:
    """Key and value of a session's note."""
    return f"{_SESSION}{shipper}".encode(), msgspec.json.encode(note)


def log_record(log: str, session: int, note: LogNote | None) -> tuple[bytes, bytes | None]:
    """Key and value of a log's note; None removes it. `log`: the name in the store."""
    return f"{_LOG}{session}:{log}".encode(), msgspec.json.encode(note) if note is not None else None
