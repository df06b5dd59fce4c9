"""Follows the logs, and sends what they have."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from confluent_kafka import KafkaException

from log_processor.following.collector import Collector
from log_processor.following.followed_logs import FollowedLogs
from log_processor.following.waiting import Waiter
from log_processor.kafka.shipment import FilePart, Seen, Shipment, partition_of, shipped_part, stored_name
from log_processor.parsing.chunk import Chunk, Part
from log_processor.process.shutdown import exit_now
from log_shipper.beginning import Begun, until_answered, until_stored
from log_shipper.notes import LogNote, Notes, SessionNote, log_note, log_record, session_record
from log_shipper.producer import RecordProducer
from request_log.line import SECONDS_A_DAY
from service.logs import logger
from service.private import touch_own
from storage.keys import FileKey
from storage.logs import FileRow, forgotten
from storage.owner import LeaseOwner

MOST_BYTES = 32 << 20
"""Bytes on their way to the broker at which the files have to wait."""
BEAT_SECONDS = 2.0
"""Time between two notes of a session, by which others know that it is alive."""
NOTE_SECONDS = 10.0
"""Time between two notes of a log that is sent on. A start reads again what came after them."""
SEEN_SECONDS = 1.0
"""Time between two records that say where the logs of a partition end, while lines are sent there."""
QUIET_SEEN_SECONDS = 5.0
"""The same, while no lines are sent."""
PROGRESS_SECONDS = 10.0
"""Time between two log lines about what is sent."""
SHORTEST_WAIT_SECONDS = 0.001
LONGEST_WAIT_SECONDS = 0.2
"""Bounds of a wait for lines."""
LONGEST_WAIT_SECONDS_BUSY = 0.01
"""Longest wait for lines while records are on their way."""
_RETRY_SECONDS = 0.5
FILE_DAYS = 45
"""Days for which a file that is gone is known."""

log = logger(__name__)


class Shipping:
    """Sends the lines of all logs in one session."""

    def __init__(self, shipper: str, begun: Begun, producer: RecordProducer, notes: Notes, heartbeat: Path) -> None:
        """`heartbeat`: a file to touch whenever the broker answers."""
        self._shipper = shipper
        self._session = begun.session
        self._producer = producer
        self._notes = notes
        self._heartbeat = heartbeat
        self._owner = str(LeaseOwner.this_process())
        self._known = begun.logs
        self._partitions = {name: known.partitions for name, known in begun.logs.items()}
        """Log -> the number of partitions among which it has its own, once that is noted."""
        self._held: deque[Chunk] = deque()
        """Chunks that wait until their logs are noted."""
        self._noting: set[str] = set()
        """Logs that are being noted."""
        self._fenced = set(begun.ends)
        self._sent_through = dict(begun.ends)
        """Partition -> the offset after the last record of this session that the broker has."""
        self._offsets = dict(begun.ends)
        """Partition -> as in a SessionNote."""
        self._sent = {
            FileKey(name, number): row for name, known in begun.logs.items() for number, row in known.files.items()
        }
        """The files as the broker has them."""
        self._dirty: set[str] = set()
        """Logs of which the broker has more than the notes say."""
        self._active: set[int] = set()
        """Partitions to which lines were sent since the last record that says where logs end."""
        self._is_beating = self._is_saying_ends = False
        """Whether the broker may not have the last such record yet. Then no further one follows."""
        self._next_beat = self._next_note = self._next_noting = 0.0
        self._next_seen = self._next_quiet_seen = 0.0
        self._next_progress = time.monotonic() + PROGRESS_SECONDS
        self._lines = self._lines_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether the files have to wait, because much is on its way."""
        return self._producer.bytes >= MOST_BYTES or bool(self._held)

    @property
    def is_busy(self) -> bool:
        return self._producer.bytes > 0

    def is_begun(self, file: FileKey) -> bool:
        """Whether the broker has a file's number."""
        return file in self._sent

    def take_over(self, wait: Callable[[float], bool]) -> None:
        """Note how far the logs are, and remove the notes of sessions before. Raises Stopped."""
        for name, known in self._known.items():
            self._note_log(name, known.is_begun)
        until_stored(self._producer, wait)
        self._beat()
        for name, sessions in self._notes.logs.items():
            if name.startswith(stored_name(self._shipper, "")):
                for session in sessions:
                    if session < self._session:
                        self._producer.note(self._notes.topic, log_record(name, session, None))

    def begin_logs(self, names: list[str], wait: Callable[[float], bool]) -> None:
        """Note in which partitions new logs are, before it is known where they begin. Raises Stopped."""
        partitions = until_answered(self._notes.partitions, wait)
        self._begin_logs([name for name in names if name not in self._partitions], partitions, is_begun=False)
        until_stored(self._producer, wait)

    def note_begun(self, names: list[str], wait: Callable[[float], bool]) -> None:
        """Note that the topic has where these logs begin, once it has. Raises Stopped."""
        until_stored(self._producer, wait)
        for name in names:
            self._note_log(name, is_begun=True)
        until_stored(self._producer, wait)

    def send(self, chunk: Chunk) -> None:
        """Send a chunk: a record for each of its logs."""
        self._held.append(chunk)
        self._send_held(time.monotonic())

    def work(self, logs: FollowedLogs, now: float) -> None:
        """Do what is due: say where the logs end, that the session is alive, and how far the logs are. `now`: monotonic
        seconds."""
        self._producer.poll()
        self._send_held(now)
        if now >= self._next_beat and not self._is_beating:
            is_note_due = now >= self._next_note
            if self._refuse_superseded(is_note_due) and is_note_due:
                self.note_logs()
                self._next_note = now + NOTE_SECONDS
            self._beat()
            self._next_beat = now + BEAT_SECONDS
        if now >= self._next_seen and not self._is_saying_ends and not self._held:
            is_quiet_due = now >= self._next_quiet_seen
            self._say_ends(logs, None if is_quiet_due else self._active)
            self._active.clear()
            self._next_seen = now + SEEN_SECONDS
            if is_quiet_due:
                self._next_quiet_seen = now + QUIET_SEEN_SECONDS
        if now >= self._next_progress:
            behind = sum(end.bytes_behind for end in logs.observed_ends())
            if self._lines or behind or self._producer.bytes:
                log.info(
                    "shipped",
                    lines=self._lines,
                    bytes=self._lines_bytes,
                    bytes_behind=behind,
                    bytes_on_their_way=self._producer.bytes,
                )
            self._lines = self._lines_bytes = 0
            self._next_progress = now + PROGRESS_SECONDS

    def note_logs(self) -> None:
        """Note how far the logs are that were sent on since they were noted."""
        for name in self._dirty:
            self._note_log(name, is_begun=True)
        self._dirty.clear()
        self._offsets = dict(self._sent_through)

    def release(self) -> None:
        """Note that the session has ended by itself."""
        self.note_logs()
        self._beat(released=True)

    def _send_held(self, now: float) -> None:
        """Send the chunks whose logs are noted. Logs that are not are noted, which may take as long as it takes."""
        while self._held:
            chunk = self._held[0]
            new = {part.log for part in chunk.parts} - self._partitions.keys()
            if new:
                if not new <= self._noting and now >= self._next_noting:
                    self._next_noting = now + _RETRY_SECONDS
                    with suppress(KafkaException):
                        partitions = self._notes.partitions(_RETRY_SECONDS)
                        self._begin_logs(sorted(new - self._noting), partitions, is_begun=True)
                return
            self._held.popleft()
            by_log: dict[str, list[tuple[Part, bytes]]] = {}
            place = 0
            for part in chunk.parts:
                by_log.setdefault(part.log, []).append((part, chunk.lines[place : place + part.length]))
                place += part.length
            for name, parts in by_log.items():
                self._send_log(name, parts)
            self._lines += chunk.lines.count(b"\n")
            self._lines_bytes += len(chunk.lines)

    def _begin_logs(self, names: list[str], partitions: int, is_begun: bool) -> None:
        """Note these logs, and fence predecessors off their partitions. They are noted when the broker has both.
        `is_begun`: see LogNote."""
        unfenced = {partition_of(stored_name(self._shipper, name), partitions) for name in names} - self._fenced
        missing = len(names) + len(unfenced)
        self._noting.update(names)

        def stored(_offset: int) -> None:
            nonlocal missing
            missing -= 1
            if not missing:
                self._partitions.update(dict.fromkeys(names, partitions))
                self._noting.difference_update(names)

        for partition in unfenced:

            def fenced(offset: int, partition: int = partition) -> None:
                self._fenced.add(partition)
                self._sent_through[partition] = self._offsets[partition] = offset + 1
                stored(offset)

            self._producer.ship(partition, Shipment(self._shipper, self._session, partitions), b"", fenced)
        for name in names:
            note = log_note(partitions, is_begun, {})
            record = log_record(stored_name(self._shipper, name), self._session, note)
            self._producer.note(self._notes.topic, record, stored)

    def _partition(self, name: str) -> int:
        return partition_of(stored_name(self._shipper, name), self._partitions[name])

    def _send_log(self, name: str, parts: list[tuple[Part, bytes]]) -> None:
        partition = self._partition(name)
        shipped: list[FilePart] = []
        values: list[bytes] = []
        for part, lines in parts:
            of_file, value = shipped_part(part, lines)
            shipped.append(of_file)
            values.append(value)

        def stored(offset: int) -> None:
            self._sent_through[partition] = offset + 1
            for part, _ in parts:
                key = FileKey(name, part.start.generation)
                row = self._sent.get(key) or FileRow(name, key.generation, start=part.start.offset)
                self._sent[key] = part.row_after(row)
            self._dirty.add(name)

        shipment = Shipment(self._shipper, self._session, self._partitions[name], name, tuple(shipped))
        self._producer.ship(partition, shipment, b"".join(values), stored)
        self._active.add(partition)

    def _say_ends(self, logs: FollowedLogs, partitions: set[int] | None) -> None:
        """Say in these partitions, or in all of them, where the logs end."""
        if partitions is not None and not partitions:
            return
        by_partition: dict[int, list[Seen]] = {}
        for end in logs.observed_ends():
            if end.log in self._partitions and (partitions is None or self._partition(end.log) in partitions):
                seen = Seen(end.log, end.time, *end.position, end.size, end.bytes_behind)
                by_partition.setdefault(self._partition(end.log), []).append(seen)
        for partition, ends in by_partition.items():

            def stored(offset: int, partition: int = partition) -> None:
                self._sent_through[partition] = offset + 1
                self._is_saying_ends = False

            self._is_saying_ends = True
            self._producer.ship(partition, Shipment(self._shipper, self._session, 1, seen=tuple(ends)), b"", stored)

    def _note_log(self, name: str, is_begun: bool) -> None:
        rows = {key.generation: row for key, row in self._sent.items() if key.log == name}
        note: LogNote = log_note(self._partitions[name], is_begun, rows)
        self._producer.note(self._notes.topic, log_record(stored_name(self._shipper, name), self._session, note))

    def _beat(self, released: bool = False) -> None:
        today = int(time.time()) // SECONDS_A_DAY
        for key in forgotten(self._sent, today - FILE_DAYS):
            del self._sent[key]
        note = SessionNote(self._session, self._owner, released, dict(self._offsets), self._session)

        def stored(_offset: int) -> None:
            self._is_beating = False
            with suppress(OSError):
                touch_own(self._heartbeat)

        self._is_beating = True
        self._producer.note(self._notes.topic, session_record(self._shipper, note), stored)

    def _refuse_superseded(self, to_end: bool) -> bool:
        """End the program where another session has taken over: nobody takes what this one sends. `to_end`: look at all
        notes that are there now. Returns whether that could be."""
        try:
            if to_end:
                self._notes.read_to_end(_RETRY_SECONDS)
            else:
                self._notes.read()
        except KafkaException as error:
            log.debug("broker_unavailable", reason=str(error.args[0]))
            return False
        note = self._notes.sessions.get(self._shipper)
        if note is not None and note.session > self._session:
            log.error("session_superseded", session=self._session, by=note.session, lines_lost=0)
            exit_now(1)
        return True


def follow(
    shipping: Shipping, logs: FollowedLogs, collector: Collector, waiter: Waiter, wait: Callable[[float], bool]
) -> None:
    """Send what the logs have, until a signal asks for a shutdown."""
    while not wait(0.0):
        now = time.monotonic()
        logs.discover(now)
        waiter.look()
        logs.look(now)
        logs.look_at_files()
        chunks = collector.collect(now) if not shipping.is_full else []
        for chunk in chunks:
            shipping.send(chunk)
        shipping.work(logs, now)
        if shipping.is_full:
            wait(LONGEST_WAIT_SECONDS_BUSY)
        elif not chunks and not collector.has_more:
            time.sleep(collector.pause())
            waiter.wait()
    for chunk in collector.flush():
        shipping.send(chunk)
