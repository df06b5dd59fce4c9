"""The source of the dataflow: looks at the logs, and hands on the chunks that the collector has filled.

No step between this source and the sink holds anything back. So when the sink has the chunks of a look, it has every
line before the position of the source, and no line after it.
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
from log_processor.process.shutdown import exit_now
from service.logs import logger
from storage.errors import StorageRefused
from storage.keys import FileKey

BETWEEN_EMPTY_CHUNKS_SECONDS = 0.05
"""Least time between two chunks without lines. Such a chunk only makes the sink do the work that is due."""
ALWAYS_DUE = datetime(1970, 1, 1, tzinfo=timezone.utc)
"""When Bytewax may ask the source next. Bytewax compares it with the wall clock, and would sleep for as long as that is
set back. So the source is always due, and waits by itself, by the monotonic clock."""


log = logger(__name__)


class Sink(Protocol):
    """What the source asks the sink."""

    def is_stored(self, file: FileKey, offset: int) -> bool:
        """Whether all rows of counts have what is before an offset of a file."""

    def is_work_due(self) -> bool:
        """Whether there is work to do even if a look at the logs finds no lines."""


class LogSource(FixedPartitionedSource[Chunk, None]):
    """One partition, which follows all logs: several threads of one Python process would not read faster."""

    def __init__(self, build: Callable[[], "LogSourcePartition"]) -> None:
        self._build = build

    def list_parts(self) -> list[str]:
        return ["logs"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "LogSourcePartition":
        return self._build()


class LogSourcePartition(StatefulSourcePartition[Chunk, None]):
    """Follows the logs. Its position comes from the ledger, so Bytewax keeps no state for it."""

    def __init__(
        self,
        logs: FollowedLogs,
        collector: Collector,
        waiter: Waiter,
        stopping: Callable[[], bool],
        sink: Sink,
    ) -> None:
        """`stopping`: whether the processor shuts down."""
        self._logs = logs
        self._collector = collector
        self._waiter = waiter
        self._stopping = stopping
        self._sink = sink
        self._stopped = False
        self._next_empty_chunk = 0.0
        self._handed_on = False

    def next_batch(self) -> list[Chunk]:
        try:
            return self._next_chunks()
        except OSError as error:
            log.error("following_failed", reason=error.strerror, file=error.filename, lines_lost=0)
            exit_now(1)
        except StorageRefused as error:
            log.error("store_refused", reason=str(error))
            exit_now(1)

    def _next_chunks(self) -> list[Chunk]:
        if self._stopped:
            raise StopIteration
        if self._stopping():
            self._stopped = True
            # The last chunk makes the sink finish its work.
            return self._collector.flush() or [self._collector.nothing()]
        now = time.monotonic()
        self._logs.discover(now)
        self._waiter.look()
        self._logs.look(now)
        self._logs.look_at_files()
        chunks = self._collector.collect(now)
        self._logs.finished(self._sink.is_stored)
        if not chunks and now >= self._next_empty_chunk and self._sink.is_work_due():
            # The sink works only when a chunk comes.
            chunks = [self._collector.nothing()]
            self._next_empty_chunk = now + BETWEEN_EMPTY_CHUNKS_SECONDS
        elif not chunks and not self._handed_on and not self._collector.has_more:
            # Do not wait right after a chunk: the flow would not get to it.
            pause = self._collector.pause()
            if pause:
                # The next look notices what has come meanwhile.
                time.sleep(pause)
            else:
                self._waiter.wait()
        self._handed_on = bool(chunks)
        return chunks

    def next_awake(self) -> datetime:
        return ALWAYS_DUE

    def snapshot(self) -> None:
        """Bytewax keeps no state."""

    def close(self) -> None:
        self._waiter.close()
        self._logs.close()
