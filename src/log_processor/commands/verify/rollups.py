"""Compares the roll-ups with the lines: every quarter hour and every endpoint.

Roll-ups have commits of their own. After each, their rows have exactly the lines through one commit of counts, and a
row says which of them was the last to add to it. So the lines are counted through two commits of counts: the one of the
last commit of roll-ups, and the one of the next, which may be under way. What was read while one ended or began is read
again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from functools import partial
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from log_processor.commands.verify.committed import Committed, RollupCommits, later_intents
from log_processor.commands.verify.counting import Lines
from log_processor.commands.verify.definitions import IS_CLIENT_ERROR, IS_SERVER_ERROR
from log_processor.commands.verify.recount import BEING_ROLLED_UP, ROLLED_UP, Recount
from log_processor.commands.verify.result import LAST_DAY, Difference, date_of
from request_log.requests import Integers
from rollups.counters import counter_arrays
from rollups.counts import RollupKind, RollupRow
from rollups.groups import ALL_CUSTOMERS, ALL_OF_HOUR, EVERYBODY, OTHER, decode_names, group_of
from storage.contract import Storage
from storage.damage import named_rollups, naming
from storage.keys import FileKey

_UNITS_AT_ONCE = 64
_CELLS_AT_ONCE = 500_000
"""Counts of roll-ups that are inserted into the database at once."""
_BETWEEN_LOOKS_SECONDS = 0.05
_WAIT_SECONDS = 300.0
"""Longest wait for a commit of roll-ups. Commits are long where lines come all the time and rows are wide."""
_OF_ALL = range(ALL_CUSTOMERS, ALL_OF_HOUR + 24)
_KINDS: tuple[RollupKind, ...] = ("parts", "endpoints", "endpoint_parts", "hours")
# What a row counts is one integer, see rollups.groups.
_PART_BITS = 7
_HOUR_BITS = 7
_SIZE_BITS = 1
_STATUS_BITS = 10
_LATENCY_BITS = 27

_STORED = """
CREATE OR REPLACE TABLE stored (
    kind VARCHAR, segment INTEGER, customer VARCHAR, day INTEGER, part INTEGER, path VARCHAR, method VARCHAR,
    status INTEGER, ms INTEGER, size INTEGER, lines BIGINT
);
"""
_OF_UNITS = "CREATE OR REPLACE TABLE of_units AS SELECT unnest($customers::VARCHAR[]) AS customer"
# The rows that have what the commit adds that has begun.
_AHEAD = """
CREATE OR REPLACE TABLE ahead AS
SELECT
    unnest($kinds::VARCHAR[]) AS kind,
    unnest($customers::VARCHAR[]) AS customer,
    unnest($days::INTEGER[]) AS day,
    unnest($hours::INTEGER[]) AS hour_of_row,
    TRUE AS is_ahead
"""
_INSERT = """
INSERT INTO stored
SELECT
    ($kinds::VARCHAR[])[kind + 1],
    segment,
    ($customers::VARCHAR[])[customer + 1],
    day,
    part,
    CASE WHEN endpoint < 0 THEN '' ELSE ($paths::VARCHAR[])[endpoint + 1] END,
    CASE WHEN endpoint < 0 THEN '' ELSE ($methods::VARCHAR[])[endpoint + 1] END,
    CASE WHEN counter = 0 THEN value END,
    CASE WHEN counter = 1 THEN value END,
    CASE WHEN counter = 2 THEN value END,
    lines
