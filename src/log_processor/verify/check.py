"""Compares the store with the log's files.

The store may go on meanwhile. So the lines are counted through the ledger's position, and a row of the store that is
not what they say is looked at again: its `applied` says through which position it is counted, and through there, or
through the ledger where that is further, it has to hold the log's lines. No moment of rest is needed.
"""

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from log_processor.progress import Progress
from log_processor.verify.covered_log import CoveredLog, unchecked
from log_processor.verify.generations import FilesChanged, Generations
from log_processor.verify.outcome import LAST_DAY, Difference, Outcome, date_of
from log_processor.verify.recount import EVERYBODY, Counted, Recount, RowKey
from request_log.line import SECONDS_A_DAY
from request_log.requests import Parser
from rollups.counters import unpack
from rollups.counts import CountsKey, DayCounts, Position
from rollups.figures import Statistics, statistics
from storage.contract import LedgerRow, Storage

_NOTHING = Counted((0, 0, 0, None, None, None, None), {}, {})
_ROWS_AT_ONCE = 50_000
# InfluxDB, asked in the middle of a write, can answer with a point whose fields are of two writes.
_LOOKS = 3


async def check(
    storage: Storage, retention_days: int, parse: Parser | None, folder: Path, progress: Progress
) -> Outcome | None:
    """Compare all that can be; None where the store has no ledger. `parse`: of a format that is not our own. `folder`:
    for what does not fit into memory."""
    ledger = await _ledger(storage)
    if not ledger:
        return None
    # Later than the ledger: what was rejected as too old is too old now.
    today = int(time.time()) // SECONDS_A_DAY
    oldest_day = today - retention_days
    with ExitStack() as stack:
        recount = stack.enter_context(Recount(folder, oldest_day, parse))
        logs = [CoveredLog(row, stack) for row in ledger]
        through = {log.row.log: log.unchecked_through(recount) for log in logs}
        first_day = max(oldest_day, *(day + 1 for day in through.values()))
        with progress.of(sum(log.size for log in logs)):
            for log in logs:
                log.count(recount, progress.advance)
        suspects, days = await _suspects(storage, recount, first_day, today)
        differences = [difference for log in logs for difference in log.differences(recount)]
        for first in range(0, len(suspects), _ROWS_AT_ONCE):
            differences += _confirm(storage, recount, ledger, suspects[first : first + _ROWS_AT_ONCE])
        return Outcome(
            lines=sum((recount.lines(log.row.log) for log in logs), Counter()),
            customers=recount.customers(),
            days=days,
            unchecked=[unchecked(log, through[log.row.log]) for log in logs if log.missing],
            nothing_checked=first_day > today,
            differences=differences,
        )


async def _ledger(storage: Storage) -> list[LedgerRow]:
    """The ledger, the same on two readings: see `_LOOKS`."""
    ledger = await storage.ledger()
    while True:
        before, ledger = ledger, await storage.ledger()
        if ledger == before:
            return ledger


async def _suspects(storage: Storage, recount: Recount, first_day: int, today: int) -> tuple[list[RowKey], int]:
    """The rows that differ from what the ledger has, and how many days were compared that have requests."""
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
            if _is_different(counted.get(customer), stored.get(customer))
        ]
    return suspects, len(counted_days)


def _confirm(
    storage: Storage, recount: Recount, ledger: Sequence[LedgerRow], suspects: Sequence[RowKey]
) -> list[Difference]:
    """Where suspected rows really are not what the log says."""
    for _ in range(_LOOKS):
        found = storage.read_counts([_counts_key(key) for key in suspects])
        stored = {key: unpack(found[_counts_key(key)]) if _counts_key(key) in found else None for key in suspects}
        counted = recount.of_rows(_count_further(stored, recount, ledger))
        suspects = [key for key in suspects if _is_different(counted.get(key), stored[key])]
        if not suspects:
            break
    return [
        difference
        for key in suspects
        for difference in _differences(key, counted.get(key) or _NOTHING, stored[key] or DayCounts())
    ]


def _count_further(
    stored: Mapping[RowKey, DayCounts | None], recount: Recount, ledger: Sequence[LedgerRow]
) -> list[tuple[str, int, str, int]]:
    """Count the lines after the ledger's positions as far as rows have them, in stretches that end where rows do.

    Returns through which stretch of each log each row is counted, see `Recount.of_rows`.
    """
    applied = {key: row.applied if row is not None else {} for key, row in stored.items()}
    if not {log for positions in applied.values() for log in positions} <= {row.log for row in ledger}:
        raise FilesChanged("A log has come that the ledger did not have.")
    recount.forget_later()
    wanted: list[tuple[str, int, str, int]] = []
    for row in ledger:
        through = {key: positions.get(row.log, row.position) for key, positions in applied.items()}
        ends = sorted(position for position in set(through.values()) if position > row.position)
        _count_stretches(recount, row, ends)
        wanted += [(*key, row.log, bisect_right(ends, position)) for key, position in through.items()]
    return wanted


def _count_stretches(recount: Recount, row: LedgerRow, ends: Sequence[Position]) -> None:
    """Count the lines of a log from the ledger's position to the first end, and from each to the next."""
    if not ends:
        return
    with ExitStack() as stack:
        generations = Generations.find(row, stack)
        if generations is None:
            raise FilesChanged(f"The file that was read last is no longer beside {row.path}.")
        for stretch, (start, end) in enumerate(pairwise([row.position, *ends]), 1):
            for blocks in generations.parts(start, end):
                recount.add(row.log, stretch, blocks)


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


def _counts_key(key: RowKey) -> CountsKey:
    customer, day = key
    return customer if customer != EVERYBODY else None, day
