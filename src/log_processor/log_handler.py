"""Stores what the source hands on: each batch at once, and at the end of an epoch its counts, then the ledger.

Here the first promise is kept. Requests are stored under identities that their positions give them, so reading them
again stores the same. The counts of an epoch are written when it ends, absolute, with the position through which they
count. The ledger is written after them, and a start begins where it says.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from log_processor import epoch_counts
from log_processor.chunk import Batch
from log_processor.retry import until_stored
from service.logs import logger
from storage.contract import LedgerRow, Storage, StoredRequests
from storage.counts import CountsKey, DayCounts

# Rows of counts that stay in memory; one that has left is read back.
ROWS_IN_MEMORY = 50_000
REJECTED_LINES_SHOWN = 10

log = logger(__name__)


class LogHandler:
    """One writer. Batches of a log may come in any order within an epoch; together they have no gaps."""

    def __init__(
        self, storage: Storage, ledger: Sequence[LedgerRow], oldest_day: Callable[[], int], stop: threading.Event
    ) -> None:
        """`ledger`: where this writer is, a row for each log that will come. `oldest_day`: the first day that is kept
        (days since 1970-01-01)."""
        self._storage = storage
        self._ledger = {row.log: row for row in ledger}
        self._oldest_day = oldest_day
        self._stop = stop
        self._rows: dict[CountsKey, DayCounts] = {}
        self._epoch: list[Batch] = []
        self._removed_before = 0

    def handle(self, batch: Batch) -> None:
        """Store a batch's requests; they are counted when the epoch ends."""
        position = self._ledger[batch.log].position
        if batch.end <= position:
            return
        if batch.start < position:
            # A start begins where the writer that is least far has come to; this one is further.
            batch = _after(batch, position.offset)
        if batch.requests:
            stored = StoredRequests(batch.log, batch.start.generation, batch.requests)
            until_stored(lambda: self._storage.store_requests(stored), self._stop)
        self._epoch.append(batch)

    def end_epoch(self) -> None:
        """Write the epoch's counts, then the ledger."""
        if not self._epoch:
            return
        touched = epoch_counts.touched(self._epoch)
        missing = [key for key in touched if key not in self._rows]
        if missing:
            found = until_stored(lambda: self._storage.read_counts(missing), self._stop)
            self._rows.update({key: found.get(key) or DayCounts() for key in missing})
        epoch_counts.add(self._epoch, self._rows)
        ledger = self._next_ledger()
        changed = {key: self._rows[key] for key in touched}
        until_stored(lambda: self._storage.commit(changed, ledger), self._stop)
        self._report()
        self._ledger.update({row.log: row for row in ledger})
        self._epoch.clear()
        if len(self._rows) > ROWS_IN_MEMORY:
            self._rows = changed
        oldest_day = self._oldest_day()
        if oldest_day > self._removed_before:
            until_stored(lambda: self._storage.remove_expired(oldest_day), self._stop)
            self._removed_before = oldest_day

    def _next_ledger(self) -> list[LedgerRow]:
        """The rows of those logs that came forward in this epoch."""
        rows: dict[str, LedgerRow] = {}
        for batch in sorted(self._epoch, key=lambda batch: batch.start):
            row = rows.get(batch.log, self._ledger[batch.log])
            rejected = Counter(row.rejected)
            rejected.update(line.reason for line in batch.rejected)
            rows[batch.log] = replace(
                row,
                position=batch.end,
                fingerprint=batch.fingerprint,
                read=row.read + len(batch.requests) + len(batch.rejected),
                stored=row.stored + len(batch.requests),
                rejected=rejected,
                newest=max(row.newest, max(batch.requests.seconds, default=0)),
            )
        return list(rows.values())

    def _report(self) -> None:
        """Say what was stored, and the rejected lines with their reasons, up to ten an epoch."""
        rejected = [(batch, line) for batch in self._epoch for line in batch.rejected]
        for batch, line in rejected[:REJECTED_LINES_SHOWN]:
            log.warning(
                "line_rejected",
                log=batch.log,
                generation=batch.start.generation,
                offset=line.offset,
                reason=line.reason.value,
                line=line.line[:100].decode(errors="backslashreplace"),
            )
        lines = sum(len(batch.requests) for batch in self._epoch)
        if lines or rejected:
            last = max(batch.end for batch in self._epoch)
            log.info(
                "stored",
                writer=self._storage.writer,
                lines=lines,
                rejected=len(rejected),
                batches=len(self._epoch),
                generation=last.generation,
                offset=last.offset,
            )


def _after(batch: Batch, offset: int) -> Batch:
    """What of a batch comes at this offset or later."""
    return replace(
        batch,
        requests=batch.requests.select([start >= offset for start in batch.requests.offsets]),
        rejected=[line for line in batch.rejected if line.offset >= offset],
    )
