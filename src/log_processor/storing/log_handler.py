"""Hands each batch to the store at once, which may hold it until a commit. After each look at the logs it counts these
batches and, when it is time, commits.

The identity of a stored request follows from its place in the log, so to store a request again changes nothing. Counts
are committed by numbered commits, see log_processor.counting. A start continues where the ledger says.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from log_processor.counting import pace
from log_processor.counting.daily import Counts
from log_processor.counting.logs import Logs
from log_processor.counting.rollups import Rollups
from log_processor.parsing.batch import Batch, BatchPart, after_storing
from log_processor.process import metrics
from log_processor.process.reporter import Reporter
from log_processor.process.retry import until_stored
from log_processor.process.shutdown import exit_now
from log_processor.storing.dead_letters import DeadLetters
from log_processor.storing.kept_lines import HEAD_BYTES, KeptLines
from service.logs import logger
from service.memory import trim
from storage.contract import Storage
from storage.keys import FileKey
from storage.logs import forgotten

REJECTED_LINES_SHOWN = 10
"""Rejected lines that are logged after each look."""
LAST_ROLLUPS_SECONDS = 2.0
"""Time for roll-ups during a shutdown. The next start reads back what is left."""
BATCHES_WAITING = 2
"""Batches that wait for a sender, beside the batches being sent: a store that answers finds the next one ready."""

log = logger(__name__)


class LogHandler:
    """Takes batches in. They have all lines of each log, in its order."""

    def __init__(
        self,
        storage: Storage,
        logs: Logs,
        counts: Counts,
        rollups: Rollups,
        dead_letters: DeadLetters,
        reporter: Reporter,
        oldest_day: Callable[[], int],
        stop: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
        further_days: int = 0,
        last_rollups_seconds: float = LAST_ROLLUPS_SECONDS,
    ) -> None:
        """`oldest_day`: the first day whose requests are kept (days since 1970-01-01). `stop`: set at the shutdown.
        `monotonic`: a clock, which a test may replace. `further_days`: days before that whose counts are kept.
        `last_rollups_seconds`: time for roll-ups during a shutdown.
        """
        self._storage = storage
        self._logs = logs
        self._counts = counts
        self._rollups = rollups
        self._counted_parts = len(rollups.open.parts)
        """How many parts of the open buffer are counted."""
        self._dead_letters = dead_letters
        self._reporter = reporter
        self._oldest_day = oldest_day
        self._further_days = further_days
        self._stop = stop
        self._monotonic = monotonic
        self._last_rollups_seconds = last_rollups_seconds
        self._senders = ThreadPoolExecutor(storage.SENDERS, thread_name_prefix="sender")
        self._sending: deque[Future[Batch]] = deque()
        """Batches that are not counted yet."""
        self._unsent: deque[Future[Batch]] = deque()
        """The ones among them that may not be stored yet."""
        self._has_backlog = False
        self._held_lines = 0
        self._held_bytes = 0
        self._due = math.inf
        """When the first uncommitted line has to be committed, monotonic seconds."""
        self._since = pace.Since(ended=monotonic(), took=0.0)
        self._removed_before = 0

    def handle(self, batch: Batch) -> None:
        """Store the requests of a batch. They are counted after the first look at which they are stored."""
        if any(part.newest > self._reporter.reported_latest_second for part in batch.parts):
            # The report comes first: after a crash these lines are read again and must not be too new then.
            self._report()
        self._has_backlog = batch.has_backlog
        self._sending.append(self._senders.submit(_store, batch))
        self._unsent.append(self._sending[-1])
        while len(self._unsent) > self._storage.SENDERS + BATCHES_WAITING:
            wait([self._unsent.popleft()])

    def is_work_due(self) -> bool:
        """Whether there is work to do even if a look at the logs finds no lines."""
        return (
            self._reporter.is_due() or (self.is_busy() and self._is_commit_due()) or self._rollups.is_due(is_idle=True)
        )

    def is_stored(self, file: FileKey, offset: int) -> bool:
        """Whether all rows of counts have what is before an offset of a file."""
        row = self._logs.files.get(file)
        is_counted = row is not None and row.offset >= offset
        return is_counted and (self._rollups.is_done or self._logs.is_rolled_up(file.log))

    def is_busy(self) -> bool:
        """Whether anything waits to be counted and committed."""
        return bool(self._sending) or self._logs.have_changed

    def end_look(self) -> None:
        """Count the requests that are stored and, when it is time, commit."""
        changed = self._take(self._stored_batches())
        # The source waits until the number of a file is stored.
        due = any(part.start == part.end for part in changed) or self._is_commit_due() or self._rollups.is_full
        if self._logs.have_changed and (due or self._stop.is_set()):
            with metrics.WRITE_SECONDS.labels("counts").time():
                self._commit()
        elif self._held_lines >= self._storage.LINES_HELD or self._held_bytes >= self._storage.BYTES_HELD:
            self._held_lines = self._held_bytes = 0
            self._counts.flush()
        self._roll_up(is_idle=not changed)
        if self._reporter.is_due():
            self._report()
            self._remove_expired()

    def close(self) -> None:
        """Stop the senders, which have nothing left to do."""
        self._senders.shutdown()
        self._counts.close()
        self._dead_letters.close()

    def break_off(self) -> None:
        """Return when nothing is being written any more. Batches that no sender has begun to store are left out: they
        are not counted, so they are read again. The dead letters stay open: other writers may have them, too."""
        self._senders.shutdown(cancel_futures=True)
        self._counts.close()

    def _roll_up(self, is_idle: bool) -> None:
        """Roll up, if it is time. During a backlog, roll up only when the buffer is full: many requests at once cost
        little more than few."""
        before = self._rollups.open
        if self._stop.is_set():
            self._rollups.finish(self._last_rollups_seconds)
        elif self._rollups.is_full:
            self._rollups.finish(math.inf)
            trim()
        elif self._rollups.is_due(is_idle) and not self._has_backlog:
            self._rollups.work()
        if self._rollups.open is not before:
            self._counted_parts = 0

    def _stored_batches(self) -> list[Batch]:
        """The batches that are stored and not counted yet, in their order.

        During a backlog, batches that are still being sent are left for a later look: to wait for them would leave the
        store idle.
        """
        batches = []
        while self._sending and (self._sending[0].done() or not self._has_backlog or self._stop.is_set()):
            batches.append(self._sending.popleft().result())
        return batches

    def _take(self, batches: Sequence[Batch]) -> list[BatchPart]:
        """Write dead letters, and take in the parts of these batches. Returns the parts that change anything."""
        changed: list[BatchPart] = []
        for batch in batches:
            of_batch = [part for part in batch.parts if self._logs.is_news(part)]
            if not of_batch:
                continue
            changed += of_batch
            _or_exit(self._dead_letters.write, batch)
            metrics.count(batch)
            for part in of_batch:
                self._logs.take(part)
            self._held_lines += len(batch.requests)
            self._held_bytes += sum(part.length for part in of_batch)
            self._due = min(self._due, batch.due, self._monotonic() + pace.LONGEST_WAIT_SECONDS)
            self._rollups.open.take(batch.requests)
        if changed:
            _log_batches(batches, self._dead_letters.kept)
        return changed

    def _is_commit_due(self) -> bool:
        has_counts = len(self._rollups.open.parts) > self._counted_parts
        return pace.is_commit_due(
            self._monotonic(), self._since, self._has_backlog, self._due if has_counts else -math.inf
        )

    def _commit(self) -> None:
        start = self._monotonic()
        _or_exit(self._dead_letters.sync)
        buffer = self._rollups.open
        has_counts = len(buffer.parts) > self._counted_parts
        self._counts.commit(
            buffer,
            self._counted_parts,
            self._reporter.complete_through,
            self._rollups.ledger.through,
            self._oldest_day(),
        )
        self._counted_parts = len(buffer.parts)
        self._held_lines = self._held_bytes = 0
        self._due = math.inf
        now = self._monotonic()
        self._since = pace.Since(now, now - start if has_counts else self._since.took)
        if self._has_backlog:
            trim()

    def _report(self) -> None:
        self._reporter.report(self._logs.committed, self._counts.ledger.number)

    def _remove_expired(self) -> None:
        """Remove expired days once a day, also where nothing is logged any more."""
        oldest_day = self._oldest_day()
        if oldest_day != self._removed_before:
            until_stored(lambda: self._storage.remove_expired(oldest_day, oldest_day - self._further_days))
            files = forgotten(self._logs.files, oldest_day)
            until_stored(lambda: self._storage.remove_files(files))
            self._logs.forget(files)
            _or_exit(self._dead_letters.remove_expired)
            self._removed_before = oldest_day


def _store(batch: Batch) -> Batch:
    """Store the requests of a batch, in the thread of a sender. Requests that the store refuses are rejected."""
    if not batch.requests:
        return after_storing(batch, [])
    with metrics.WRITE_SECONDS.labels("requests").time():
        return after_storing(batch, until_stored(batch.store))


def _or_exit(action: Callable[..., None], *arguments: Batch) -> None:
    """Call a method of the dead letters, or exit: the ledger must not move past a line that is kept nowhere."""
    try:
        action(*arguments)
    except OSError as error:
        log.error("dead_letters_failed", reason=error.strerror, file=error.filename, lines_lost=0)
        exit_now(1)


def _log_batches(batches: Sequence[Batch], kept: KeptLines) -> None:
    parts = [part for batch in batches for part in batch.parts]
    rejected = [(part, line) for part in parts for line in part.rejected]
    for part, line in rejected[:REJECTED_LINES_SHOWN]:
        log.warning(
            "line_rejected",
            log=part.log,
            generation=part.start.generation,
            offset=line.offset,
            reason=line.reason.value,
            line=(kept.text(line.line) or b"")[:HEAD_BYTES].decode(errors="backslashreplace"),
        )
    lines = sum(len(batch.requests) for batch in batches)
    skipped = sum(part.skipped for part in parts)
    if lines or rejected or skipped:
        last = parts[-1]
        log.info(
            "stored",
            lines=lines,
            rejected=len(rejected),
            skipped=skipped,
            mended=sum(len(part.mended) for part in parts),
            batches=len(batches),
            log=last.log,
            generation=last.end.generation,
            offset=last.end.offset,
        )
