"""Compares the daily rows of the store with the files of the logs, while the processor goes on.

All lines are counted through one commit. A row that differs may have later lines, so it is read again. It names the
last commit that has counted in it, and must have the lines through that commit, as the intents of the commits tell.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from log_processor.commands.progress_bar import ProgressBar
from log_processor.commands.verify.accounted import SILENT_SECONDS, accounts_in_the_end
from log_processor.commands.verify.committed import Committed, later_intents, read_committed, read_rolled_up
from log_processor.commands.verify.counting import Lines
from log_processor.commands.verify.recount import EVERYBODY, LOST, SKIPPED, Counted, Recount, RowKey
from log_processor.commands.verify.result import LAST_DAY, Difference, VerifyResult, date_of
from log_processor.commands.verify.rollups import Rollups, RollupsMoved
from log_processor.commands.verify.text_file import FilesChanged
from log_processor.following.roots import Roots
from log_processor.process.time_bounds import TimeBounds
from log_processor.storing.dead_letters import kept_positions
from request_log.framing.protocol import PLAIN, Framing
from request_log.line import SECONDS_A_DAY, Mended, Reason
from request_log.requests import Parser
from rollups.counters import unpack
from rollups.counts import NO_COUNTS, DailyAggregate, DailyKey, DayCounts
from rollups.figures import Figures, figures_of_counts
from rollups.groups import OTHER
from storage.contract import Storage
from storage.damage import daily_name, naming
from storage.kept import decode_kept
from storage.logs import LedgerRow

_EMPTY = DailyAggregate(NO_COUNTS, NO_COUNTS)
NOTHING = Counted((0, 0, 0, 0, 0, None, None, None, None, None), {}, {})
_ROWS_AT_ONCE = 50_000
"""Differing rows that are read again at once."""
_LOOKS = 3
"""How often a sum of all writers has to differ from the own row: a processor may be at work."""
_BETWEEN_LOOKS_SECONDS = 0.5
"""Pause between these looks."""
_CUSTOMERS_AT_ONCE = 500
"""Customers of a question for these sums."""


async def compare(
    storage: Storage,
    writer: str,
    retention_days: int,
    parse: Parser | None,
    dead_letters: Path,
    folder: Path,
    progress: ProgressBar,
    silent_seconds: float = SILENT_SECONDS,
    framing: Framing = PLAIN,
    roots: Roots | None = None,
) -> VerifyResult | None:
    """Compare all that can be compared. None if the store has no ledger.

    `writer`: the writer of the connection, whose counts are checked. `parse`: the parser, None for `simple`.
    `dead_letters`: the file of dead letters. `folder`: for data that does not fit into memory. `silent_seconds`: if the
    store does not change for so long, no processor runs. `framing`: the framing of `simple`. `roots`: where files may
    be read; None: anywhere.
    """
    rolled_up = read_rolled_up(storage)
    committed = await read_committed(storage, writer)
    if not committed.logs:
        return None
    rolled_up.check(committed)
    number = committed.number
    # The day is taken after the ledger was read, so a line that was rejected as too old is too old now.
    today = int(time.time()) // SECONDS_A_DAY
    oldest_day = today - retention_days
    with ExitStack() as stack:
        # A line that was accepted is not too new, whatever the clock says now.
        newest = max(row.newest for row in committed.logs.values())
        latest_second = TimeBounds(newest, modified=0).latest_second()
        recount = stack.enter_context(Recount(folder, oldest_day, latest_second, parse, framing))
        lines = Lines(storage, recount, committed, stack, roots)
        with progress.of(committed.bytes):
            lines.count(committed, rolled_up, progress.advance)
        lines.linked.check(committed.files)
        lines.reject(committed, rolled_up, kept_positions(dead_letters, Reason.TOO_NEW))
        result = VerifyResult(
            lines=sum((recount.lines(log) for log in committed.logs), Counter()),
            mended=sum((recount.mended(log) for log in committed.logs), Counter()),
            customers=len(recount.customers()),
            days=len(recount.days()),
            differences=_ledger_differences(recount, lines, committed),
        )
        if decode_kept(storage.read_state("requests")):
            result.unchecked.append("Stored requests were not compared: not all are stored (STORE_REQUESTS).")
        elif not storage.reads_all_requests():
            result.unchecked.append("Stored requests were not compared: an earlier version has stored some of them.")
        else:
            await _compare_stored(storage, recount, lines, committed, result, today)
        suspects = await _suspects(storage, recount, lines, oldest_day, today, bool(committed.other_writers))
        for first in range(0, len(suspects), _ROWS_AT_ONCE):
            committed = await lines.catch_up(committed)
            some = suspects[first : first + _ROWS_AT_ONCE]
            result.differences += await _confirm(storage, recount, lines, committed, some)
            if not committed.other_writers:
                result.differences += await _of_nobody(storage, some)
        result.unchecked += await older_days(storage, oldest_day)
        if committed.other_writers:
            others = ", ".join(committed.other_writers)
            result.unchecked.append(f"The counts of other writers were not checked, nor roll-ups: {others}.")
        else:
            try:
                # An older copy of the store may have been restored.
                commits = rolled_up.commits if rolled_up.commits.begun_through <= number else None
                rollups = Rollups(storage, recount, lines, committed, commits, silent_seconds)
                result.differences += await rollups.differences(oldest_day)
            except RollupsMoved as reason:
                result.unchecked.append(f"Quarter hours and endpoints could not be checked: {reason}.")
        await _account(storage, lines, committed, result, silent_seconds, recount.framing)
        return result


def _ledger_differences(recount: Recount, lines: Lines, committed: Committed) -> list[Difference]:
    """The differences between the rows of logs and their lines, for logs whose lines are all in files."""
    # The rows of logs may be ahead of the ledger.
    lines.count_later((1, offset_range) for offset_range in committed.later())
    sizes: Counter[str] = Counter()
    for row in committed.files.values():
        sizes[row.log] += row.offset - row.start
    found = []
    for log in committed.logs.values():
        # The row of a file is removed when the file is gone and none of its requests is kept.
        if (removed := log.bytes - sizes[log.log]) > 0:
            lines.gone[log.log] += removed
        elif removed:
            found.append(Difference(f"(log {log.log})", "", "bytes read", sizes[log.log], log.bytes))
        if not lines.gone[log.log]:
            in_files = recount.lines(log.log, last_stage=1), recount.mended(log.log, last_stage=1)
            found += row_differences(log, *in_files)
    recount.forget_later()
    return found


async def _compare_stored(
    storage: Storage, recount: Recount, lines: Lines, committed: Committed, result: VerifyResult, today: int
) -> None:
    """Add the differences between the committed lines and the stored requests to the result."""
    lines.take_stored(committed)
    found = recount.stored_differences()
    first_day = recount.first_stored_day()
    recount.forget_later()
    if found:
        # Raises FilesChanged where requests are being removed.
        await read_committed(storage, committed.writer, committed)
        if int(time.time()) // SECONDS_A_DAY > today:
            raise FilesChanged("Requests have expired meanwhile.")
    for customer, day, figure, logged, stored in found:
        # Fewer days may have been kept until now.
        if first_day is None or day >= first_day:
            result.differences.append(Difference(customer, date_of(day), figure, logged, stored))
    if first_day is not None and any(day < first_day for _, day, *_ in found):
        result.unchecked.append(f"Stored requests of days before {date_of(first_day)} were not compared: none is kept.")


def row_differences(row: LedgerRow, lines: Counter[str | None], mended: Counter[str]) -> Iterator[Difference]:
    # A line that is too old now was either rejected as such, or stored when it was not yet too old.
    too_old = min(lines[Reason.TOO_OLD.value], row.rejected.get(Reason.TOO_OLD, 0))
    not_yet = lines[Reason.TOO_OLD.value] - too_old
    lines[None] += not_yet
    lines[Reason.TOO_OLD.value] = too_old
    # A line that was too new when it was read may be a request, or too old, by now.
    not_any_more = max(0, row.rejected.get(Reason.TOO_NEW, 0) - lines[Reason.TOO_NEW.value])
    lines[None] -= not_any_more
    lines[Reason.TOO_NEW.value] += not_any_more
    figures = [("lines read", lines.total(), row.read), ("lines stored", lines[None], row.stored)]
    figures += [(f"rejected: {reason.value}", lines[reason.value], row.rejected.get(reason, 0)) for reason in Reason]
    figures.append(("lines skipped", lines[SKIPPED], row.skipped))
    for what in Mended:
        in_log, in_store = mended[what.value], row.mended.get(what, 0)
        # Nobody knows what was mended of lines that were judged differently when they were read.
        if not in_log - not_any_more <= in_store <= in_log + not_yet:
            figures.append((f"mended: {what.value}", in_log, in_store))
    for figure in figures:
        if figure[1] != figure[2]:
            yield Difference(f"(log {row.log})", "", *figure)


async def _suspects(
    storage: Storage, recount: Recount, lines: Lines, first_day: int, today: int, are_sums: bool
) -> list[RowKey]:
    """The rows that may differ from the lines. `are_sums`: whether the store answers with sums over several writers, so
    that all rows may."""
    everybody = await storage.daily_of_customer(None, first_day, LAST_DAY)
    suspects: list[RowKey] = []
    for first, last in _spans(sorted({*everybody, *recount.days()}), first_day, today):
        # Of days without requests all are compared, or none is.
        if not lines.is_compared(first):
            continue
        counted = {(customer, first): counts for customer, counts in recount.of_day(first).items()}
        stored = {
            (customer, day): row
            async for some in storage.daily_of_all_customers(first, last)
            for customer, days in some.items()
            for day, row in days.items()
        }
        if first in everybody:
            stored[EVERYBODY, first] = everybody[first]
        suspects += [
            key
            for key in sorted(counted.keys() | stored.keys(), key=lambda key: (key[1], key[0]))
            if are_sums or _is_different(key, counted.get(key), stored.get(key))
        ]
    return suspects


def _spans(days: Sequence[int], first_day: int, today: int) -> Iterator[tuple[int, int]]:
    """(first, last) of each of these days, which have requests, and of the days between them, which have none."""
    for day in days:
        if first_day < day:
            yield first_day, day - 1
        yield day, day
        first_day = day + 1
    if first_day <= today:
        yield first_day, today


async def _confirm(
    storage: Storage, recount: Recount, lines: Lines, committed: Committed, suspects: Sequence[RowKey]
) -> list[Difference]:
    """The differences in suspected rows that remain after they are read again."""
    found = storage.read_daily([daily_key(key) for key in suspects])
    stored = {key: found.get(daily_key(key), _EMPTY) for key in suspects}
    intents = await later_intents(storage, committed, max(row.commit for row in stored.values()))
    lines.count_later(
        (stage, offset_range) for stage, intent in enumerate(intents, 1) for offset_range in intent.ranges
    )
    counted = recount.of_rows((*key, max(0, row.commit - committed.number)) for key, row in stored.items())
    return [
        difference
        for key, row in stored.items()
        for difference in differences(key, counted.get(key) or NOTHING, unpacked(key, row))
    ]


async def _of_nobody(storage: Storage, keys: Sequence[RowKey]) -> list[Difference]:
    """What the sums of all writers have beside the rows of the only one: rows of a writer that is not known."""
    found = await _beside_own(storage, keys)
    for _ in range(_LOOKS - 1):
        if not found:
            break
        await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)
        again = await _beside_own(storage, list(found))
        found = {key: beside for key, beside in found.items() if again.get(key) == beside}
    return [
        Difference(customer or "(all)", date_of(day), "requests of no known writer", 0, requests)
        for (customer, day), (_, requests) in found.items()
    ]


async def _beside_own(storage: Storage, keys: Sequence[RowKey]) -> dict[RowKey, tuple[DailyAggregate, int]]:
    """The own row, and the requests that the sum has beside it, of each key with such requests whose row rests."""
    own = storage.read_daily([daily_key(key) for key in keys])
    sums = await _sums(storage, keys)
    after = storage.read_daily([daily_key(key) for key in keys])
    found = {}
    for key in keys:
        row = own.get(daily_key(key), _EMPTY)
        beside = unpacked(key, sums.get(key, _EMPTY)).statuses.total() - unpacked(key, row).statuses.total()
        if beside > 0 and row == after.get(daily_key(key), _EMPTY):
            found[key] = row, beside
    return found


async def _sums(storage: Storage, keys: Sequence[RowKey]) -> dict[RowKey, DailyAggregate]:
    """The sums of all writers, as the api answers with them."""
    by_day: dict[int, list[str]] = {}
    for customer, day in keys:
        by_day.setdefault(day, []).append(customer)
    sums: dict[RowKey, DailyAggregate] = {}
    for day, customers in by_day.items():
        if EVERYBODY in customers:
            sums[EVERYBODY, day] = (await storage.daily_of_customer(None, day, day)).get(day, _EMPTY)
        named = [customer for customer in customers if customer != EVERYBODY]
        for first in range(0, len(named), _CUSTOMERS_AT_ONCE):
            of_some = await storage.daily_of_customers(named[first : first + _CUSTOMERS_AT_ONCE], day, day)
            sums |= {(customer, day): row for customer, days in of_some.items() for row in days.values()}
    return sums


async def older_days(storage: Storage, oldest_day: int) -> list[str]:
    """A sentence about the days whose counts are kept, and whose lines are too old to be counted anew; if there are
    any."""
    if not await storage.daily_of_customer(None, 0, oldest_day - 1):
        return []
    return [f"Counts of days before {date_of(oldest_day)} were not checked: their lines are too old."]


async def _account(
    storage: Storage, lines: Lines, committed: Committed, result: VerifyResult, silent_seconds: float, framing: Framing
) -> None:
    """Report the bytes that are not accounted for, not read yet, or in no file any more."""
    accounts, activity = await accounts_in_the_end(storage, lines.linked, committed, silent_seconds, framing)
    if activity == "behind":
        result.unread = [f"{left} are not read yet." for left in accounts.left]
    else:
        nobody = ", and no processor runs to read them" if activity == "silent" else ""
        result.unaccounted = [f"{left} are not accounted for{nobody}." for left in accounts.left]
    for log, size in lines.gone.items():
        result.unchecked.append(
            f"Of log {log}, {size:,} bytes that were counted are not in files any more. They could not be checked:"
            " their requests are taken as they are stored."
        )
    if lost := result.lines[LOST]:
        result.unaccounted.append(f"{lost:,} lines are neither requests, nor rejected, nor skipped.")
    result.unchecked += lines.linked.present.unreadable()
    result.notes += accounts.copies
    for day in sorted(lines.folded_days):
        result.notes.append(f"On {date_of(day)} too many customers were new: some are counted together, as {OTHER}.")
    for row in committed.logs.values():
        result.notes += [f"Log {row.log} has a gap: {gap.reason}." for gap in row.gaps]
    for log, size in accounts.unfollowed.items():
        result.notes.append(f"Of log {log}, {size:,} bytes were there before it was followed.")


def unpacked(key: RowKey, row: DailyAggregate) -> DayCounts:
    """The counts of a stored row. DamagedRow, with its name, where they cannot be read."""
    with naming(lambda: [(daily_name(*daily_key(key)), row)]):
        return unpack(row)


def _is_different(key: RowKey, counted: Counted | None, stored: DailyAggregate | None) -> bool:
    counts = unpacked(key, stored) if stored is not None else DayCounts()
    return next(differences(("", 0), counted or NOTHING, counts), None) is not None


def differences(key: RowKey, counted: Counted, stored: DayCounts) -> Iterator[Difference]:
    """The counts, of latencies only the first that differs; and the figures, where there are any of such counts."""
    customer, day = key[0] or "(all)", date_of(key[1])
    if stored.statuses.total() >= stored.latencies.total():
        for figure, log, store in zip(Figures._fields, counted.figures, figures_of_counts(stored), strict=True):
            if log != store:
                yield Difference(customer, day, figure, log, store)
    statuses = counted.statuses.items() ^ stored.statuses.items()
    for status in sorted({status for status, _ in statuses}):
        log, store = counted.statuses.get(status, 0), stored.statuses[status]
        which = f"with status {status}" if status else "without a status"
        yield Difference(customer, day, f"requests {which}", log, store)
    latencies = counted.latencies.items() ^ stored.latencies.items()
    if latencies:
        ms, _ = min(latencies)
        yield Difference(customer, day, f"requests of {ms} ms", counted.latencies.get(ms, 0), stored.latencies[ms])


def daily_key(key: RowKey) -> DailyKey:
    customer, day = key
    return DailyKey(customer if customer != EVERYBODY else None, day)
