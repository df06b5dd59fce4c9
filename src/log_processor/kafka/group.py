"""The consumer: it joins the group, reads the partitions that it is given, and says how far they are counted.

The callbacks run inside `consume`, in the thread of the dataflow. So they never wait for the sink, which is in the same
thread.

assigned   The partition is paused while a thread waits for its lease. Reading begins at the ledger's offset.
revoked    No commit begins any more. Rows that are being written are waited for, then the lease is released. The
           callback waits for that no longer than some seconds.
lost       Another process may have the partition, so nothing is released: its lease fences this process off.
"""

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from log_processor.kafka.assignment import Assignment, finished
from log_processor.kafka.reader import CHUNK_BYTES, PartitionReader
from log_processor.kafka.records import Text, header_of
from log_processor.kafka.watching import Broker
from log_processor.process import metrics
from log_processor.process.shutdown import exit_now
from log_processor.settings import ProcessorSettings
from log_processor.storing.dead_letters import DeadLetters
from service.logs import logger
from service.private import touch_own

MOST_RECORDS = 10_000
"""Records that are taken from librdkafka at once."""
RELEASE_SECONDS = 3.0
"""How long a callback waits until leases are released. Whoever gets the partition waits for the lease anyway."""
_LOOK_SECONDS = 1.0
# Seconds between two log lines about errors of the client.
_BETWEEN_ERRORS_SECONDS = 10.0
_HOPELESS = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION)

_Came = tuple[list[int], list[bytes], list[bytes | None]]
# Records of a partition: their offsets, values, and the headers of shipments.

log = logger(__name__)


