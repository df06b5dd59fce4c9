"""Compares the store with the log's files.

The store may go on meanwhile. So the lines are counted through one commit, and a row of the store that is not what they
say is looked at again: it says which commit counted in it last, and has to hold the lines through that one, as the
intents of the commits since tell. No moment of rest is needed.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from log_processor.clock import Clock
from log_processor.dead_letters import kept_lines
from log_processor.progress import Progress
from log_processor.verify.committed import Committed, later_intents, read_committed
from log_processor.verify.covered_log import CoveredLog, unchecked
from log_processor.verify.generations import FilesChanged, Generations
from log_processor.verify.outcome import LAST_DAY, Difference, Outcome, date_of
from log_processor.verify.recount import EVERYBODY, Counted, Recount, RowKey
from request_log.line import SECONDS_A_DAY, Reason
from request_log.requests import Parser
from rollups.counters import unpack
from rollups.counts import NO_COUNTS, DailyKey, DayCounts, PackedCounts
from rollups.figures import Statistics, statistics
from storage.contract import LedgerRow, Position, Storage

_NOTHING = Counted((0, 0, 0, None, None, None, None), {}, {})
_ROWS_AT_ONCE = 50_000


class _Part(NamedTuple):
    """Lines of a log."""

    stretch: int
    """As which they are counted, see Recount: 0 has what is committed, n what the nth commit after that has counted."""
    start: Position
    end: Position


async def check(
    storage: Storage,
    writer: str,
    retention_days: int,
    parse: Parser | None,
    dead_letters: Path,
    folder: Path,
    progress: Progress,
) -> Outcome | None:
    """Compare all that can be; None where the store has no ledger. `writer`: whose counts, that of the connection.
    `parse`: of a format that is not our own. `dead_letters`: the file of rejected lines. `folder`: for what does not
    fit into memory."""
    committed = await read_committed(storage, writer)
    if not committed.rows:
        return None
    # Later than the ledger: what was rejected as too old is too old now.
    today = int(time.time()) // SECONDS_A_DAY
    oldest_day = today - retention_days
    with ExitStack() as stack:
        # A line that was accepted is not too new, whatever the clock says by now.
        newest = max(row.newest for row in committed.rows.values())
        latest_second = Clock(newest, modified=0).latest_second()
        recount = stack.enter_context(Recount(folder, oldest_day, latest_second, parse))
        logs = [CoveredLog(row, committed.positions[log], stack) for log, row in committed.rows.items()]
        through = {log.row.log: log.unchecked_through(recount) for log in logs}
        first_day = max(oldest_day, *(day + 1 for day in through.values()))
        with progress.of(sum(log.size for log in logs)):
            for log in logs:
                log.count(recount, progress.advance)
        too_new = list(kept_lines(dead_letters, Reason.TOO_NEW))
        for log in logs:
            log.reject(recount, too_new)
        suspects, days = await _suspects(storage, recount, first_day, today, bool(committed.other_writers))
        outcome = Outcome(
            lines=sum((recount.lines(log.row.log) for log in logs), Counter()),
            customers=recount.customers(),
            days=days,
            unchecked=[unchecked(log, through[log.row.log]) for log in logs if log.missing],
            nothing_checked=first_day > today,
            differences=[difference for log in logs for difference in log.differences(recount)],
        )
        if committed.other_writers:
            outcome.unchecked.append(
                f"The counts of other writers were not checked: {', '.join(committed.other_writers)}."
            )
        for first in range(0, len(suspects), _ROWS_AT_ONCE):
            committed = await _catch_up(storage, recount, committed)
            outcome.differences += await _confirm(storage, recount, committed, suspects[first : first + _ROWS_AT_ONCE])
        return outcome


async def _suspects(
    storage: Storage, recount: Recount, first_day: int, today: int, are_sums: bool
) -> tuple[list[RowKey], int]:
    """The rows that may differ from what is committed, and how many days were compared that have requests. `are_sums`:
    whether the store answers with the sums of several writers, which tell nothing of one."""
    everybody = await storage.days(None, first_day, LAST_DAY)
    counted_days = [day for day in recount.days() if day >= first_day]
    suspects: list[RowKey] = []
    for day in sorted({*everybody, *counted_days, *range(first_day, today + 1)}):
        counted = recount.of_day(day)
        stored = await storage.customers(day, day)
        if day in everybody:
            stored[EVERYBODY] = everybody[day]
        suspects += [
            (customer, day)
            for customer in sorted(counted.keys() | stored.keys())
            if are_sums or _is_different(counted.get(customer), stored.get(customer))
        ]
    return suspects, len(counted_days)


async def _catch_up(storage: Storage, recount: Recount, before: Committed) -> Committed:
    """Count the lines that were committed since. So what is compared next needs the intents of the last moments alone,
    however long all before has taken."""
    committed = await read_committed(storage, before.writer, before)
    recount.forget_later()
    for log, row in committed.rows.items():
        start = before.positions.get(log, row.first)
        _count(recount, before.rows.get(log, row), row, [_Part(0, start, committed.positions[log])])
    return committed


async def _confirm(
    storage: Storage, recount: Recount, committed: Committed, suspects: Sequence[RowKey]
) -> list[Difference]:
    """Where suspected rows really are not what the log says."""
    found = storage.read_daily([_daily_key(key) for key in suspects])
    stored = {key: found.get(_daily_key(key), PackedCounts(NO_COUNTS, NO_COUNTS)) for key in suspects}
    intents = await later_intents(storage, committed, max(row.commit for row in stored.values()))
    rows = {row.log: row for intent in intents for row in intent.logs}
    parts: dict[str, list[_Part]] = {}
    for number, intent in enumerate(intents, 1):
        for file, start, end in intent.stretches:
            part = _Part(number, Position(file.generation, start), Position(file.generation, end))
            parts.setdefault(file.log, []).append(part)
    for log, of_log in parts.items():
        _count(recount, committed.rows.get(log, rows[log]), rows[log], of_log)
    counted = recount.of_rows((*key, max(0, row.commit - committed.number)) for key, row in stored.items())
    return [
        difference
        for key, row in stored.items()
        for difference in _differences(key, counted.get(key) or _NOTHING, unpack(row))
    ]


def _count(recount: Recount, known: LedgerRow, row: LedgerRow, parts: Sequence[_Part]) -> None:
    """Count parts of a log in their order. `known`: the log's row of an earlier commit."""
    if row.gaps != known.gaps:
        raise FilesChanged(f"Lines of {row.path} were lost while it was read.")
    parts = [part for part in parts if part.start < part.end]
    if not parts:
        return
    with ExitStack() as stack:
        generations = Generations.find(known, stack)
        if generations is None:
            raise FilesChanged(f"The file that was read last is no longer beside {row.path}.")
        for part in parts:
            for blocks in generations.parts(part.start, part.end):
                recount.add(row.log, part.stretch, blocks)


