"""Commits of counts: of daily aggregates, and of how far the logs are counted."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice

import numpy as np
from msgspec import structs

from log_processor.counting.buffer import Buffer, span
from log_processor.counting.commit import commit
from log_processor.counting.folding import Folding
from log_processor.counting.journal import encode_journal, read_journals
from log_processor.counting.limits import Limits
from log_processor.counting.logs import Logs
from log_processor.counting.rows import NOTHING, DailyRows
from log_processor.process.retry import until_stored
from request_log.line import SECONDS_A_DAY
from rollups.columns import RequestColumns
from rollups.counters import UnreadableText
from rollups.counts import DailyAggregate, DailyKey
from rollups.daily import DailyDelta, add, daily_deltas, take_back
from rollups.groups import OTHER
from rollups.rows import encode_daily
from service.logs import logger
from storage.contract import Storage
from storage.damage import daily_name, naming
from storage.keys import FileKey, IntentKey, Key, Rows, StateKey
from storage.ledger import Intent, Ledger, encode_intent, encode_ledger, encode_rows_of_logs
from storage.logs import FileRow, LedgerRow, with_gap
from storage.requests import OffsetRange

# Characters of the customers that an intent names, as JSON. To read more customers anew takes a reader as long as to
# read all of them.
_NAMES_IN_INTENT = 32_000
_PARTLY_COUNTED = "partly counted: not all of its requests could be read back after a crash"

log = logger(__name__)


class Counts:
    """The numbered commits of counts of one writer."""

    def __init__(
        self,
        storage: Storage,
        logs: Logs,
        ledger: Ledger,
        token: int,
        settings: str,
        limits: Limits,
        has_journal: bool = False,
    ) -> None:
        """`token`: the fencing token of the lease. `settings`: Intent.settings, for the record. `has_journal`: whether
        commits write a journal, because not all requests are stored."""
        self.has_journal = has_journal
        self._storage = storage
        self._logs = logs
        self.ledger = ledger
        self._token = token
        self._settings = settings
        self._limits = limits
        self._rows = DailyRows(storage, self._end_write, limits)
        self.folding = Folding(storage, self._rows, limits)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._writing: Future[None] | None = None
        self._journaled: deque[tuple[int, Sequence[Key]]] = deque()
        """Commits whose requests this process has written to the journal, and the keys of their rows."""

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

        if intent.ledger.journal:
            buffer = read_journals(self._storage, [intent.number]) or buffer
        elif intent.stored:
            buffer = until_stored(read)
        if buffer.lines != intent.stored:
            log.error("partly_counted", commit=intent.number, requests=intent.stored, read_back=buffer.lines)
            # Requests of expired days may be gone, and to take them back is not needed.
            logs = {offset_range.file.log for offset_range in intent.ranges} if intent.weight > 0 else set()
            intent = structs.replace(
                intent,
                logs=tuple(with_gap(row, _PARTLY_COUNTED) if row.log in logs else row for row in intent.logs),
            )
        if intent.weight > 0:
            self.folding.fold(buffer, 0, intent.days, intent.number, intent.folded)
        else:
            self.folding.fold_counted(buffer)
        log.info("commit_redone", commit=intent.number, requests=buffer.lines)
        self._commit(structs.replace(intent, token=self._token), buffer.parts, buffer.customers())

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
        number = self.ledger.number + 1
        days = _days(buffer.parts[first:]) if buffer is not None else ()
        folded = self.folding.fold(buffer, first, days, number) if buffer is not None else {}
        parts = buffer.parts[first:] if buffer is not None else []
        names = buffer.customers() if buffer is not None else []
        rows, files = self._logs.changed()
        after = {**self._logs.committed, **{row.log: row for row in rows}}
        in_buffer = buffer.seconds if buffer is not None else None
        oldest, newest = in_buffer or (0, 0)
        # The requests of the buffer are not rolled up, even if all others are.
        rollup_backlog = span(in_buffer, self.ledger.rollup_backlog if self.ledger.number > rolled_up_through else None)
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
            customers=_customers(parts, names),
            days=days,
            ledger=Ledger(number, complete_through(list(after.values())), rollup_backlog, self.has_journal),
            folded=folded,
        )
        self._commit(intent, parts, names, self._journal_of(number, parts, buffer, rolled_up_through))

    def _journal_of(
        self, number: int, parts: Sequence[RequestColumns], buffer: Buffer | None, rolled_up_through: int
    ) -> Sequence[Rows]:
        """The rows of the journal that a commit writes: those of its requests; and emptied, those of requests that are
        rolled up meanwhile."""
        if not self.has_journal:
            return ()
        emptied: dict[Key, str] = {}
        while self._journaled and self._journaled[0][0] <= rolled_up_through:
            emptied |= dict.fromkeys(self._journaled.popleft()[1], "")
        first, *others = encode_journal(number, parts, buffer, self._limits.journal_characters)
        self._journaled.append((number, [key for group in (first, *others) for key in group]))
        return [emptied | first, *others]

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
        self.folding.fold_counted(buffer)
        row, file = self._logs.without(key, start, buffer.lines)
        self._commit_taking_back(
            buffer,
            (offset_range,),
            (row,),
            (file,),
            (_customers(buffer.parts, buffer.customers()), _days(buffer.parts)),
            oldest_day,
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

    def _commit(
        self, intent: Intent, parts: Sequence[RequestColumns], names: Sequence[str], journal: Sequence[Rows] = ()
    ) -> None:
        self._end_write()
        ledger: dict[Key, str] = {StateKey("counts"): encode_ledger(intent.ledger)}
        of_logs = encode_rows_of_logs(intent)
        commit(
            self._storage,
            {IntentKey(intent.number): encode_intent(intent, of_logs)},
            self._changed_rows(intent, of_logs, parts, names),
            ledger,
            journal,
        )
        self.ledger = intent.ledger
        self._logs.commit(intent.logs, intent.files)
        self._rows.let_go()

    def _changed_rows(
        self, intent: Intent, of_logs: Rows, parts: Sequence[RequestColumns], names: Sequence[str]
    ) -> Iterator[tuple[Rows, ...]]:
        """The rows of a commit. All but the last are written in a thread while the next ones are computed.

        `of_logs`: the rows of logs and files.
        """
        found = daily_deltas(parts, names)
        groups: tuple[Rows, ...] = ()
        has_made = False
        while some := list(islice(found, self._limits.daily_rows_at_once)):
            before = self._rows.of([delta.key for delta in some])
            changed = until_stored(partial(_changed, some, before, intent))
            if intent.weight > 0:
                has_made |= self._note_made(changed, some, before, intent.number)
            self._rows.hold(changed)
            if groups:
                self._begin(partial(self._storage.write, *groups))
            of_all = {key: row for key, row in changed.items() if key.customer is None}
            others = {key: row for key, row in changed.items() if key.customer is not None}
            groups = (_encoded(of_all), _encoded(others))
        self._end_write()
        of_new: dict[Key, str] = {}
        if has_made:
            of_new[StateKey("new_customers")] = self.folding.row(intent.oldest_day)
        # The logs come last, so that no reader finds a log further than the counts.
        yield (*groups, of_new, of_logs)

    def _note_made(
        self,
        changed: dict[DailyKey, DailyAggregate],
        deltas: Sequence[DailyDelta],
        before: Sequence[DailyAggregate],
        commit: int,
    ) -> bool:
        """Note which aggregates of customers a commit makes, and by which one they were made. Returns whether any
        were."""
        has_made = False
        for (key, *_), row in zip(deltas, before, strict=True):
            if key.customer is None:
                continue
            is_made = row is NOTHING or (key.customer == OTHER and not row.first)
            # A redo notes again what it had made, or changed.
            if is_made or row.commit == commit:
                has_made = True
                first = self.folding.note(key, commit)
                if is_made and first:
                    changed[key] = changed[key]._replace(first=first)
        return has_made

    def _begin(self, action: Callable[[], None]) -> None:
        self._end_write()
        self._writing = self._writer.submit(until_stored, action)

    def _end_write(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None


def _changed(
    deltas: Sequence[DailyDelta], before: Sequence[DailyAggregate], intent: Intent
) -> dict[DailyKey, DailyAggregate]:
    """The aggregates that an intent's commit changes by these deltas, and that do not have its counts yet."""
    change = add if intent.weight > 0 else _take_back
    with naming(lambda: ((daily_name(*delta.key), row) for delta, row in zip(deltas, before, strict=True))):
        return {
            delta.key: change(delta, row, intent.number)
            for delta, row in zip(deltas, before, strict=True)
            if row.commit < intent.number
        }


def _take_back(delta: DailyDelta, row: DailyAggregate, commit: int) -> DailyAggregate:
    try:
        return take_back(delta, row, commit)
    except UnreadableText:
        raise
    except ValueError as error:
        log.error("not_taken_back", customer=delta.key.customer, day=delta.key.day, reason=str(error))
        return row._replace(commit=commit)


def _encoded(rows: dict[DailyKey, DailyAggregate]) -> Rows:
    return {key: encode_daily(row) for key, row in rows.items()}


def _days(parts: Sequence[RequestColumns]) -> tuple[int, ...]:
    """Intent.days of these requests."""
    return tuple(sorted({day for part in parts for day in np.unique(part.days).tolist()}))


def _customers(parts: Sequence[RequestColumns], names: Sequence[str]) -> tuple[str, ...] | None:
    """Intent.customers of these requests."""
    is_changed = np.zeros(len(names), bool)
    for part in parts:
        is_changed[part.customers] = True
    customers = [names[number] for number in np.flatnonzero(is_changed).tolist()]
    if len(json.dumps(customers)) > _NAMES_IN_INTENT:
        return None
    return tuple(sorted(customers))