FROM columns
"""
_FIGURES = {
    "lines": "requests",
    "successful": "successful requests",
    "client_errors": "client errors",
    "server_errors": "server errors",
    "timed": "requests with a duration",
    "ms": "sum of ms",
    "squares": "sum of squared ms",
    "sized": "requests with a size",
    "bytes": "sum of sizes",
}
"""What is compared: column of `divided` -> name in a difference."""
_COLUMNS = ", ".join(_FIGURES)
# Only rows by endpoint have sizes.
_OF_KIND = ", ".join(
    f"CASE WHEN kind = 'endpoints' THEN {column} ELSE 0 END AS {column}" if column in ("sized", "bytes") else column
    for column in _FIGURES
)
_SUMS = ", ".join(f"sum({column}) AS {column}" for column in _FIGURES)
# A row names a limited number of a customer's paths, and counts all later ones together. Where rows continue one
# another, a path may be named in one and not in the other: then all paths are compared together. The same holds where a
# path became an own template on the day, and where several writers have rows. Rows by the hour are older than quarter
# hours.
_DIFFERENCES = f"""
WITH of_log AS (
    SELECT * FROM divided
    WHERE stage <= $last_begun AND ($days::INTEGER[] IS NULL OR day IN (SELECT unnest($days::INTEGER[])))
    AND coalesce(customer, '') IN (SELECT customer FROM of_units)
),
of_all AS (SELECT * FROM of_log WHERE customer IS NULL),
lines AS (
    SELECT
        CASE WHEN part IS NULL THEN 'endpoints' ELSE 'parts' END AS kind,
        customer,
        day,
        coalesce(part, -1) AS part,
        coalesce(path, '') AS path,
        coalesce(method, '') AS method,
        coalesce(is_own, FALSE) AS is_own,
        -1 AS hour_of_row,
        stage,
        {_COLUMNS}
    FROM of_log WHERE customer IS NOT NULL
    UNION ALL
    SELECT 'parts', '', day, part, '', '', FALSE, -1, stage, {_COLUMNS} FROM of_all
    UNION ALL
    SELECT 'endpoints', '', day, -1, path, method, is_own, -1, stage, {_COLUMNS} FROM of_all
    UNION ALL
    SELECT 'endpoint_parts', '', day, part, path, '', is_own, part // 4, stage, {_COLUMNS}
    FROM of_all
),
cells AS (
    SELECT 'log' AS side, kind, customer, day, part, path, method, is_own, {_OF_KIND}
    FROM lines LEFT JOIN ahead USING (kind, customer, day, hour_of_row)
    WHERE is_ahead OR stage <= $last_ended
    UNION ALL
    SELECT
        'store',
        CASE WHEN kind = 'hours' THEN 'parts' ELSE kind END,
        customer,
        day,
        part,
        path,
        method,
        FALSE,
        CASE WHEN status IS NOT NULL THEN lines ELSE 0 END,
        CASE WHEN status BETWEEN 200 AND 399 THEN lines ELSE 0 END,
        CASE WHEN {IS_CLIENT_ERROR} THEN lines ELSE 0 END,
        CASE WHEN {IS_SERVER_ERROR} THEN lines ELSE 0 END,
        CASE WHEN ms IS NOT NULL THEN lines ELSE 0 END,
        coalesce(ms::HUGEINT * lines, 0),
        coalesce(ms::HUGEINT * ms * lines, 0),
        CASE WHEN size = 0 THEN lines ELSE 0 END,
        CASE WHEN size = 1 THEN lines ELSE 0 END
    FROM stored
),
named AS (SELECT DISTINCT kind, customer, day, part // 4 AS hour, path FROM stored),
of_paths AS (
    SELECT kind, customer, day, part // 4 AS hour, bool_or(is_own) AND NOT bool_and(is_own) AS became_own
    FROM cells WHERE side = 'log' GROUP BY kind, customer, day, hour, path
),
mixed AS (SELECT kind, customer, day, hour, bool_or(became_own) AS is_mixed FROM of_paths GROUP BY ALL),
of_rows AS (
    SELECT kind, customer, day, part // 4 AS hour, $has_writers OR max(segment) > 0 AS is_continued FROM stored
    GROUP BY ALL HAVING bool_or(path = '{OTHER}')
),
folded AS (
    SELECT kind, customer, day, hour, is_continued OR coalesce(is_mixed, FALSE) AS wholly
    FROM of_rows LEFT JOIN mixed USING (kind, customer, day, hour)
),
by_hour AS (SELECT DISTINCT 'parts' AS kind, customer, day, TRUE AS is_by_hour FROM stored WHERE kind = 'hours'),
compared AS (
    SELECT
        side,
        kind,
        customer,
        day,
        CASE WHEN is_by_hour THEN part - part % 4 ELSE part END AS part,
        CASE
            WHEN wholly OR (wholly IS NOT NULL AND named.path IS NULL AND NOT is_own) THEN '{OTHER}' ELSE path
        END AS path,
        method,
        {_SUMS}
    FROM (SELECT *, part // 4 AS hour FROM cells)
    LEFT JOIN folded USING (kind, customer, day, hour)
    LEFT JOIN named USING (kind, customer, day, hour, path)
    LEFT JOIN by_hour USING (kind, customer, day)
    GROUP BY ALL
    HAVING sum(lines) <> 0
),
in_log AS (SELECT * FROM compared WHERE side = 'log'),
in_store AS (SELECT * FROM compared WHERE side = 'store')
SELECT
    customer,
    day,
    part,
    path,
    method,
    [{", ".join(f"in_log.{column}" for column in _FIGURES)}] AS log,
    [{", ".join(f"in_store.{column}" for column in _FIGURES)}] AS store
FROM in_log FULL JOIN in_store USING (kind, customer, day, part, path, method)
WHERE log IS DISTINCT FROM store
ORDER BY kind DESC, customer, day, part, path, method
"""
_NONE_AHEAD: dict[str, list[str | int]] = {"kinds": [], "customers": [], "days": [], "hours": []}


class _Unit(NamedTuple):
    """Customers that are compared together."""

    groups: Sequence[int]
    """That have their roll-ups."""
    customers: Sequence[str]


class RollupsMoved(Exception):
    """The roll-ups could not be compared. The text says why."""


class Rollups:
    """The roll-ups of a writer that is the only one of its store."""

    def __init__(
        self,
        storage: Storage,
        recount: Recount,
        lines: Lines,
        committed: Committed,
        first: RollupCommits | None,
        silent_seconds: float,
    ) -> None:
        """`committed`: what is counted. `first`: the commits that have what is ROLLED_UP, and BEING_ROLLED_UP; None
        where these do not say so. `silent_seconds`: where a store does not change for so long nobody works."""
        self._storage = storage
        self._recount = recount
        self._lines = lines
        self._committed = committed
        self._first = first
        self._silent_seconds = silent_seconds
        self._is_caught_up = False
        self._counted_through = committed.number
        """The last commit whose lines are counted, as stages of their own."""
        self._stored = _Stored(storage, recount)

    async def differences(self, oldest_day: int) -> list[Difference]:
        """Where roll-ups are not what the lines say. RollupsMoved where that cannot be told."""
        left = await self._stored.units()
        found: list[Difference] = []
        at_once = _UNITS_AT_ONCE
        while left:
            some = left[:at_once]
            commits, last_ended, last_begun = await self._wait_until_counted()
            is_whole = await self._read(some, oldest_day, commits)
            if is_whole and RollupCommits.read(self._storage) == commits:
                found += self._stored.differences(last_ended, last_begun, self._lines.days)
                del left[:at_once]
            else:
                at_once = max(1, at_once // 2)
        return found

    async def _wait_until_counted(self) -> tuple[RollupCommits, int, int]:
        """Wait until the lines are counted that the roll-ups have.

        Returns how far they are, and two stages (see Recount): the last one whose lines their ended commit has, and the
        last one of their begun commit. RollupsMoved if it takes too long.
        """
        began = moved = time.monotonic()
        before = None
        while True:
            commits = RollupCommits.read(self._storage)
            ended = await self._last_stage(commits.ended, commits.ended_through, is_ended=True)
            begun = await self._last_stage(commits.begun, commits.begun_through)
            if ended is not None and begun is not None:
                return commits, ended, begun
            states, now = await self._storage.states(), time.monotonic()
            if states != before:
                before, moved = states, now
            if now > moved + self._silent_seconds or now > began + _WAIT_SECONDS:
                raise RollupsMoved("they are behind the counts")
            await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)

    async def _last_stage(self, number: int, through: int, is_ended: bool = False) -> int | None:
        """The last stage that the roll-ups have by a commit of theirs; None where the lines are counted further."""
        if self._first is not None and number == self._first.ended:
            return ROLLED_UP
        if self._first is not None and number == self._first.begun:
            return BEING_ROLLED_UP
        if not self._is_caught_up:
            self._committed = await self._lines.catch_up(self._committed)
            self._is_caught_up, self._counted_through = True, self._committed.number
        if through < self._committed.number:
            return 0 if is_ended and self._committed.ledger.rollup_backlog is None else None
        if is_ended:
            await self._advance(through)
        elif through > self._counted_through:
            intents = await later_intents(self._storage, self._committed, through)
            parts = [(stage, part) for stage, intent in enumerate(intents, 1) for part in intent.ranges]
            self._lines.count_later(part for part in parts if part[0] > self._counted_through - self._committed.number)
            self._counted_through = through
        return through - self._committed.number

    async def _advance(self, number: int) -> None:
        """Count through a later commit, with what those have counted between."""
        if number == self._committed.number:
            return
        intents = await later_intents(self._storage, self._committed, number)
        files, offsets = dict(self._committed.files), dict(self._committed.offsets)
        for intent in intents:
            of_intent = {FileKey(row.log, row.generation): row for row in intent.files if row.state != "copy"}
            files |= of_intent
            offsets |= {key: row.offset for key, row in of_intent.items()}
        self._committed = self._committed._replace(ledger=intents[-1].ledger, files=files, offsets=offsets)
        self._recount.forget_later()
        self._counted_through = number
        self._lines.count_more(self._committed, [offset_range for intent in intents for offset_range in intent.ranges])

    async def _read(self, some: Sequence[_Unit], oldest_day: int, commits: RollupCommits) -> bool:
        """Read the roll-ups of some customers. Whether all are as a commit has left them: it may add several rows."""
        is_whole = True
        ahead: list[tuple[RollupKind, str, int, int]] = []
        async for unit, group, day, rows in self._stored.read(some, oldest_day, self._lines.is_compared):
            for kind, last in {row.kind: row for row in sorted(rows, key=attrgetter("segment"))}.items():
                if last.commit > commits.ended:
                    hour = group - ALL_OF_HOUR if kind == "endpoint_parts" else -1
                    ahead += [(kind, customer, day, hour) for customer in unit.customers]
                    is_whole &= not last.left
        columns = zip(("kinds", "customers", "days", "hours"), map(list, zip(*ahead, strict=True)), strict=False)
        self._recount.ask(_AHEAD, **{**_NONE_AHEAD, **dict(columns)})
        return is_whole


async def differences_at_rest(
    storage: Storage, recount: Recount, oldest_day: int, days: Collection[int]
) -> list[Difference]:
    """Where the roll-ups of all writers together are not what the lines say, on these days. The roll-ups have all that
    is counted, and nothing is being rolled up."""
    stored = _Stored(storage, recount)
    found: list[Difference] = []
    units = await stored.units()
    for first in range(0, len(units), _UNITS_AT_ONCE):
        async for _ in stored.read(units[first : first + _UNITS_AT_ONCE], oldest_day, days.__contains__):
            pass
        recount.ask(_AHEAD, **_NONE_AHEAD)
        found += stored.differences(0, 0, days, has_writers=True)
    return found


class _Stored:
    """The roll-ups of a store, as tables of a recount."""

    def __init__(self, storage: Storage, recount: Recount) -> None:
        self._storage = storage
        self._recount = recount
        self._days_by_hour: set[int] = set()
        """Of before there were quarter hours, and rows of all customers together."""

    async def units(self) -> list[_Unit]:
        """All customers of the lines and of the store, as they are compared."""
        names = sorted({*self._recount.customers(), *await self._storage.customer_names()})
        by_group: dict[int, list[str]] = {}
        for name in names:
            by_group.setdefault(group_of(name), []).append(name)
        # All customers together have several groups.
        return [*(_Unit([group], names) for group, names in sorted(by_group.items())), _Unit(_OF_ALL, [EVERYBODY])]

    async def read(
        self, some: Sequence[_Unit], oldest_day: int, is_compared: Callable[[int], bool]
    ) -> AsyncIterator[tuple[_Unit, int, int, list[RollupRow]]]:
        """Read the roll-ups of some customers. Yields the rows of each group and day."""
        self._recount.ask(_STORED)
        self._recount.ask(_OF_UNITS, customers=[customer for unit in some for customer in unit.customers])
        cells = _Cells()
        for unit in some:
            for group in unit.groups:
                for day, rows in (await self._storage.rollups(group, _KINDS, oldest_day, LAST_DAY)).items():
                    if not is_compared(day):
                        continue
                    with naming(partial(named_rollups, group, {day: rows})):
                        for row in rows:
                            cells.add(day, row)
                            if row.kind == "hours":
                                self._days_by_hour.add(day)
                    yield unit, group, day, rows
            if cells.count > _CELLS_AT_ONCE:
                cells.insert(self._recount)
                cells = _Cells()
        cells.insert(self._recount)

    def differences(
        self, last_ended: int, last_begun: int, days: Collection[int] | None, has_writers: bool = False
    ) -> list[Difference]:
        """The differences between what was read and the lines through these stages. `has_writers`: whether rows of
        several writers were read."""
        found = []
        for customer, day, part, path, method, log, store in self._recount.ask(
            _DIFFERENCES,
            last_ended=last_ended,
            last_begun=last_begun,
            days=None if days is None else sorted(days),
            has_writers=has_writers,
        ):
            if not customer and day in self._days_by_hour:
                continue
            clock = f"{part // 4:02}:{part % 4 * 15:02}" if part >= 0 else ""
            for figure, in_log, in_store in zip(_FIGURES.values(), log, store, strict=True):
                if in_log != in_store:
                    place = " ".join(filter(None, [clock, method, path]))
                    found.append(Difference(customer or "(all)", date_of(day), f"{place}: {figure}", in_log, in_store))
                    break
        return found


class _Cells:
    """What rows of roll-ups count, as columns."""

    def __init__(self) -> None:
        self.count = 0
        self._customers: list[str] = []
        self._endpoints: list[str] = []
        self._parts: list[dict[str, Integers]] = []

    def add(self, day: int, row: RollupRow) -> None:
        """The counts of a row."""
        names = decode_names(row.names)
        # Where its names begin among all. What has no name, as only a damaged row has it, takes that of another one.
        customers = len(self._customers)
        endpoints = np.array([0, *accumulate(map(len, names.values()))]) + len(self._endpoints)
        self._customers += names
        self._endpoints += [endpoint for of_customer in names.values() for endpoint in of_customer]
        counters = (
            (0, row.statuses, _STATUS_BITS, 1),
            (1, row.latencies, _LATENCY_BITS, 1),
            (2, row.sizes, _SIZE_BITS, 1),
            (0, row.less_statuses, _STATUS_BITS, -1),
            (1, row.less_latencies, _LATENCY_BITS, -1),
            (2, row.less_sizes, _SIZE_BITS, -1),
        )
        for counter, text, bits, sign in counters:
            together, lines = counter_arrays(text)
            if not len(together):
                continue
            part = endpoint = np.full(len(together), -1)
            if row.kind in ("parts", "endpoint_parts"):
                together, part = _cut(together, _PART_BITS)
            together, value = _cut(together, bits)
            if row.kind != "parts":
                together, endpoint = _cut(together, _HOUR_BITS if row.kind == "hours" else row.endpoint_bits)
            customer = np.minimum(together, len(names) - 1)
            if row.kind == "hours":
                part, endpoint = 4 * endpoint, part
            elif row.kind != "parts":
                endpoint = endpoints[customer] + endpoint
            columns = {"kind": _KINDS.index(row.kind), "segment": row.segment, "day": day, "counter": counter}
            self._parts.append(
                {name: np.full(len(together), value) for name, value in columns.items()}
                | {"customer": customers + customer, "part": part, "endpoint": endpoint, "value": value}
                | {"lines": sign * lines}
            )
            self.count += len(together)

    def insert(self, recount: Recount) -> None:
        if self.count:
            columns = {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
            # The method stands after a newline.
            paths, methods = zip(*(text.partition("\n")[::2] for text in self._endpoints or [""]), strict=True)
            texts = {"customers": self._customers, "paths": list(paths), "methods": list(methods)}
            recount.insert(_INSERT, columns, kinds=_KINDS, **texts)


def _cut(numbers: Integers, bits: int) -> tuple[Integers, Integers]:
    """What is above the last bits, and what is in them."""
    return numbers >> bits, numbers & ((1 << bits) - 1)
