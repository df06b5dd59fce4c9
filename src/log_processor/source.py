"""The dataflow's source: follows the log and collects its lines by size or time.

The file is the buffer: lines wait in it until they make a batch, so nothing is lost with the process. Nothing stands
between this source and the counts, so when an epoch ends every line before the source's position has been handed on
in it or earlier, and none after.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from log_processor.chunk import Chunk, Overlong
from log_processor.tail import Tail
from service.logs import logger
from storage.counts import Position

READ_BYTES = 1 << 20
# So much an epoch may take, because its lines are held until it is stored: memory stays flat however slow the store is.
EPOCH_BYTES = 32 << 20
PROGRESS_SECONDS = 5.0

log = logger(__name__)


class Collector:
    """Collects the lines of one log into chunks: of `max_lines`, or of those there are when the first has waited for
    `max_wait` seconds."""

    def __init__(self, log_name: str, tail: Tail, max_lines: int, max_wait: float) -> None:
        self._log = log_name
        self.tail = tail
        self._max_lines = max_lines
        self._max_wait = max_wait
        self._due: float | None = None

    def collect(self, now: float) -> list[Chunk]:
        """The chunks that are due. `now`: monotonic seconds."""
        chunks = []
        grown = self.tail.fill(READ_BYTES)
        start = self.tail.position
        overlong = self.tail.take_overlong()
        if overlong is not None:
            chunks.append(self._chunk(start, b"", overlong))
        while self.tail.lines >= self._max_lines:
            chunks.append(self._take(self._max_lines))
            self._due = None
        if self.tail.lines and self._due is None:
            self._due = now + self._max_wait
        if self._due is not None and now >= self._due:
            chunks.extend(self.flush())
        if not grown and not chunks and self.tail.ended():
            chunks.extend(self._last_of_generation())
            self.tail.next_generation()
        return chunks

    def nothing(self) -> Chunk:
        """A chunk without lines."""
        return self._chunk(self.tail.position, b"")

    def flush(self) -> list[Chunk]:
        """All whole lines that wait."""
        self._due = None
        return [self._take(self.tail.lines)] if self.tail.lines else []

    def _take(self, lines: int) -> Chunk:
        buffer = self.tail.buffer
        if lines == self.tail.lines:
            length = buffer.rfind(b"\n") + 1
        else:
            length = len(buffer) - len(bytes(buffer).split(b"\n", lines)[lines])
        start = self.tail.position
        return self._chunk(start, self.tail.take(length))

    def _last_of_generation(self) -> list[Chunk]:
        """What waits, and the file's last line, which no newline will end any more."""
        chunks = self.flush()
        if self.tail.buffer:
            start = self.tail.position
            chunks.append(self._chunk(start, self.tail.take(len(self.tail.buffer)) + b"\n"))
        return chunks

    def _chunk(self, start: Position, lines: bytes, overlong: Overlong | None = None) -> Chunk:
        """What was taken since `start`."""
        tail = self.tail
        behind = tail.bytes_behind > READ_BYTES
        return Chunk(self._log, start, tail.position, lines, tail.fingerprint, behind, overlong)


class LogSource(FixedPartitionedSource[Chunk, None]):
    """One partition, which follows the log."""

    def __init__(
        self,
        collector: Callable[[], Collector],
        poll_interval: timedelta,
        stopping: Callable[[], bool],
        heartbeat: Callable[[], None],
    ) -> None:
        self._collector = collector
        self._poll_interval = poll_interval
        self._stopping = stopping
        self._heartbeat = heartbeat

    def list_parts(self) -> list[str]:
        return ["log"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "LogPartition":
        return LogPartition(self._collector(), self._poll_interval, self._stopping, self._heartbeat)


class LogPartition(StatefulSourcePartition[Chunk, None]):
    """Polls. Where it is comes from the ledger, so Bytewax has no state to keep for it."""

    def __init__(
        self,
        collector: Collector,
        poll_interval: timedelta,
        stopping: Callable[[], bool],
        heartbeat: Callable[[], None],
    ) -> None:
        self._collector = collector
        self._poll_interval = poll_interval
        self._stopping = stopping
        self._heartbeat = heartbeat
        self._awake = datetime.now(timezone.utc)
        self._stopped = False
        self._epoch_bytes = 0
        self._new_epoch = True
        self._progress = Progress(collector.tail)

    def next_batch(self) -> list[Chunk]:
        if self._stopped:
            raise StopIteration
        if self._stopping():
            self._stopped = True
            return self._collector.flush()
        self._awake = datetime.now(timezone.utc) + self._poll_interval
        if self._new_epoch:
            # Bytewax tells the sink only of epochs in which something came.
            self._new_epoch = False
            return [self._collector.nothing()]
        if self._epoch_bytes >= EPOCH_BYTES:
            return []
        chunks = self._collector.collect(time.monotonic())
        if chunks:
            self._epoch_bytes += sum(len(chunk.lines) for chunk in chunks)
            # There may be more: a backlog does not wait for the next poll.
            self._awake = datetime.now(timezone.utc)
            self._progress.report()
        return chunks

    def next_awake(self) -> datetime:
        return self._awake

    def snapshot(self) -> None:
        """An epoch ends here. Bytewax stops calling this while the store does not take what came before."""
        self._epoch_bytes = 0
        self._new_epoch = True
        self._heartbeat()

    def close(self) -> None:
        self._collector.tail.close()


class Progress:
    """Says how far a backlog is worked off, now and then."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail
        self._position = tail.position
        self._time = time.monotonic()

    def report(self) -> None:
        """To be called after each step; logs at most every five seconds, and only while there is a backlog."""
        now = time.monotonic()
        if now - self._time < PROGRESS_SECONDS:
            return
        position, behind = self._tail.position, self._tail.bytes_behind
        moved = position.offset - self._position.offset
        if behind > READ_BYTES and position.generation == self._position.generation:
            rate = moved / (now - self._time)
            log.info(
                "catching_up",
                bytes_behind=behind,
                percent=round(100 * position.offset / (position.offset + behind), 1),
                bytes_a_second=round(rate),
                seconds_left=round(behind / rate) if rate else None,
            )
        self._position, self._time = position, now
