"""Stores what the source hands on: each batch at once; at the end of an epoch its counts, then the ledger.

Here the first promise is kept. Requests are stored under identities that their positions give them, so reading them
again stores the same. Counts are written when an epoch ends, absolute, with the position through which they count. The
ledger is written after them, and a start begins where it says.
"""

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from itertools import islice
from operator import itemgetter

from log_processor import metrics
from log_processor.breakdowns import Breakdowns
from log_processor.chunk import Batch, stored
from log_processor.dead_letters import DeadLetters
from log_processor.ending import leave
from log_processor.memory import give_back
from log_processor.reporting import Reporter
from log_processor.retry import until_stored
from log_processor.uncounted import Addition, Uncounted
from rollups.counters import pack
from rollups.counts import CountsKey, DayCounts, PackedCounts
from service.logs import logger
from storage.contract import EndedGeneration, LedgerRow, Storage

# Of the rows of counts that stay in memory, packed as they are stored; one that has left is read back.
CHARACTERS_IN_MEMORY = 32 << 20
ROWS_IN_MEMORY = 110_000
# So many rows are read back, added to and written together.
ROWS_AT_ONCE = 10_000
# And read back in parts, for a question that fails is asked again from its beginning.
ROWS_A_READ = 1_000
REJECTED_LINES_SHOWN = 10
GAPS_KEPT = 100
# Writing the counts takes time from storing requests, the more the more customers are busy. So the next time waits for
# as long as the last one took, and for a multiple where that was long: five seconds at most, or, while a backlog is
# worked off, thirty.
SHORT_COMMIT_SECONDS = 0.05
PAUSE_FACTOR = 3
LONGEST_PAUSE_SECONDS = 5.0
PAUSE_FACTOR_BEHIND = 20
LONGEST_PAUSE_BEHIND_SECONDS = 30.0
# The counts of a batch that is full before its wait is over come when that is: so long at most.
LONGEST_WAIT_SECONDS = 1.0
# At the end, when a signal gives a few seconds; what is left is read back by the next start.
LAST_BREAKDOWNS_SECONDS = 2.0
# Batches that wait for a sender, beside those being sent: a store that answers finds its next one ready.
BATCHES_WAITING = 2

NO_COUNTS = pack(DayCounts())

log = logger(__name__)


