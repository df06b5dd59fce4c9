"""The dataflow's source: reads the logs, and hands on what was collected.

Nothing stands between this source and the counts, so when the sink has the chunks of a look every line before the
source's position has been handed on, and none after.
"""

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Protocol

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from log_processor.following.collector import Collector
from log_processor.following.followed_logs import FollowedLogs
from log_processor.following.waiting import Waiter
from log_processor.parsing.chunk import Chunk
from storage.keys import FileKey

# A chunk without lines, by which the sink comes to its work, is sent no sooner than this after the one before.
BETWEEN_EMPTY_CHUNKS_SECONDS = 0.05
# Bytewax compares this with the wall clock, and would sleep for as long as that is set back. So the source is always
# due, and waits by itself, by the monotonic clock.
ALWAYS_DUE = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Stored(Protocol):
    """What the source asks about the store."""

    def is_stored(self, file: FileKey, offset: int) -> bool:
        """Whether all that is before the offset of a file is in all rows of counts."""

    def look_wanted(self) -> bool:
        """Whether there is something to do after a look at the logs that finds no lines."""


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
        stopping: Callable[[], bool],
        stored: Stored,
    ) -> None:
        self._logs = logs
        self._collector = collector
        self._waiter = waiter
        self._stopping = stopping
        self._stored = stored
        self._stopped = False
        self._next_empty_chunk = 0.0
        self._handed_on = False

    def next_batch(self) -> list[Chunk]:
        if self._stopped:
            raise StopIteration
        if self._stopping():
            self._stopped = True
            # The sink ends its work when something comes.
            return self._collector.flush() or [self._collector.nothing()]
        now = time.monotonic()
        self._logs.discover(now)
        self._waiter.look()
        self._logs.look(now)
        self._logs.look_at_files()
        chunks = self._collector.collect(now)
        self._logs.finished(self._stored.is_stored)
        if not chunks and now >= self._next_empty_chunk and self._stored.look_wanted():
            # The sink works only when something comes.
            chunks = [self._collector.nothing()]
            self._next_empty_chunk = now + BETWEEN_EMPTY_CHUNKS_SECONDS
        elif not chunks and not self._handed_on and not self._collector.has_more:
            # Not right after something was handed on: the flow would not get to it.
            time.sleep(self._collector.pause())
            self._waiter.wait()
        self._handed_on = bool(chunks)
        return chunks

    def next_awake(self) -> datetime:
        return ALWAYS_DUE

    def snapshot(self) -> None:
        """Nothing is to be kept."""

    def close(self) -> None:
        self._waiter.close()
        self._logs.close()
