"""Counts a log's requests anew, in SQL.

These are the definitions of docs/design.md, written a second time: nothing here is shared with what is being checked,
but for the parsers of formats that are not our own, whose requests are counted here all the same.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb

from request_log.requests import NONE, Parser, Rejected, Requests

EVERYBODY = ""
"""Stands for all customers together: a customer has at least one character."""
RowKey = tuple[str, int]
"""A customer, or EVERYBODY, and a UTC day (days since 1970-01-01)."""
LONGEST_LINE = 65_536
THREADS = 2
# Counts of single blocks are put together when there are so many more.
ROWS_APART = 2_000_000
BLOCKS_BETWEEN_TIDYING = 64
MEMORY_LIMIT = "1GB"
# So many requests tell the days that a log had got to.
FIRST_REQUESTS = 1_000

_TABLES = """
CREATE TABLE counted (
    log VARCHAR,
    stretch INTEGER,        -- 0 has what is committed, n what the nth commit after that has counted
    reason VARCHAR,         -- why these lines are no requests; NULL: they are
    customer VARCHAR,       -- this and the following: of requests
    day INTEGER,            -- UTC, since 1970-01-01
    status INTEGER,
    ms INTEGER,             -- latency, half up
    lines BIGINT
);
CREATE TABLE wanted (customer VARCHAR, day INTEGER, last_stretch INTEGER);
"""

# Each line with its reason. The reasons come in the order in which a line is judged.
_JUDGED = rf"""
WITH raw_lines AS (SELECT unnest(string_split($text, chr(10))) AS raw),
lines AS (SELECT raw, CASE WHEN ends_with(raw, chr(13)) THEN left(raw, -1) ELSE raw END AS line FROM raw_lines),
divided AS (SELECT raw, line, string_split(line, ' ') AS field FROM lines),
named AS (
    SELECT
        raw,
        line,
        field,
        field[1] || ' ' || field[2] AS stamp,
        field[3] AS customer,
        field[5] AS status,
        field[6] AS duration,
        try_cast(field[1] AS DATE) AS date,
        try_cast(field[6] AS DECIMAL(8, 3)) AS seconds  -- rounds half up
    FROM divided
),
judged AS (
    SELECT
        customer,
        date - DATE '1970-01-01' AS day,
        status,
        1000 * seconds AS ms,
        CASE
            WHEN strlen(raw) > {LONGEST_LINE} THEN 'too_long'
            WHEN line = '' THEN 'empty'
            WHEN regexp_matches(line, '\p{{Cc}}') THEN 'control_character'
            WHEN len(field) <> 6 OR list_contains(field, '') THEN 'fields'
            WHEN NOT regexp_full_match(stamp, '\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d') THEN 'time'
            WHEN date IS NULL OR date NOT BETWEEN DATE '1970-01-01' AND DATE '2199-12-31' THEN 'time'
            WHEN stamp[12:13] > '23' OR stamp[15:16] > '59' OR stamp[18:19] > '59' THEN 'time'
            WHEN strlen(customer) > 256 THEN 'customer'
            WHEN NOT regexp_full_match(status, '[1-5]\d\d') THEN 'status'
            WHEN NOT regexp_full_match(duration, '\d+(\.\d+)?') THEN 'duration'
            WHEN seconds IS NULL OR seconds > 86400 THEN 'duration'
            WHEN regexp_matches(duration, '^0*86400\.0*[1-9]') THEN 'duration'
            WHEN day < $oldest_day THEN 'too_old'
            WHEN epoch(try_cast(stamp AS TIMESTAMP)) > $latest_second THEN 'too_new'
        END AS reason
    FROM named
)
"""

_COUNT = f"""
INSERT INTO counted
{_JUDGED}
SELECT
    $log,
    $stretch,
    reason,
    CASE WHEN reason IS NULL THEN customer END AS customer,
    CASE WHEN reason IS NULL THEN day END AS day,
    CASE WHEN reason IS NULL THEN status END::INTEGER AS status,
    CASE WHEN reason IS NULL THEN ms END::INTEGER AS ms,
    count(*)