class Group:
    def __init__(
        self,
        settings: ProcessorSettings,
        consumer: dict[str, Any],
        broker: Broker,
        text: Text,
        dead_letters: DeadLetters,
        stop: threading.Event,
    ) -> None:
        """`consumer`: settings of librdkafka. `text`: finds the lines of a record. Raises KafkaException where
        librdkafka refuses a setting."""
        self.assignments: dict[int, Assignment] = {}
        self._settings = settings
        self._topic = settings.kafka_topic
        self._broker = broker
        self._text = text
        self._dead_letters = dead_letters
        self._stop = stop
        self._finishing: dict[int, threading.Thread] = {}
        self._readers: dict[int, PartitionReader] = {}
        """The readers whose partitions are read."""
        self._ready: queue.SimpleQueue[PartitionReader] = queue.SimpleQueue()
        self._to_seek: list[PartitionReader] = []
        self._committed: dict[int, int] = {}
        self._next_commit = 0.0
        self._next_said: defaultdict[str, float] = defaultdict(float)
        """Event -> when it may be logged again, monotonic seconds."""
        self._mean_bytes = 100.0
        self._consumer = Consumer({**consumer, "error_cb": self._on_error})
        self._consumer.subscribe(
            [self._topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def read(self, longest_wait: float) -> None:
        """Take in what has come, or wait for it for so many seconds. Callbacks run here."""
        self._begin_reading()
        most = max(1, min(MOST_RECORDS, int(CHUNK_BYTES / self._mean_bytes)))
        messages = self._consumer.consume(most, 0.0)
        if not messages and longest_wait > 0:
            messages = self._consumer.consume(1, longest_wait)
        came: dict[int, _Came] = {}
        size = 0
        for message in messages:
            partition, offset = message.partition(), message.offset()
            if partition is None or offset is None or message.error() is not None:
                # All that came before it is taken in first.
                self._take(came)
                came = {}
                self._take_error(message, self._readers.get(partition) if partition is not None else None)
                continue
            value = message.value() or b""
            size += len(value)
            offsets, values, headers = came.get(partition) or came.setdefault(partition, ([], [], []))
            offsets.append(offset)
            values.append(value)
            headers.append(header_of(message))
        self._take(came)
        if messages:
            self._mean_bytes += (size / len(messages) - self._mean_bytes) * min(1.0, len(messages) / 100)
        self._commit(time.monotonic())

    def _take(self, came: Mapping[int, "_Came"]) -> None:
        for partition, (offsets, values, headers) in came.items():
            if partition in self._readers:
                self._readers[partition].add(offsets, values, headers)

    def reading(self) -> list[PartitionReader]:
        """The readers whose partitions are read."""
        return list(self._readers.values())

    def close(self, seconds: float) -> None:
        """Leave the group and release all leases, within so many seconds where the store answers."""
        threads = [self._end(partition, release=True) for partition in list(self.assignments)]
        finished(threads, seconds)
        self._consumer.close()

    # Callbacks.

    def _on_assign(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._assign(consumer, [found.partition for found in partitions])
        for found in partitions:
            self._begin(found.partition)
        metrics.PARTITIONS.set(len(self.assignments))

    def _on_revoke(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        finished([self._end(found.partition, release=True) for found in partitions], RELEASE_SECONDS)

    def _on_lost(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        for found in partitions:
            self._end(found.partition, release=False)

    def _on_error(self, error: KafkaError) -> None:
        if self._may_say("broker_unavailable"):
            log.warning("broker_unavailable", reason=str(error))
        if error.fatal() or error.code() in _HOPELESS:
            self._give_up(error)

    # Assignments.

    def _assign(self, consumer: Consumer, partitions: Sequence[int]) -> None:
        """Have the client take these partitions up, and read none of them yet."""
        # With an offset of its own, librdkafka does not ask the group for one.
        assigned = [TopicPartition(self._topic, partition, OFFSET_BEGINNING) for partition in partitions]
        consumer.incremental_assign(assigned)
        consumer.pause(assigned)

    def _begin(self, partition: int) -> None:
        self._committed.pop(partition, None)
        self.assignments[partition] = Assignment(
            partition,
            self._settings,
            self._broker,
            self._text,
            self._dead_letters,
            self._stop,
            self._finishing.get(partition),
            self._ready.put,
        )

    def _end(self, partition: int, release: bool) -> threading.Thread:
        self._readers.pop(partition, None)
        assignment = self.assignments.pop(partition, None)
        if assignment is not None:
            self._finishing[partition] = assignment.finish(release)
        metrics.PARTITIONS.set(len(self.assignments))
        return self._finishing[partition]

    def _begin_anew(self, partition: int) -> None:
        """Begin again with the partition's ledger, because the topic is not what it was."""
        # Only a new assignment makes the client forget what it knows of a topic that was deleted.
        self._consumer.incremental_unassign([TopicPartition(self._topic, partition)])
        self._assign(self._consumer, [partition])
        self._end(partition, release=True)
        self._begin(partition)

    def _begin_reading(self) -> None:
        """Resume the partitions whose leases were acquired."""
        while not self._ready.empty():
            self._to_seek.append(self._ready.get())
        self._to_seek = [reader for reader in self._to_seek if not reader.is_over]
        for reader in self._to_seek[:]:
            at = TopicPartition(self._topic, reader.partition, reader.place.record)
            try:
                self._consumer.seek(at)
                self._consumer.resume([at])
            except KafkaException as error:
                # The client has not taken the assignment up yet.
                log.debug("seek_failed", log=reader.name, reason=str(error))
                continue
            self._to_seek.remove(reader)
            self._readers[reader.partition] = reader

    def _take_error(self, message: Message, reader: PartitionReader | None) -> None:
        error = message.error()
        assert error is not None, "the message has an error"
        if error.code() == KafkaError._PARTITION_EOF:
            if reader is not None:
                offset = message.offset()
                assert offset is not None, "the end of a partition has an offset"
                reader.reach_end(offset)
        elif error.code() == KafkaError._AUTO_OFFSET_RESET:
            if reader is not None:
                log.warning("records_missing", log=reader.name, reason=str(error))
                self._begin_anew(reader.partition)
        elif error.code() == KafkaError._BAD_COMPRESSION:
            # The client asks for the records again and again: what cannot be read is not passed over.
            if self._may_say("records_unreadable"):
                name = f"{self._topic}-{message.partition()}"
                log.error("records_unreadable", log=name, record=message.offset(), reason=str(error))
        else:
            self._on_error(error)

    def _may_say(self, event: str) -> bool:
        """Whether an event that comes again and again is to be logged now."""
        now = time.monotonic()
        is_due = now >= self._next_said[event]
        if is_due:
            self._next_said[event] = now + _BETWEEN_ERRORS_SECONDS
        return is_due

    def _give_up(self, error: KafkaError) -> None:
        log.error("broker_refused", reason=str(error))
        exit_now(1)

    # What the broker and the group are told and asked.

    def _watch(self) -> None:
        """Ask each second for the ends of the partitions."""
        while not self._stop.wait(_LOOK_SECONDS):
            assignments = dict(self.assignments)
            if not assignments:
                continue
            try:
                ends = self._broker.ends(assignments.keys())
            except (KafkaException, TimeoutError) as error:
                log.debug("broker_unavailable", reason=str(error))
                continue
            for partition, assignment in assignments.items():
                if assignment.reader is not None:
                    assignment.reader.end = ends[partition]

    def _commit(self, now: float) -> None:
        """Tell the group how far the partitions are counted. Nobody waits for the answer, and nothing here reads it."""
        if now < self._next_commit:
            return
        self._next_commit = now + _LOOK_SECONDS
        if not self.reading():
            # A writer's reports do this. A processor that waits for partitions or leases is alive all the same.
            with suppress(OSError):
                self._settings.heartbeat_path.parent.mkdir(parents=True, exist_ok=True)
                touch_own(self._settings.heartbeat_path)
        for reader in self.reading():
            if reader.is_of_another_topic:
                log.warning("topic_made_anew", log=reader.name)
                self._begin_anew(reader.partition)
        offsets = []
        for reader in self.reading():
            record = reader.counted_record
            if record is not None and record != self._committed.get(reader.partition):
                self._committed[reader.partition] = record
                offsets.append(TopicPartition(self._topic, reader.partition, record))
        if offsets:
            try:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            except KafkaException as error:
                log.debug("offsets_not_committed", reason=str(error))