def _is_different(counted: Counted | None, stored: DayCounts | None) -> bool:
    return next(_differences(("", 0), counted or _NOTHING, stored or DayCounts()), None) is not None


def _differences(key: RowKey, counted: Counted, stored: DayCounts) -> Iterator[Difference]:
    """The counts, of latencies only the first that differs; and the figures, where there are any of such counts."""
    customer, day = key[0] or "(all)", date_of(key[1])
    if stored.statuses.total() >= stored.latencies.total():
        for figure, log, store in zip(Statistics._fields, counted.figures, statistics(stored), strict=True):
            if log != store:
                yield Difference(customer, day, figure, log, store)
    statuses = counted.statuses.items() ^ stored.statuses.items()
    for status in sorted({status for status, _ in statuses}):
        log, store = counted.statuses.get(status, 0), stored.statuses[status]
        yield Difference(customer, day, f"requests with status {status}", log, store)
    latencies = counted.latencies.items() ^ stored.latencies.items()
    if latencies:
        ms, _ = min(latencies)
        yield Difference(customer, day, f"requests of {ms} ms", counted.latencies.get(ms, 0), stored.latencies[ms])


def _daily_key(key: RowKey) -> DailyKey:
    customer, day = key
    return DailyKey(customer if customer != EVERYBODY else None, day)
