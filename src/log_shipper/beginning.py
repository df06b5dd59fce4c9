"""Begins a session of a shipper: waits for a predecessor that is alive, fences all others, and finds out how far each
log is sent.

The fence is a record in each partition that has the session's number. Processors take no record of a lower session
after it. So what is before the fence is all that predecessors have sent, whatever they send later. It is read back,
from where the notes say. This process takes it in as processors do, so both agree how far each log came.
"""

import random
import time
from collections.abc import Callable, Collection, Container, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from msgspec import structs

from log_processor.kafka.records import read_records
from log_processor.kafka.shipment import Shipment, Undecodable, decode, name_at_shipper, partition_of, stored_name
from log_processor.kafka.shipments import Shipments, sessions_text
from log_processor.process.shutdown import exit_now
from log_shipper.notes import Notes, SessionNote, session_record
from log_shipper.producer import RecordProducer
from service.logs import logger
from storage.logs import FileRow, LedgerRow, Position
from storage.owner import LeaseOwner

SILENT_SECONDS = 10.0
"""Silence after which a predecessor is taken for dead."""
_RETRY_SECONDS = 0.5
_SILENT_BROKER_SECONDS = 30.0
# Bits of a session's number that are drawn: two shippers that begin in one millisecond have other numbers.
_DRAWN_BITS = 20

_HOPELESS = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION)
Answer = TypeVar("Answer")

log = logger(__name__)


class Stopped(Exception):
    """A signal asks for a shutdown."""


class KnownLog(NamedTuple):
    partitions: int
    """See LogNote."""
    is_begun: bool
    files: Mapping[int, FileRow]
    """By their numbers."""

    def ledger_row(self, name: str) -> LedgerRow:
        """The row of the log, as who follows it asks for it."""
        return LedgerRow(name, "", Position(0, 0), Position(0, 0))


class Begun(NamedTuple):
    session: int
    logs: Mapping[str, KnownLog]
    """By their names at the shipper."""
    ends: dict[int, int]
    """Partition -> the offset after the fence."""


def begin_session(
    shipper: str,
    topic: str,
    producer: RecordProducer,
    notes: Notes,
    reader: dict[str, Any],
    wait: Callable[[float], bool],
) -> Begun:
    """Begin a session. `reader`: settings of a consumer. `wait`: waits for so many seconds, and returns whether a
    signal asks for a shutdown; then this raises Stopped."""
    until_answered(notes.begin, wait)
    owner = str(LeaseOwner.this_process())
    highest = 0
    while True:
        until_answered(notes.read_to_end, wait)
        _await_silence(shipper, notes, wait)
        before = notes.sessions.get(shipper)
        session = _number(max(highest, before.session if before is not None else 0))
        offsets, noted_by = (before.offsets, before.noted_by) if before is not None else ({}, 0)
        # A successor that begins now reads from where this one would.
        record = session_record(shipper, SessionNote(session, owner, offsets=offsets, noted_by=noted_by))
        producer.note(notes.topic, record)
        until_stored(producer, wait)
        partitions = until_answered(notes.partitions, wait)
        ends = fence(shipper, session, range(partitions), partitions, producer, wait)
        until_answered(notes.read_to_end, wait)
        logs = known_logs(shipper, notes)
        logs, highest = until_answered(partial(read_back, shipper, topic, logs, offsets, noted_by, ends, reader), wait)
        if highest <= session and notes.sessions[shipper].session == session:
            log.info("session_begun", session=session, logs=len(logs))
            return Begun(session, logs, ends)
        log.warning("session_superseded", session=session, by=max(highest, notes.sessions[shipper].session))


def fence(
    shipper: str,
    session: int,
    partitions: Collection[int],
    of: int,
    producer: RecordProducer,
    wait: Callable[[float], bool],
) -> dict[int, int]:
    """Fence the predecessors off these partitions, of so many. Returns the offset after each fence."""
    ends: dict[int, int] = {}
    for partition in partitions:

        def stored(offset: int, partition: int = partition) -> None:
            ends[partition] = offset + 1

        producer.ship(partition, Shipment(shipper, session, of), b"", stored)
    until_stored(producer, wait)
    return ends


def _number(above: int) -> int:
    now = time.time_ns() // 1_000_000 << _DRAWN_BITS
    return max(now, above + (1 << _DRAWN_BITS)) + random.getrandbits(_DRAWN_BITS)