FROM judged
GROUP BY ALL
"""

_PUT_TOGETHER = """
CREATE OR REPLACE TABLE counted AS
SELECT log, stretch, reason, customer, day, status, ms, sum(lines)::BIGINT AS lines FROM counted GROUP BY ALL
"""

_INSERT = """
INSERT INTO counted
SELECT
    $log,
    $stretch,
    unnest($reason::VARCHAR[]),
    unnest($customer::VARCHAR[]),
    unnest($day::INTEGER[]),
    unnest($status::INTEGER[]),
    unnest($ms::INTEGER[]),
    unnest($lines::BIGINT[])
"""

_TO_REJECT = -1
"""The stretch of lines that are taken out of others."""
_REJECT = f"""
INSERT INTO counted
SELECT log, 0, reason, customer, day, status, ms, -lines FROM counted
WHERE log = $log AND stretch = {_TO_REJECT} AND reason IS NULL
UNION ALL
SELECT log, 0, 'too_new', NULL, NULL, NULL, NULL, lines FROM counted
WHERE log = $log AND stretch = {_TO_REJECT} AND reason IS NULL
"""

_WANT = """
INSERT INTO wanted
SELECT unnest($customer::VARCHAR[]), unnest($day::INTEGER[]), unnest($last_stretch::INTEGER[])
"""

_LATEST_OF_FIRST = f"""
{_JUDGED}
SELECT max(day) FROM (SELECT day FROM judged WHERE reason IS NULL OR reason = 'too_old' LIMIT {FIRST_REQUESTS})
"""

# Requests as (customer, day, status, ms, lines).
_OF_DAY = """
of_customers AS (
    SELECT customer, day, status, ms, lines FROM counted WHERE stretch = 0 AND reason IS NULL AND day = $day
),
requests AS (
    SELECT * FROM of_customers UNION ALL SELECT '' AS customer, day, status, ms, lines FROM of_customers
)
"""
_OF_WANTED = """
requests AS (
    SELECT wanted.customer, day, status, ms, lines
    FROM counted JOIN wanted USING (day, customer)
    WHERE reason IS NULL AND stretch <= last_stretch
    UNION ALL
    SELECT wanted.customer, day, status, ms, lines
    FROM counted JOIN wanted USING (day)
    WHERE reason IS NULL AND stretch <= last_stretch AND wanted.customer = ''
)
"""
_FIGURES = """
by_status AS (SELECT customer, day, status, sum(lines)::BIGINT AS lines FROM requests GROUP BY ALL),
by_ms AS (SELECT customer, day, ms, sum(lines)::BIGINT AS lines FROM requests GROUP BY ALL),
totals AS (
    SELECT
        customer,
        day,
        sum(lines)::BIGINT AS total,
        coalesce(sum(lines) FILTER (WHERE status BETWEEN 200 AND 399), 0)::BIGINT AS successful,
        map(list(status), list(lines)) AS statuses
    FROM by_status
    GROUP BY ALL
),
ranked AS (
    SELECT
        *,
        sum(lines) OVER (PARTITION BY customer, day) AS timed,
        sum(lines) OVER (PARTITION BY customer, day ORDER BY ms) AS rank_of_last
    FROM by_ms
    WHERE ms IS NOT NULL
),
latencies AS (
    SELECT
        customer,
        day,
        any_value(timed) AS timed,
        sum(ms * lines)::BIGINT AS sum_ms,
        min(ms) FILTER (WHERE 2 * rank_of_last >= timed) AS lower_middle,
        min(ms) FILTER (WHERE 2 * rank_of_last > timed) AS upper_middle,
        min(ms) FILTER (WHERE 100 * rank_of_last >= 99 * timed) AS p99,
        map(list(ms), list(lines)) AS latencies
    FROM ranked
    GROUP BY customer, day
)
SELECT
    customer,
    day,
    total,
    successful,
    total - successful,
    100 * successful / total,
    sum_ms / (1000 * timed),
    (lower_middle + upper_middle) / 2000,
    p99 / 1000,
    statuses,
    latencies
