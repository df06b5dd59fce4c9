"""The dataflow's source: reads the logs, and hands on what was collected.

Nothing stands between this source and the counts, so when an epoch ends every line before the source's position has
been handed on in it or earlier, and none after.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Protocol

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from log_processor.chunk import Chunk
from log_processor.collector import Collector
from log_processor.followed_logs import FollowedLog, FollowedLogs
from log_processor.waiting import Waiter

# So much an epoch may take, because its lines are held until it is stored: memory stays flat however slow the store is.
EPOCH_BYTES = 32 << 20


class Stored(Protocol):
    """What the source asks about the store."""

    def is_stored(self, log_name: str, fingerprint: str) -> bool:
        """Whether the store's ledger is at the place in the log that has this fingerprint."""

    def is_rolled_up(self, log_name: str) -> bool:
        """Whether everything that is stored of the log is in all rows of counts."""

    def epoch_wanted(self) -> bool:
        """Whether there is something to do at the end of an epoch in which no lines come."""


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
        collector: Collector,
        waiter: Waiter,
        poll_interval: timedelta,
        stopping: Callable[[], bool],
        stored: Stored,
    ) -> None:
        self._logs = logs
        self._collector = collector
        self._waiter = waiter
        self._poll_interval = poll_interval
        self._stopping = stopping
        self._stored = stored
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
            # The sink ends its work in an epoch in which something comes.
            return self._collector.flush() or [self._collector.nothing()]
        began = datetime.now(timezone.utc)
        now = time.monotonic()
        chunks = self._collector.add(self._logs.discover(now))
        has_room = self._epoch_bytes < EPOCH_BYTES
        if has_room:
            self._waiter.look()
            self._logs.look(now)
            chunks += self._collector.collect(now)
            self._finish()
        again = bool(chunks) or (has_room and self._collector.has_more)
        if chunks:
            self._epoch_bytes += sum(len(chunk.lines) for chunk in chunks)
        elif not self._epoch_begun and self._stored.epoch_wanted():
            # Bytewax tells the sink only of epochs in which something came.
            chunks = [self._collector.nothing()]
        elif not self._handed_on and not again:
            # Not right after something was handed on: the flow would not get to it.
            time.sleep(self._collector.pause())
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
        self._logs.close()

    def _finish(self) -> None:
        """Let go of the logs that are done, and stored."""
        for followed in self._logs.finished(self._is_stored):
            self._collector.let_go(followed)

    def _is_stored(self, followed: FollowedLog) -> bool:
        return self._stored.is_stored(followed.name, followed.tail.fingerprint) and self._stored.is_rolled_up(
            followed.name
        )