def _await_silence(shipper: str, notes: Notes, wait: Callable[[float], bool]) -> None:
    """Wait until no other process works under this name."""
    is_said = False
    since = time.monotonic()
    while (note := notes.sessions.get(shipper)) is not None and not note.released:
        owner = LeaseOwner.decode(note.owner)
        if (
            owner == LeaseOwner.this_process()
            or owner.is_certainly_dead()
            or time.monotonic() - since >= SILENT_SECONDS
        ):
            return
        if not is_said:
            log.warning("shipper_awaited", shipper=shipper, owner=owner.named())
            is_said = True
        if wait(0.0):
            raise Stopped
        if shipper in until_answered(partial(notes.read, _RETRY_SECONDS), wait):
            since = time.monotonic()


def known_logs(shipper: str, notes: Notes) -> dict[str, KnownLog]:
    """The logs of a shipper, by their names there, as the notes have them."""
    found = {}
    prefix = stored_name(shipper, "")
    for name, sessions in notes.logs.items():
        if name.startswith(prefix) and sessions:
            note = sessions[max(sessions)]
            own = name_at_shipper(name)
            found[own] = KnownLog(note.partitions, note.is_begun, {row.generation: row for row in note.rows(own)})
    return found


def read_back(
    shipper: str,
    topic: str,
    noted: Mapping[str, KnownLog],
    offsets: Mapping[int, int],
    noted_by: int,
    ends: Mapping[int, int],
    reader: dict[str, Any],
) -> tuple[dict[str, KnownLog], int]:
    """How far the logs are sent, by their partitions, and the highest number of a session of this shipper.

    `noted`: how far they are by the notes. `offsets`, `noted_by`: see SessionNote. `ends`: partition -> the offset
    before which it is read.
    """
    by_partition: dict[int, list[str]] = {}
    for name, known in noted.items():
        by_partition.setdefault(partition_of(stored_name(shipper, name), known.partitions), []).append(name)
    found = {}
    highest = 0
    consumer = Consumer(reader)
    try:
        for partition, names in by_partition.items():
            stored = {stored_name(shipper, name): name for name in names}
            rows = [noted[name].ledger_row(log) for log, name in stored.items()]
            before = [
                structs.replace(row, log=log) for log, name in stored.items() for row in noted[name].files.values()
            ]
            shipments = Shipments(partition, sessions_text({shipper: noted_by}), rows, before)
            start, end = offsets.get(partition, 0), ends.get(partition, 0)
            for header, value in records_of(consumer, topic, partition, start, end):
                _take(shipments, header, value, stored)
            highest = max(highest, shipments.sessions.get(shipper, 0))
            for log, name in stored.items():
                files = {
                    key.generation: structs.replace(row, log=name)
                    for key, row in shipments.files.items()
                    if key.log == log
                }
                found[name] = KnownLog(noted[name].partitions, noted[name].is_begun or bool(files), files)
    finally:
        consumer.close()
    return found, highest


def _take(shipments: Shipments, header: bytes, value: bytes, logs: Container[str]) -> None:
    try:
        shipment = decode(header)
    except Undecodable:
        return
    if shipment.log and shipment.name not in logs:
        return
    taken = shipments.take_at_once(shipment, value)
    if taken.refused:
        log.warning("shipment_refused", log=shipment.name, reason=taken.refused)


def records_of(consumer: Consumer, topic: str, partition: int, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Header and value of the shipments in a partition, from an offset until before another one."""
    low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_SILENT_BROKER_SECONDS)
    if low > start:
        log.warning("records_missing", partition=partition, first=start, through=low)
    for records in read_records(consumer, topic, partition, max(low, start), end):
        yield from ((header, value) for header, value in records if header is not None)


def until_answered(ask: Callable[[], Answer], wait: Callable[[float], bool]) -> Answer:
    """What the broker answers, whenever it does. Raises Stopped. Ends the program where it never will."""
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() in _HOPELESS:
                log.error("broker_refused", reason=str(error.args[0]))
                exit_now(1)
            log.warning("broker_unavailable", reason=str(error.args[0]))
        if wait(_RETRY_SECONDS):
            raise Stopped


def until_stored(producer: RecordProducer, wait: Callable[[float], bool]) -> None:
    """Wait until the broker has all records. Raises Stopped."""
    while not producer.flush(_RETRY_SECONDS):
        if wait(0.0):
            raise Stopped