FROM totals LEFT JOIN latencies USING (customer, day)
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """One customer's day."""

    figures: tuple[float | None, ...]
    """Total, successful, failed, uptime (%), average, median and p99 latency (s)."""
    statuses: dict[int, int]
    """HTTP status -> requests."""
    latencies: dict[int, int]
    """Whole milliseconds -> requests."""


class Recount:
    """Lines are counted here as they are read, and the counts asked for. To be closed."""

    def __init__(self, folder: Path, oldest_day: int, latest_second: int, parse: Parser | None) -> None:
        """`folder`: what does not fit into memory goes here. Lines of days before `oldest_day`, and those after
        `latest_second` (Unix time), are left out. `parse`: of a format that is not our own."""
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(folder),
            "threads": THREADS,
        }
        self._database = duckdb.connect(config=config)
        self._database.execute(_TABLES)
        self._times = {"oldest_day": oldest_day, "latest_second": latest_second}
        self._parse = parse
        self._tidy_rows = 0
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="recount")

    def __enter__(self) -> "Recount":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        self._database.close()

    def add(self, log: str, stretch: int, blocks: Iterable[bytes]) -> None:
        """Count the lines of a part of a log. What comes after the last newline is a line as well."""
        pending: set[Future[None]] = set()
        for number, lines in enumerate(whole_lines(blocks), 1):
            is_time_to_tidy = number % BLOCKS_BETWEEN_TIDYING == 0
            while len(pending) > THREADS or (pending and is_time_to_tidy):
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
            if is_time_to_tidy:
                self._tidy()
            pending.add(self._pool.submit(self._add, log, stretch, lines))
        for future in pending:
            future.result()
        self._tidy()

    def reject(self, log: str, lines: bytes) -> None:
        """Take these lines out of what is committed, where they are requests: they were too new when they were
        read."""
        self._add(log, _TO_REJECT, lines)
        self._ask(_REJECT, log=log)
        self._ask(_PUT_TOGETHER)
        self._ask("DELETE FROM counted WHERE lines = 0 OR stretch = $stretch", stretch=_TO_REJECT)

    def forget_later(self) -> None:
        """Forget all stretches but what is committed."""
        self._ask("DELETE FROM counted WHERE stretch > 0")

    def lines(self, log: str, last_stretch: int = 0) -> Counter[str | None]:
        """The lines of a log through a stretch: requests (None), and the others by reason."""
        query = "SELECT reason, sum(lines)::BIGINT FROM counted WHERE log = $log AND stretch <= $last GROUP BY reason"
        return Counter(dict(self._ask(query, log=log, last=last_stretch)))

    def customers(self) -> int:
        """How many there are."""
        return int(self._ask("SELECT count(DISTINCT customer) FROM counted WHERE stretch = 0")[0][0])

    def days(self) -> set[int]:
        """Those that have requests."""
        rows = self._ask("SELECT DISTINCT day FROM counted WHERE stretch = 0 AND reason IS NULL")
        return {day for (day,) in rows}

    def of_day(self, day: int) -> dict[str, Counted]:
        """What is committed of a day, by customer and of EVERYBODY."""
        rows = self._ask(f"WITH {_OF_DAY}, {_FIGURES}", day=day)
        return {customer: counted for (customer, _), counted in map(_counted, rows)}

    def of_rows(self, wanted: Iterable[tuple[str, int, int]]) -> dict[RowKey, Counted]:
        """The counts of single rows. `wanted`: customer, day, through which stretch."""
        columns = [list(column) for column in zip(*wanted, strict=True)]
        self._ask("DELETE FROM wanted")
        self._ask(_WANT, **dict(zip(["customer", "day", "last_stretch"], columns, strict=True)))
        return dict(map(_counted, self._ask(f"WITH {_OF_WANTED}, {_FIGURES}")))

    def latest_of_first(self, block: bytes) -> int | None:
        """The latest day among the first thousand requests of a part of a log; None where there is no request."""
        if self._parse is not None:
            requests, _ = self._parse(block + b"\n", latest_second=self._times["latest_second"])
            return int(requests.days[:FIRST_REQUESTS].max()) if requests else None
        text, _ = _decoded(block)
        rows = self._ask(_LATEST_OF_FIRST, text=text or "", **self._times)
        day: int | None = rows[0][0]
        return day

    def _add(self, log: str, stretch: int, lines: bytes) -> None:
        if self._parse is not None:
            self._add_parsed(log, stretch, *self._parse(lines + b"\n", 0, **self._times))
            return
        text, rejected = _decoded(lines)
        if text is not None:
            self._ask(_COUNT, text=text, log=log, stretch=stretch, **self._times)
        for reason, count in rejected.items():
            query = "INSERT INTO counted (log, stretch, reason, lines) VALUES ($log, $stretch, $reason, $lines)"
            self._ask(query, log=log, stretch=stretch, reason=reason, lines=count)

    def _add_parsed(self, log: str, stretch: int, requests: Requests, rejected: Sequence[Rejected]) -> None:
        columns = (
            requests.customer_ids(),
            *(c.tolist() for c in (requests.days, requests.statuses, requests.latencies)),
        )
        self._insert(log, stretch, Counter((None, *request) for request in zip(*columns, strict=True)))
        self._insert(log, stretch, Counter((line.reason.value, None, None, None, None) for line in rejected))

    def _insert(self, log: str, stretch: int, counts: Counter[tuple[Any, ...]]) -> None:
        reason, customer, day, status, ms = map(list, zip(*counts, strict=True)) if counts else ([],) * 5
        self._ask(
            _INSERT,
            log=log,
            stretch=stretch,
            reason=reason,
            customer=customer,
            day=day,
            status=status,
            ms=[value if value != NONE else None for value in ms],
            lines=list(counts.values()),
        )

    def _tidy(self) -> None:
        """Put the blocks' counts together where that makes much fewer rows of them."""
        rows = "SELECT count(*) FROM counted"
        if self._ask(rows)[0][0] > 2 * self._tidy_rows + ROWS_APART:
            self._ask(_PUT_TOGETHER)
            self._tidy_rows = self._ask(rows)[0][0]

    def _ask(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self._database.cursor() as cursor:
            return cursor.execute(query, parameters).fetchall()


def whole_lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks that end with a line; without its newline. Of a line that is too long only so much is
    held and handed on that it still is."""
    rest = b""
    too_long = False
    for block in blocks:
        if too_long:
            newline = block.find(b"\n")
            if newline < 0:
                continue
            too_long, block = False, block[newline:]
        block = rest + block
        end = block.rfind(b"\n")
        if end >= 0:
            yield block[:end]
        rest = block[end + 1 :]
        if len(rest) > LONGEST_LINE:
            too_long, rest = True, rest[: LONGEST_LINE + 1]
    if rest:
        yield rest


def _decoded(lines: bytes) -> tuple[str | None, Counter[str]]:
    """The lines that are UTF-8, None where there is none, and how many are not, by reason."""
    try:
        return lines.decode(), Counter()
    except UnicodeDecodeError:
        pass
    good: list[str] = []
    bad: Counter[str] = Counter()
    for line in lines.split(b"\n"):
        try:
            good.append(line.decode())
        except UnicodeDecodeError:
            bad["too_long" if len(line) > LONGEST_LINE else "not_utf8"] += 1
    return "\n".join(good) if good else None, bad


def _counted(row: tuple[Any, ...]) -> tuple[RowKey, Counted]:
    customer, day, *figures, statuses, latencies = row
    return (customer, day), Counted(tuple(figures), statuses, latencies or {})
