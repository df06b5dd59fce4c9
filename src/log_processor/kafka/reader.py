"""Reads one partition, from its beginning on: takes records in, and hands their lines on in chunks."""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, takewhile
from typing import cast

from log_processor.kafka.beginning import Place
from log_processor.kafka.chunks import RecordChunk, Records, chunk_of
from log_processor.kafka.records import Text
from log_processor.kafka.shipment import Undecodable, decode
from log_processor.kafka.shipments import Shipments
from log_processor.kafka.watching import End
from log_processor.kafka.writing import Writing
from log_processor.parsing.chunk import Chunk, Part
from log_processor.settings import ProcessorSettings
from request_log.line import SECONDS_A_DAY
from service.logs import logger
from storage.keys import FileKey
from storage.observed import ObservedEnd
from storage.topic_files import TopicFile

CHUNK_BYTES = 2 << 20
"""Bytes of lines at which a chunk is handed on."""
BEHIND_BYTES = 8 << 20
"""Unread bytes at which a backlog begins."""
CAUGHT_UP_BYTES = 64 << 10
"""Unread bytes at which it ends."""
HEARD_SECONDS = 15.0
"""Time within which each shipper that is alive has told where its logs end."""

log = logger(__name__)


class PartitionReader:
    """Reads one partition in the thread of the dataflow, while this process has the lease of its writer."""

    def __init__(
        self, partition: int, settings: ProcessorSettings, text: Text, writing: Writing, place: Place, end: End
    ) -> None:
        """`text`: finds the lines of a record. `place`: where reading begins. `end`: of the partition."""
        self.partition = partition
        self.name = place.log
        """The name of the writer, and of its log."""
        self.writing = writing
        self.place = place
        """Up to where the partition is handed on."""
        self.end = end
        """Its end as the broker said last."""
        self.is_over = False
        """Whether the group has taken the partition away: what is still on its way is dropped."""
        self._text = text
        self._most_lines = settings.stream_max_size
        self._longest_wait = settings.stream_max_wait_time_in_seconds
        self._next_record = place.record
        self._pending = Records([], [], [], [])
        self._shipped: list[tuple[Part, bytes]] = []
        """What was taken in of shipments. Then nothing is pending of other records."""
        self._shipments = Shipments(
            partition, place.context, writing.logs.committed.values(), writing.logs.files.values()
        )
        self._pending_bytes = self._pending_lines = 0
        self._due: float | None = None
        self._has_backlog = False
        self._mean_bytes = 100.0
        self._waiting: list[tuple[int, bytes, bytes | None]] = []
        """Records that wait, with their headers: until a file that begins is stored, or what came before is handed
        on."""
        self._is_awaiting = False
        """Whether a shipment waits until its file is stored."""
        self._is_flush_wanted = False
        """Whether what was taken in has to be handed on before what waits is taken."""
        self._since = time.monotonic()
        """Since when the partition is read, monotonic seconds."""
        self._wanted_lines = 0
        """Lines for which the next file has to have room; 0 while no next file is wanted."""

    @property
    def logs(self) -> list[str]:
        """The partition's own log, and those of its shippers."""
        return [self.name, *self._shipments.logs]

    @property
    def counted_record(self) -> int | None:
        """The offset after the last counted record; None while nothing is known of it."""
        row = self.writing.logs.files.get(FileKey(self.name, self.place.generation))
        return self.place.file.record(row.offset) if row is not None else None

    @property
    def is_of_another_topic(self) -> bool:
        """Whether the broker's topic is not the one that is read."""
        return self.end.topic_id != self.place.file.topic_id

    @property
    def is_file_awaited(self) -> bool:
        """Whether records wait until the file that they begin is stored."""
        return bool(self._waiting)

    def add(self, records: Sequence[int], values: Sequence[bytes], headers: Sequence[bytes | None]) -> None:
        """Take in records with these offsets, in their order. Those between them that did not come are holes: of
        transactions, or compacted. `headers`: of shipments."""
        known = bisect_left(records, self._next_record)
        records, values, headers = records[known:], values[known:], headers[known:]
        if not records:
            return
        self._next_record = records[-1] + 1
        size = sum(map(len, values))
        self._mean_bytes += (size / len(values) - self._mean_bytes) * min(1.0, len(values) / 100)
        if self._waiting or self._shipped or any(header is not None for header in headers):
            self._waiting += zip(records, values, headers, strict=True)
            self._take_waiting()
        else:
            self._take(records, values, size)

    def reach_end(self, record: int) -> None:
        """Note that there is nothing before a record that did not come."""
        self._next_record = max(self._next_record, record)
        if self._has_backlog and self._pending_lines:
            # The last lines of a backlog have waited in the topic.
            self._due = time.monotonic()

    def chunks(self, now: float) -> Iterator[RecordChunk | Chunk]:
        """The chunks that are due at `now`, monotonic seconds."""
        while self._waiting:
            before = len(self._waiting)
            if self._is_flush_wanted or self._wanted_lines:
                yield from self._flush()
                self._is_flush_wanted = False
            if self._wanted_lines:
                yield from self._next_file()
            self._take_waiting()
            if len(self._waiting) == before and not self._is_flush_wanted and not self._wanted_lines:
                return
        if self._due is None and self._has_news:
            self._due = now + self._longest_wait
        is_full = self._pending_lines >= self._most_lines or self._pending_bytes >= CHUNK_BYTES
        if is_full or (self._due is not None and now >= self._due):
            yield from self._flush()

    def flush(self) -> list[RecordChunk | Chunk]:
        """A chunk of all that was taken in."""
        return list(self._flush()) if not self._waiting else []

    def due_in(self, now: float) -> float | None:
        """Seconds until the records that were taken in are due; None where there are none."""
        return max(0.0, self._due - now) if self._due is not None else None

    @property
    def _has_news(self) -> bool:
        return not self._waiting and self._next_record > self.place.record

    def _take_waiting(self) -> None:
        """Take in what waits, up to the first record that has to wait on."""
        if FileKey(self.name, self.place.generation) not in self.writing.logs.files:
            return
        waiting, self._waiting = self._waiting, []
        self._is_awaiting = False
        taken = 0
        for is_shipped, group in groupby(waiting, key=lambda one: one[2] is not None):
            run = list(group)
            if is_shipped:
                taken += sum(1 for _ in takewhile(self._take_shipment, run))
            elif self._shipped:
                self._is_flush_wanted = True
            else:
                records, values, _ = zip(*run, strict=True)
                self._take(records, values, sum(map(len, values)))
                taken += len(run)
            if self._is_flush_wanted or self._wanted_lines or self._is_awaiting:
                break
        self._waiting += waiting[taken:]

    def _take_shipment(self, record_of: tuple[int, bytes, bytes | None]) -> bool:
        """Take in a record that a shipper has sent: offset, value and header. False where it has to wait."""
        record, value, header = record_of
        assert header is not None, "the record is a shipment"
        stored = self.writing.logs.files
        if not self.place.file.holds(record, 1):
            self._wanted_lines = 1
            return False
        try:
            shipment = decode(header)
        except Undecodable as error:
            return self._refuse(record, value, "", f"its header cannot be read: {error}")
        keys = [FileKey(shipment.name, part.file) for part in shipment.parts if part.start < part.end]
        self._is_awaiting = any(key in self._shipments.files and key not in stored for key in keys)
        if self._is_awaiting or self._pending.offsets or self._pending.without_lines:
            # A file's number is stored before any of its lines is handed on.
            self._is_flush_wanted = bool(self._shipped) or not self._is_awaiting
            return False
        taken = self._shipments.take(shipment, value)
        if taken.refused:
            return self._refuse(record, value, shipment.name, taken.refused)
        if taken.begins:
            self._shipped += [(part, b"") for part in taken.begins]
            self._is_flush_wanted = True
            return False
        if taken.dropped:
            log.warning(
                "shipment_dropped", log=shipment.name, record=record, session=shipment.session, reason=taken.dropped
            )
        self._shipped += taken.parts
        self._pending_lines += sum(lines.count(b"\n") for _, lines in taken.parts)
        self._pending_bytes += sum(len(lines) for _, lines in taken.parts)
        return True

    def _refuse(self, record: int, value: bytes, name: str, reason: str) -> bool:
        """Reject a record that a shipper has sent, as one in which no line is found. False where it has to wait."""
        if self._shipped:
            self._is_flush_wanted = True
            return False
        log.warning("shipment_refused", log=name, partition=self.name, record=record, reason=reason)
        self._pending.without_lines.append((record, value))
        self._pending_lines += 1
        self._pending_bytes += len(value)
        return True

    def _take(self, records: Sequence[int], values: Sequence[bytes], size: int) -> None:
        """Take in records. All wait from the first one on for which the file has no room. `size`: bytes of the
        values."""
        file, pending = self.place.file, self._pending
        texts = list(map(self._text, values))
        counts = [text.count(b"\n") + 1 if text is not None else 1 for text in texts]
        if max(counts) > file.lines or not file.holds(records[-1], 1):
            fits = next(
                place
                for place, (record, count) in enumerate(zip(records, counts, strict=True))
                if not file.holds(record, count)
            )
            self._wanted_lines = counts[fits]
            self._waiting = [(record, value, None) for record, value in zip(records[fits:], values[fits:], strict=True)]
            records, values, texts, counts = records[:fits], values[:fits], texts[:fits], counts[:fits]
        self._pending_lines += sum(counts)
        self._pending_bytes += size
        if None in texts:
            for record, value, text, count in zip(records, values, texts, counts, strict=True):
                if text is None:
                    pending.without_lines.append((record, value))
                else:
                    pending.offsets.append(record)
                    pending.texts.append(text)
                    pending.counts.append(count)
        else:
            pending.offsets += records
            pending.texts += cast("list[bytes]", texts)
            pending.counts += counts

    def _flush(self) -> Iterator[RecordChunk | Chunk]:
        place = self.place
        through = self._waiting[0][0] if self._waiting else self._next_record
        if through > place.record:
            self._note_backlog(through)
            due = self._due if self._due is not None else 0.0
            context = self._shipments.context
            part = place.part(through, context)
            if self._shipped:
                parts, lines = zip(*self._shipped, strict=True)
                yield Chunk((*parts, part), b"".join(lines), self._has_backlog, due)
            else:
                yield chunk_of(self._pending, place.file, part, self._has_backlog, due)
            self.place = place._replace(record=through, context=context)
        self._shipped = []
        self._pending = Records([], [], [], [])
        self._pending_bytes = self._pending_lines = 0
        self._due = None

    def _next_file(self) -> Iterator[RecordChunk]:
        """Ends the file, and begins the next one, which has room for what waits."""
        place = self.place
        lines = max(self._wanted_lines, place.file.lines)
        self._wanted_lines = 0
        yield self._told(place.closed(int(time.time()) // SECONDS_A_DAY))
        following = TopicFile.beginning(place.file.topic_id, place.record, lines)
        self.place = place.next_file(following, place.record)
        yield self._told(self.place.part(place.record))

    def _told(self, part: Part) -> RecordChunk:
        return replace(chunk_of(Records([], [], [], []), TopicFile("", 0, 1), part, self._has_backlog, 0.0), part=part)

    def _note_backlog(self, through: int) -> None:
        unread = (self.end.record - through) * self._mean_bytes
        self._has_backlog = unread > (CAUGHT_UP_BYTES if self._has_backlog else BEHIND_BYTES)

    def observed_ends(self) -> Sequence[ObservedEnd]:
        """The ends of all its logs now."""
        end, place = self.end, self.place
        if end.topic_id != place.file.topic_id:
            return ()
        row = self.writing.logs.committed[self.name]
        counted = self.counted_record
        handed = row.bytes + (place.record - counted if counted is not None else 0)
        size = max(place.position.offset, place.file.offset(end.record))
        behind = max(0, end.record - place.record)
        is_late = time.monotonic() > self._since + HEARD_SECONDS
        of_shippers = self._shipments.observed_ends(is_late)
        return (ObservedEnd(self.name, end.time, place.position, size, behind, handed), *of_shippers)
