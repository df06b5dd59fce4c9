"""The dataflow's source: polls the logs, and hands on what their collectors have.

Nothing stands between this source and the counts, so when an epoch ends every line before the source's position has
been handed on in it or earlier, and none after.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from log_processor.chunk import Chunk
from log_processor.collector import Collector
from log_processor.followed_logs import FollowedLogs
from log_processor.log_handler import LogHandler
from log_processor.waiting import Waiter

# So much an epoch may take, because its lines are held until it is stored: memory stays flat however slow the store is.
EPOCH_BYTES = 32 << 20
# New files are looked for so often.
DISCOVER_SECONDS = 0.5


class LogSource(FixedPartitionedSource[Chunk, None]):
    """One partition, which follows all logs: threads of one Python process would not read them any faster."""

    def __init__(self, build: Callable[[], "LogPartition"]) -> None:
        self._build = build

    def list_parts(self) -> list[str]:
        return ["logs"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "LogPartition":
        return self._build()


class LogPartition(StatefulSourcePartition[Chunk, None]):
    """Follows the logs. Where it is comes from the ledger, so Bytewax has no state to keep for it."""

    def __init__(
        self,
        logs: FollowedLogs,
        waiter: Waiter,
        poll_interval: timedelta,
        stopping: Callable[[], bool],
        handler: LogHandler,
    ) -> None:
        self._logs = logs
        self._waiter = waiter
        self._poll_interval = poll_interval
        self._stopping = stopping
        self._handler = handler
        self._begun: dict[str, str] = {}
        self._collectors: list[Collector] = []
        self._next_discovery = 0.0
        self._awake = datetime.now(timezone.utc)
        self._stopped = False
        self._epoch_bytes = 0
        self._epoch_begun = False
        self._handed_on = False

    def next_batch(self) -> list[Chunk]:
        if self._stopped:
            raise StopIteration
        if self._stopping():
            self._stopped = True
            ready = [collector for collector in self._collectors if not self._is_beginning(collector)]
            chunks = [chunk for collector in ready for chunk in collector.flush()]
            # The sink ends its work in an epoch in which something comes.
            return chunks or [collector.nothing() for collector in ready]
        began = datetime.now(timezone.utc)
        chunks = self._new_logs()
        if self._epoch_bytes < EPOCH_BYTES:
            now = time.monotonic()
            for collector in self._collectors:
                chunks += self._begin(collector) if self._is_beginning(collector) else collector.collect(now)
            self._finish()
        again = bool(chunks)
        if chunks:
            self._epoch_bytes += sum(len(chunk.lines) for chunk in chunks)
        elif not self._epoch_begun and self._handler.epoch_wanted():
            # Bytewax tells the sink only of epochs in which something came.
            chunks = [collector.nothing() for collector in self._collectors]
        elif not self._handed_on:
            # Not right after something was handed on: the flow would not get to it.
            time.sleep(self._logs.pause())
            again = self._waiter.wait()
        self._handed_on = bool(chunks)
        # A backlog does not wait for the next poll. Reckoned from this call's beginning, as Bytewax does: else it would
        # wait once more for as long as the waiter did.
        self._awake = began if again else began + self._poll_interval
        self._epoch_begun = self._epoch_begun or bool(chunks)
        return chunks

    def next_awake(self) -> datetime:
        return self._awake

    def snapshot(self) -> None:
        """An epoch ends here."""
        self._epoch_bytes = 0
        self._epoch_begun = False

    def close(self) -> None:
        self._waiter.close()
        for collector in self._collectors:
            collector.tail.close()

    def _finish(self) -> None:
        """Let go of the logs that are done, and stored."""
        for collector in [collector for collector in self._collectors if collector.is_done()]:
            name = collector.log_name
            if self._handler.is_stored(name, collector.tail.fingerprint) and self._handler.is_broken_down(name):
                self._logs.finish(collector)
                self._collectors.remove(collector)

    def _is_beginning(self, collector: Collector) -> bool:
        """Whether a log is at the start of a generation that is not stored: nothing of it may be handed on before."""
        tail = collector.tail
        return tail.is_beginning and not self._handler.is_stored(collector.log_name, tail.fingerprint)

    def _begin(self, collector: Collector) -> list[Chunk]:
        """The chunk without lines by which the ledger comes to the start of a generation, once."""
        fingerprint = collector.tail.fingerprint
        if self._begun.get(collector.log_name) == fingerprint:
            return []
        self._begun[collector.log_name] = fingerprint
        return [collector.nothing()]

    def _new_logs(self) -> list[Chunk]:
        """An empty chunk for each log that was found: so its ledger begins before anything of it is handed on."""
        now = time.monotonic()
        if now < self._next_discovery:
            return []
        self._next_discovery = now + DISCOVER_SECONDS
        found = self._logs.discover()
        self._collectors += found
        return [collector.nothing() for collector in found]
