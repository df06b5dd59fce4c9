"""Commits of counts: of daily aggregates, and of how far the logs are counted."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice

import numpy as np

from log_processor.counting.buffer import Buffer, span
from log_processor.counting.commit import commit
from log_processor.counting.limits import Limits
from log_processor.counting.logs import Logs
from log_processor.counting.rows import DailyRows
from log_processor.process.retry import until_stored
from request_log.line import SECONDS_A_DAY
from rollups.columns import RequestColumns
from rollups.counts import DailyAggregate, DailyKey
from rollups.daily import DailyDelta, add, daily_deltas, take_back
from rollups.rows import encode_daily
from service.logs import logger
from storage.contract import Storage
from storage.keys import FileKey, IntentKey, Key, LogKey, Rows, StateKey
from storage.ledger import Intent, Ledger, encode_intent, encode_ledger
from storage.logs import FileRow, LedgerRow, encode_file, encode_log, with_gap
from storage.requests import OffsetRange

# Characters of the customers that an intent names, as JSON. To read more customers anew takes a reader as long as to
# read all of them.
_NAMES_IN_INTENT = 32_000
_PARTLY_COUNTED = "partly counted: not all of its requests could be read back after a crash"

log = logger(__name__)


class Counts:
    """The numbered commits of counts of one writer."""

    def __init__(self, storage: Storage, logs: Logs, ledger: Ledger, token: int, settings: str, limits: Limits) -> None:
        """`token`: the fencing token of the lease. `settings`: Intent.settings, for the record."""
        self._storage = storage
        self._logs = logs
        self.ledger = ledger
        self._token = token
        self._settings = settings
        self._limits = limits
        self._rows = DailyRows(storage, self._end_write, limits)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._writing: Future[None] | None = None

    def redo(self, intent: Intent) -> None:
        """Finish exactly the commit that was broken off, before all other commits. Its requests are in the store."""
        buffer = Buffer()

        def read() -> Buffer:
            found = Buffer()
            for requests in self._storage.read_requests(intent.ranges, intent.oldest, intent.newest):
                # A line may have been stored, read again after a crash, and too old by then: it was not counted.
                is_counted = np.isin(requests.days, intent.days)
                found.take(requests.select(is_counted.tolist()).to_count())
            return found

        if intent.stored:
            buffer = until_stored(read)
        if buffer.lines != intent.stored:
            log.error("partly_counted", commit=intent.number, requests=intent.stored, read_back=buffer.lines)
            # Requests of expired days may be gone, and to take them back is not needed.
            logs = {offset_range.file.log for offset_range in intent.ranges} if intent.weight > 0 else set()
            intent = replace(
                intent,
                logs=tuple(with_gap(row, _PARTLY_COUNTED) if row.log in logs else row for row in intent.logs),
            )
        log.info("commit_redone", commit=intent.number, requests=buffer.lines)
        self._commit(replace(intent, token=self._token), buffer.parts, buffer.customers())

    def commit(
        self,
        buffer: Buffer | None,
        first: int,
        complete_through: Callable[[Sequence[LedgerRow]], float | None],
        rolled_up_through: int,
        oldest_day: int,
    ) -> None:
        """Count the requests of a buffer from its part `first` on, and commit the counts with all changes of the logs.

        `complete_through`: computes Ledger.complete_through from the rows of the logs. `rolled_up_through`: see
        RollupLedger.through. `oldest_day`: the first day that is kept (since 1970-01-01).
        """
        parts = buffer.parts[first:] if buffer is not None else []
        names = buffer.customers() if buffer is not None else []
        rows, files = self._logs.changed()
        after = {**self._logs.committed, **{row.log: row for row in rows}}
        in_buffer = buffer.seconds if buffer is not None else None
        oldest, newest = in_buffer or (0, 0)
        # The requests of the buffer are not rolled up, even if all others are.
        rollup_backlog = span(in_buffer, self.ledger.rollup_backlog if self.ledger.number > rolled_up_through else None)
        number = self.ledger.number + 1
        customers, days = _changed(parts, names)
        intent = Intent(
            number=number,
            token=self._token,
            ranges=self._logs.uncommitted(),
            oldest=oldest,
            newest=newest,
            stored=sum(part.lines for part in parts),
            oldest_day=oldest_day,
            settings=self._settings,
            logs=rows,
            files=files,
            customers=customers,
            days=days,
            ledger=Ledger(number, complete_through(list(after.values())), rollup_backlog),
        )
        self._commit(intent, parts, names)

    def take_back(self, key: FileKey, start: int, oldest_day: int) -> int:
        """Take back the counts of a closed file's requests from an offset on, and return how many requests they are.

        The roll-ups have all that is counted. Requests of days before `oldest_day` (since 1970-01-01) have expired and
        are left out.
        """
        offset_range = OffsetRange(self._logs.file(*key), start, self._logs.files[key].offset)
        newest = self._logs.committed[key.log].newest

        def read() -> Buffer:
            found = Buffer()
            for requests in self._storage.read_requests([offset_range], oldest_day * SECONDS_A_DAY, newest):
                found.take(requests.select((requests.days >= oldest_day).tolist()).to_count())
            return found

        buffer = until_stored(read)
        row, file = self._logs.without(key, start, buffer.lines)
        self._commit_taking_back(
            buffer, (offset_range,), (row,), (file,), _changed(buffer.parts, buffer.customers()), oldest_day
        )
        return buffer.lines

    def invalidate_all(self, oldest_day: int) -> None:
        """Do a commit that changes nothing and invalidates everything for readers of the change feed."""
        self._commit_taking_back(Buffer(), (), (), (), (None, ()), oldest_day)

    def _commit_taking_back(
        self,
        buffer: Buffer,
        ranges: tuple[OffsetRange, ...],
        logs: tuple[LedgerRow, ...],
        files: tuple[FileRow, ...],
        changed: tuple[tuple[str, ...] | None, tuple[int, ...]],
        oldest_day: int,
    ) -> None:
        """Do a commit that takes back the counts of a buffer's requests."""
        oldest, newest = buffer.seconds or (0, 0)
        customers, days = changed
        number = self.ledger.number + 1
        intent = Intent(
            number=number,
            token=self._token,
            ranges=ranges,
            oldest=oldest,
            newest=newest,
            stored=buffer.lines,
            oldest_day=oldest_day,
            settings=self._settings,
            logs=logs,
            files=files,
            customers=customers,
            days=days,
            ledger=Ledger(number, self.ledger.complete_through, buffer.seconds),
            weight=-1,
        )
        self._commit(intent, buffer.parts, buffer.customers())

    def flush(self) -> None:
        """Flush the store in a thread."""
        self._begin(self._storage.flush)

    def close(self) -> None:
        """End the thread that writes, which has nothing left to do."""
        self._writer.shutdown()

    def _commit(self, intent: Intent, parts: Sequence[RequestColumns], names: Sequence[str]) -> None:
        self._end_write()
        ledger: dict[Key, str] = {StateKey("counts"): encode_ledger(intent.ledger)}
        commit(
            self._storage,
            {IntentKey(intent.number): encode_intent(intent)},
            self._changed_rows(intent, parts, names),
            ledger,
        )
        self.ledger = intent.ledger
        self._logs.commit(intent.logs, intent.files)
        self._rows.let_go()

    def _changed_rows(
        self, intent: Intent, parts: Sequence[RequestColumns], names: Sequence[str]
    ) -> Iterator[tuple[Rows, ...]]:
        """The rows of a commit. All but the last are written in a thread while the next ones are computed."""
        of_logs: dict[Key, str] = {LogKey(row.log): encode_log(row) for row in intent.logs}
        of_logs |= {FileKey(row.log, row.generation): encode_file(row) for row in intent.files}
        found = daily_deltas(parts, names)
        groups: tuple[Rows, ...] = ()
        while some := list(islice(found, self._limits.daily_rows_at_once)):
            before = self._rows.of([delta.key for delta in some])
            change = add if intent.weight > 0 else _take_back
            changed = {
                delta.key: change(delta, row, intent.number)
                for delta, row in zip(some, before, strict=True)
                if row.commit < intent.number
            }
            self._rows.hold(changed)
            if groups:
                self._begin(partial(self._storage.write, *groups))
            of_all = {key: row for key, row in changed.items() if key.customer is None}
            others = {key: row for key, row in changed.items() if key.customer is not None}
            groups = (_encoded(of_all), _encoded(others))
        self._end_write()
        # The logs come last, so that no reader finds a log further than the counts.
        yield (*groups, of_logs)

    def _begin(self, action: Callable[[], None]) -> None:
        self._end_write()
        self._writing = self._writer.submit(until_stored, action)

    def _end_write(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None


def _take_back(delta: DailyDelta, row: DailyAggregate, commit: int) -> DailyAggregate:
    try:
        return take_back(delta, row, commit)
    except ValueError as error:
        log.error("not_taken_back", customer=delta.key.customer, day=delta.key.day, reason=str(error))
        return row._replace(commit=commit)


def _encoded(rows: dict[DailyKey, DailyAggregate]) -> Rows:
    return {key: encode_daily(row) for key, row in rows.items()}


def _changed(parts: Sequence[RequestColumns], names: Sequence[str]) -> tuple[tuple[str, ...] | None, tuple[int, ...]]:
    """Intent.customers and Intent.days of these requests."""
    days = sorted({day for part in parts for day in np.unique(part.days).tolist()})
    is_changed = np.zeros(len(names), bool)
    for part in parts:
        is_changed[part.customers] = True
    customers = [names[number] for number in np.flatnonzero(is_changed).tolist()]
    if len(json.dumps(customers)) > _NAMES_IN_INTENT:
        return None, tuple(days)
    return tuple(sorted(customers)), tuple(days)
