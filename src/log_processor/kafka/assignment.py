"""A partition that the group has given to this process.

acquiring   a thread waits for the lease, and redoes what a predecessor has broken off; nothing is read
reading     a reader takes records in and hands their lines on
over        the group has taken the partition away; what is still on its way is dropped
"""

import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import KafkaException

from log_processor.kafka.beginning import Beginning, beginning
from log_processor.kafka.reader import PartitionReader
from log_processor.kafka.records import Text
from log_processor.kafka.watching import Broker, End
from log_processor.kafka.writing import Writing, begin_writing
from log_processor.process import metrics
from log_processor.process.shutdown import exit_now
from log_processor.settings import ProcessorSettings
from log_processor.storing.dead_letters import DeadLetters
from request_log.line import SECONDS_A_DAY
from service.logs import logger
from storage.backend import open_storage
from storage.contract import Storage
from storage.errors import LeaseHeld, StorageError, StorageRefused, StorageUnavailable
from storage.logs import FileRow
from storage.observed import ObservedEnd
from storage.topic_files import TopicFile, path_of

_RETRY_SECONDS = 0.5
# Seconds for which a partition's end may lie before what is counted: until a new leader knows how far the old one was.
_END_SECONDS = 10.0

log = logger(__name__)


class Assignment:
    """The lease of one partition's writer in this process. `_acquire` and `_finish` run in threads of their own."""

    def __init__(
        self,
        partition: int,
        settings: ProcessorSettings,
        broker: Broker,
        text: Text,
        dead_letters: DeadLetters,
        stop: threading.Event,
        previous: threading.Thread | None,
        on_ready: Callable[[PartitionReader], None],
    ) -> None:
        """`text`: finds the lines of a record. `previous`: the thread that ends this process's assignment before.
        `on_ready`: called, in a thread, when reading may begin."""
        self.reader: PartitionReader | None = None
        """Reads the partition, once its lease is acquired."""
        self._partition = partition
        self._name = f"{settings.kafka_topic}-{partition}"
        """The name of the writer, and of its log."""
        self._writing: Writing | None = None
        self._settings = settings
        self._path = path_of(settings.kafka_topic, partition)
        self._broker = broker
        self._text = text
        self._dead_letters = dead_letters
        self._stop = stop
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._acquire, args=(previous, on_ready), name=f"acquire-{partition}", daemon=True
        )
        self._thread.start()

    def finish(self, release: bool) -> threading.Thread:
        """End the assignment, and return the thread that closes what it has. `release`: whether the lease is released,
        which another process may have where it is not."""
        self._ended.set()
        if self.reader is not None:
            self.reader.is_over = True
        thread = threading.Thread(target=self._finish, args=(release,), name=f"finish-{self._partition}", daemon=True)
        thread.start()
        return thread

    def _acquire(self, previous: threading.Thread | None, on_ready: Callable[[PartitionReader], None]) -> None:
        if previous is not None:
            previous.join()
        try:
            self._begin(on_ready)
        except StorageRefused as error:
            # A damaged row. Without its thread the partition would not be read, and nothing would tell.
            log.error("store_refused", reason=str(error))
            exit_now(1)

    def _begin(self, on_ready: Callable[[PartitionReader], None]) -> None:
        storage = open_storage(self._settings, self._name)
        token = self._lease(storage)
        if token is None:
            storage.abandon()
            return
        writing = begin_writing(
            self._settings, storage, token, self._name, self._dead_letters, self._observed_ends, self._stop
        )
        self._writing = writing
        found = self._beginning(writing)
        if found is None:
            return
        begin, end = found
        place = begin.place
        writing.begin(begin)
        if len(begin.before) > 1:
            log.warning("topic_file_changed", log=self._name, record=place.record, topic=place.file.topic_id)
        self.reader = PartitionReader(self._partition, self._settings, self._text, writing, place, end)
        metrics.begin(self.reader.logs)
        log.info("partition_acquired", log=self._name, record=place.record)
        # Either this thread sees that the assignment has ended, or `finish` sees the reader.
        self.reader.is_over = self._ended.is_set()
        on_ready(self.reader)

    def _observed_ends(self) -> Sequence[ObservedEnd]:
        return self.reader.observed_ends() if self.reader is not None else ()

    def _lease(self, storage: Storage) -> int | None:
        """The fencing token of the lease; None where the assignment has ended before."""
        is_said = False
        while not self._ended.is_set():
            try:
                return storage.acquire()
            except StorageRefused as error:
                log.error("store_refused", reason=str(error))
                exit_now(1)
            except (LeaseHeld, StorageUnavailable) as error:
                if not is_said:
                    log.warning("lease_awaited", log=self._name, reason=str(error))
                    is_said = True
                self._ended.wait(_RETRY_SECONDS)
        return None

    def _beginning(self, writing: Writing) -> tuple[Beginning, End] | None:
        """Where reading begins, and the partition's end; None where the assignment has ended before the broker said."""
        files = [row for key, row in writing.logs.files.items() if key.log == self._name]
        today = int(time.time()) // SECONDS_A_DAY
        deadline = time.monotonic() + _END_SECONDS
        while not self._ended.is_set():
            try:
                end = self._broker.ends([self._partition])[self._partition]
                low = self._broker.first_record(self._partition)
            except (KafkaException, TimeoutError) as error:
                log.warning("broker_unavailable", log=self._name, reason=str(error))
                self._ended.wait(_RETRY_SECONDS)
                continue
            if _counted_record(files, end.topic_id) > end.record and time.monotonic() < deadline:
                self._ended.wait(_RETRY_SECONDS)
                continue
            begin = beginning(self._name, self._path, files, end.topic_id, low, max(low, end.record), today)
            return begin, end
        return None

    def _finish(self, release: bool) -> None:
        self._thread.join()
        if self._writing is None:
            return
        self._writing.handler.break_off()
        try:
            if release:
                self._writing.storage.close()
            else:
                self._writing.storage.abandon()
        except StorageError as error:
            log.warning("lease_not_released", log=self._name, reason=str(error))
        for name in self.reader.logs if self.reader is not None else [self._name]:
            metrics.forget(name)
        log.info("partition_released" if release else "partition_lost", log=self._name)


def _counted_record(files: Sequence[FileRow], topic_id: str) -> int:
    """The offset after the last counted record of a topic; 0 where none is counted."""
    row = max(files, key=lambda row: row.generation, default=None)
    file = TopicFile.decode(row.identity) if row is not None else None
    return file.record(row.offset) if row is not None and file is not None and file.topic_id == topic_id else 0


def finished(assignments: Sequence[threading.Thread], seconds: float) -> None:
    """Wait for threads that finish assignments, so many seconds at most."""
    deadline = time.monotonic() + seconds
    for thread in assignments:
        thread.join(max(0.0, deadline - time.monotonic()))