class LogHandler:
    """Batches of a log come in its order, without gaps."""

    def __init__(
        self,
        storage: Storage,
        ledger: Sequence[LedgerRow],
        dead_letters: DeadLetters,
        reporter: Reporter,
        oldest_day: Callable[[], int],
        stop: threading.Event,
    ) -> None:
        """`ledger`: where we are in the logs that the store knows. `oldest_day`: the first that is kept (days since
        1970-01-01)."""
        self._storage = storage
        self._dead_letters = dead_letters
        self._reporter = reporter
        self._ledger = {row.log: row for row in ledger}
        self._committed_rows = dict(self._ledger)
        self._oldest_day = oldest_day
        self._stop = stop
        self._senders = ThreadPoolExecutor(storage.SENDERS, thread_name_prefix="sender")
        self._sending: deque[Future[Batch]] = deque()
        """Batches that are not counted yet."""
        self._unsent: deque[Future[Batch]] = deque()
        """Those of them that may not be stored yet."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._writing: Future[None] | None = None
        self._behind = False
        self._rows: dict[CountsKey, PackedCounts] = {}
        self._characters = 0
        self._whole_days: set[int] = set()
        """Days of which every row is in memory: the store had none when they were first counted."""
        self._uncounted: dict[str, Uncounted] = {}
        self._breakdowns = Breakdowns(storage, ledger)
        self._uncommitted_logs: set[str] = set()
        self._held_lines = 0
        self._held_bytes = 0
        self._due = math.inf
        """When the first line that is not committed has waited as long as it may, monotonic seconds."""
        self._committed = time.monotonic()
        """When the last commit ended, monotonic seconds."""
        self._commit_took = 0.0
        """The last one that had counts, in seconds; 0 before there was one."""
        self._removed_before = 0

    def handle(self, batch: Batch) -> None:
        """Store a batch's requests; they are counted at the end of an epoch in which they are stored."""
        self._behind = batch.behind
        self._sending.append(self._senders.submit(_store, batch))
        self._unsent.append(self._sending[-1])
        while len(self._unsent) > self._storage.SENDERS + BATCHES_WAITING:
            wait([self._unsent.popleft()])

    def epoch_wanted(self) -> bool:
        """Whether there is something to do at the end of an epoch in which no lines come."""
        return (
            self._reporter.is_due()
            or (self.is_busy() and self._pause_is_over())
            or self._breakdowns.is_due(is_idle=True)
        )

    def is_stored(self, log_name: str, fingerprint: str) -> bool:
        """Whether the store's ledger is at the place in the log that has this fingerprint."""
        row = self._committed_rows.get(log_name)
        return row is not None and row.fingerprint == fingerprint

    def is_broken_down(self, log_name: str) -> bool:
        """Whether the store's ledger says that nothing of the log waits to be broken down."""
        row = self._committed_rows.get(log_name)
        return row is not None and row.pending is None

    def is_busy(self) -> bool:
        """Whether something waits for the end of an epoch."""
        return bool(self._sending or self._uncommitted_logs)

    def end_epoch(self) -> None:
        """Count the requests that are stored and, when it is time, commit."""
        batches = self._stored_batches()
        news = [batch for batch in batches if self._is_news(batch)]
        self._take(news)
        # The source waits until a generation's beginning is stored.
        due = any(batch.start == batch.end for batch in news) or self._pause_is_over() or self._breakdowns.is_full()
        if self._uncommitted_logs and (due or self._stop.is_set()):
            with metrics.WRITE_SECONDS.labels("counts").time():
                self._commit()
        elif self._held_lines >= self._storage.LINES_HELD or self._held_bytes >= self._storage.BYTES_HELD:
            self._begin_write({})
        self._break_down(is_idle=not news)
        if self._reporter.is_due():
            self._reporter.report(self._committed_rows)

    def _break_down(self, is_idle: bool) -> None:
        """Have counts broken down, where it is time. While a backlog is worked off it waits until the memory is full:
        many requests at once cost little more than few."""
        is_committed = not self._uncommitted_logs
        if self._stop.is_set():
            self._uncommitted_logs |= self._breakdowns.work_for(LAST_BREAKDOWNS_SECONDS)
            if self._uncommitted_logs:
                self._commit()
        elif self._breakdowns.is_full():
            self._uncommitted_logs |= self._breakdowns.work_for(math.inf)
            give_back()
        elif self._breakdowns.is_due(is_idle) and not self._behind:
            self._uncommitted_logs |= self._breakdowns.work(is_committed)

    def _stored_batches(self) -> list[Batch]:
        """The batches that are stored and not counted yet, in the order in which they came.

        While a backlog is worked off those still being sent are left for the end of a later epoch: waiting for them
        would leave the store with nothing to do.
        """
        batches = []
        while self._sending and (self._sending[0].done() or not self._behind or self._stop.is_set()):
            batches.append(self._sending.popleft().result())
        return batches

    def close(self) -> None:
        """End the senders, which have nothing left to do."""
        self._senders.shutdown()
        self._writer.shutdown()
        self._dead_letters.close()

    def _is_news(self, batch: Batch) -> bool:
        row = self._ledger.get(batch.log)
        return row is None or batch.end > batch.start or bool(batch.gaps) or batch.fingerprint != row.fingerprint

    def _take(self, batches: Sequence[Batch]) -> None:
        """Keep rejected lines, and move the ledger on in memory; the requests are added to their counts by a commit."""
        for batch in batches:
            _keep(self._dead_letters.write, batch)
            metrics.count(batch)
            row = self._ledger.get(batch.log) or _first_row(batch)
            self._ledger[batch.log] = _next_row(row, batch)
            self._uncommitted_logs.add(batch.log)
            self._held_lines += len(batch.requests)
            self._due = min(self._due, batch.due, time.monotonic() + LONGEST_WAIT_SECONDS)
            if batch.end.generation == batch.start.generation:
                self._held_bytes += batch.end.offset - batch.start.offset
            if batch.requests:
                pending = self._breakdowns.open(batch.log, batch.start)
                self._uncounted.setdefault(batch.log, Uncounted(pending))
                pending.take(batch.start.generation, batch.requests, batch.end)
        if batches:
            _report(batches)

    def _pause_is_over(self) -> bool:
        """Whether it is time for the next commit. When a backlog has been worked off that is soon, whatever it was
        before."""
        took, now = self._commit_took, time.monotonic()
        if self._behind:
            pause = min(PAUSE_FACTOR_BEHIND * (took or math.inf), LONGEST_PAUSE_BEHIND_SECONDS)
        elif took > SHORT_COMMIT_SECONDS:
            pause = min(PAUSE_FACTOR * took, LONGEST_PAUSE_SECONDS)
        else:
            pause = took
        return now >= self._committed + pause and (self._behind or not self._uncounted or now >= self._due)

    def _commit(self) -> None:
        """Add requests to their rows of counts and write these, then the ledger."""
        start = time.monotonic()
        _keep(self._dead_letters.sync)
        changed: dict[CountsKey, PackedCounts] = {}
        for uncounted in self._uncounted.values():
            additions = uncounted.additions()
            while some := list(islice(additions, ROWS_AT_ONCE)):
                if len(changed) + len(some) > ROWS_AT_ONCE:
                    self._begin_write(changed)
                    changed = {}
                changed.update(self._add(uncounted, some))
        ledger = [
            replace(self._ledger[name], pending=self._breakdowns.pending(name)) for name in self._uncommitted_logs
        ]
        self._end_write()
        until_stored(partial(self._storage.commit, changed, ledger))
        self._held_lines = self._held_bytes = 0
        self._let_go()
        self._ledger.update({row.log: replace(row, ended=()) for row in ledger})
        self._committed_rows.update({row.log: self._ledger[row.log] for row in ledger})
        has_counts = bool(self._uncounted)
        self._uncounted.clear()
        self._uncommitted_logs.clear()
        self._due = math.inf
        oldest_day = self._oldest_day()
        if oldest_day > self._removed_before:
            until_stored(partial(self._storage.remove_expired, oldest_day))
            self._removed_before = oldest_day
        self._committed = time.monotonic()
        if has_counts:
            self._commit_took = self._committed - start
        if self._behind:
            give_back()

    def _add(self, uncounted: Uncounted, additions: Sequence[Addition]) -> dict[CountsKey, PackedCounts]:
        """Add to rows of counts, those that are not in memory read back: the rows."""
        missing = [added.key for added in additions if added.key not in self._rows]
        of_all = [key for key in missing if key[0] is None]
        self._read(of_all)
        # Before a customer's row of a day is stored, that of all customers is.
        self._whole_days.update(day for _, day in of_all if self._rows[None, day] is NO_COUNTS)
        # By days, for a question is about one.
        stored = [key for key in missing if key[0] is not None and key[1] not in self._whole_days]
        self._read(sorted(stored, key=itemgetter(1)))
        rows = [self._rows.get(addition.key, NO_COUNTS) for addition in additions]
        added = {addition.key: uncounted.add(addition, row) for addition, row in zip(additions, rows, strict=True)}
        self._hold(added)
        return added

    def _read(self, keys: Sequence[CountsKey]) -> None:
        """Read rows back from the store."""
        if keys:
            self._end_write()
        for first in range(0, len(keys), ROWS_A_READ):
            part = keys[first : first + ROWS_A_READ]
            found = until_stored(partial(self._storage.read_counts, part))
            self._hold({key: found.get(key, NO_COUNTS) for key in part})

    def _hold(self, rows: dict[CountsKey, PackedCounts]) -> None:
        """Keep rows in memory."""
        for key, row in rows.items():
            held = self._rows.get(key)
            self._characters += _characters(key, row) - (_characters(key, held) if held is not None else 0)
        self._rows.update(rows)

    def _begin_write(self, counts: dict[CountsKey, PackedCounts]) -> None:
        """Write rows of counts, and the requests that the store holds, in a thread, while there is more to do."""
        self._end_write()
        self._held_lines = self._held_bytes = 0
        self._writing = self._writer.submit(until_stored, partial(self._storage.commit, counts, []))
        self._let_go()

    def _end_write(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _let_go(self) -> None:
        """Forget the rows in memory where they are too many."""
        if len(self._rows) > ROWS_IN_MEMORY or self._characters > CHARACTERS_IN_MEMORY:
            self._rows.clear()
            self._whole_days.clear()
            self._characters = 0


def _characters(key: CountsKey, row: PackedCounts) -> int:
    # `applied` is one text for most rows.
    return len(key[0] or "") + len(row.statuses) + len(row.latencies)


def _store(batch: Batch) -> Batch:
    """Store a batch's requests, in a sender's thread; what the store refuses is rejected."""
    if not batch.requests:
        return stored(batch, [])
    with metrics.WRITE_SECONDS.labels("requests").time():
        return stored(batch, until_stored(batch.store))


def _keep(action: Callable[..., None], *arguments: Batch) -> None:
    """Write dead letters, or end the program: the ledger must not move past a line that is kept nowhere."""
    try:
        action(*arguments)
    except OSError as error:
        log.error("dead_letters_failed", reason=error.strerror, file=error.filename, lines_lost=0)
        leave(1)


def _first_row(batch: Batch) -> LedgerRow:
    """The ledger of a log that appeared while we were running."""
    return LedgerRow(batch.log, batch.path, batch.start, batch.start, batch.fingerprint)


def _next_row(row: LedgerRow, batch: Batch) -> LedgerRow:
    """The ledger after a batch, which begins where the ledger ends or with a later generation."""
    begins_generation = batch.start == batch.end and batch.start.generation > row.position.generation
    ended = (EndedGeneration(row.log, row.position, row.fingerprint),) if begins_generation else ()
    if batch.start != row.position and not begins_generation:
        raise AssertionError(f"{batch.log}: lines from {row.position} to {batch.start} did not come")
    return replace(
        row,
        path=batch.path,
        position=batch.end,
        fingerprint=batch.fingerprint,
        read=row.read + len(batch.requests) + len(batch.rejected),
        stored=row.stored + len(batch.requests),
        rejected=Counter(row.rejected) + Counter(line.reason for line in batch.rejected),
        gaps=(row.gaps + batch.gaps)[-GAPS_KEPT:],
        newest=max(row.newest, int(batch.requests.seconds.max(initial=0))),
        ended=row.ended + ended,
    )


def _report(batches: Sequence[Batch]) -> None:
    """Say what was stored, and the rejected lines with their reasons, up to ten an epoch."""
    rejected = [(batch, line) for batch in batches for line in batch.rejected]
    for batch, line in rejected[:REJECTED_LINES_SHOWN]:
        log.warning(
            "line_rejected",
            log=batch.log,
            generation=batch.start.generation,
            offset=line.offset,
            reason=line.reason.value,
            line=line.line[:100].decode(errors="backslashreplace"),
        )
    lines = sum(len(batch.requests) for batch in batches)
    if lines or rejected:
        last = batches[-1]
        log.info(
            "stored",
            lines=lines,
            rejected=len(rejected),
            batches=len(batches),
            log=last.log,
            generation=last.end.generation,
            offset=last.end.offset,
        )
