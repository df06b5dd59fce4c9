"""Counts the requests of logs anew, in SQL: by day, by quarter hour, and by endpoint.

These are the definitions of docs/glossary.md, written a second time: nothing here is shared with what is being checked,
but for the parsers of formats that are not our own, whose requests are counted here all the same.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import duckdb
from numpy.typing import NDArray

from log_processor.commands.verify import definitions
from request_log.formats import simple
from request_log.framing.content import line_at
from request_log.framing.framed import Framed
from request_log.framing.protocol import PLAIN, Framing
from request_log.line import LAST_SECOND
from request_log.requests import Parser, Requests
from rollups.rules import DEFAULT, Rules

EVERYBODY = ""
"""Stands for all customers together. A customer has at least one character."""
RowKey = tuple[str, int]
"""A customer, or EVERYBODY, and a UTC day (days since 1970-01-01)."""
THREADS = 2
"""Threads of the database, and blocks that are counted at once."""
ROWS_APART = 2_000_000
"""Rows of counts beyond which the counts of single blocks are merged."""
BLOCKS_BETWEEN_TIDYING = 64
MEMORY_LIMIT = "1GB"
"""Of the database. Other data goes to files."""
SKIPPED, LOST = "skipped", "lost"
"""Reasons of lines that are comments, and of lines that a parser has lost."""
ROLLED_UP, BEING_ROLLED_UP, STORED = -2, -1, 1 << 30
"""Stages, see Recount."""
SECONDS_A_DAY = 86_400
SECONDS_A_QUARTER_HOUR = 900
_STORED_FIGURES = [
    "stored requests",
    "stored requests with status {number}",
    "stored requests of {number} ms",
    "stored requests of quarter hour {number}",
    "stored requests of {endpoint}",
    "bytes of stored requests of {endpoint}",
]
"""By their kind in definitions.STORED_DIFFERENCES."""
_ZEROS = re.compile(rb"^\0+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Counted:
    figures: tuple[float | None, ...]
    """Total, successful, failed, client and server errors, uptime and availability (%), average, median and p99
    latency (s)."""
    statuses: dict[int, int]
    """HTTP status, 0 if not logged -> requests."""
    latencies: dict[int, int]
    """Whole milliseconds -> requests."""


class _Lines(NamedTuple):
    """Whole lines of a file, each with its newline."""

    data: bytes
    start: int
    """The offset in the file."""
    context: str
    """The context at that offset, see request_log.framing.protocol.Framing."""


class Recount:
    """Counts lines as they are read, and answers with the counts. A context manager.

    Each line is counted at a stage, and a question names the last stage that it asks about. `ROLLED_UP` has what the
    roll-ups had at first, `BEING_ROLLED_UP` what was being rolled up then. 0 has everything else that is committed, and
    n what the nth commit after that has counted. `STORED` takes out what is stored of all that is committed.
    """

    def __init__(
        self, folder: Path, oldest_day: int, latest_second: int, parse: Parser | None, framing: Framing = PLAIN
    ) -> None:
        """`folder`: for data that does not fit into memory. Lines of days before `oldest_day`, and lines after
        `latest_second` (Unix time), are left out. `parse`: of a format that is not our own. `framing`: how lines of our
        own lie in their files."""
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": str(folder),
            "threads": THREADS,
        }
        self._database = duckdb.connect(config=config)
        self._database.execute(definitions.TABLES)
        self._times = {"oldest_day": oldest_day, "latest_second": latest_second}
        self._is_own = parse is None
        self._parse = Framed.of(parse) if parse is not None else Framed(framing, lambda _: simple.parse)
        self._tidy_rows = dict.fromkeys(definitions.MERGE, 0)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="recount")

    def __enter__(self) -> "Recount":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        self._database.close()

    def add(
        self,
        log: str,
        stage: int,
        blocks: Iterable[bytes],
        start: int = 0,
        context: str = "",
        rules: Rules = DEFAULT,
        are_of_file: bool = True,
    ) -> str:
        """Count the lines of a part of a log. Bytes after the last newline are a line as well.

        `start`: where the part begins in its file. `context`: the context there, see Framing. `rules`: hold for these
        lines. `are_of_file`: zeros at the beginning of a line are a hole of its file, and no part of it. Returns the
        context at the end.
        """
        pending: set[Future[None]] = set()
        last = _Lines(b"", start, context)
        for number, lines in enumerate(self._whole_lines(blocks, start, context, are_of_file), 1):
            last = lines
            is_time_to_tidy = number % BLOCKS_BETWEEN_TIDYING == 0
            while len(pending) > THREADS or (pending and is_time_to_tidy):
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
            if is_time_to_tidy:
                self._tidy()
            pending.add(self._pool.submit(self._add, log, stage, lines, rules))
        for future in pending:
            future.result()
        self._tidy()
        return self.framing.after(last.data, last.context, last.start == 0)

    def add_stored(self, stage: int, requests: Requests, rules: Rules = DEFAULT) -> None:
        """Count stored requests whose lines are in no file any more, or take them out at `STORED`. `rules`: hold for
        them."""
        # The store may have requests that are about to expire.
        is_kept = requests.days >= self._times["oldest_day"]
        if not is_kept.all():
            requests = requests.select(is_kept.tolist())
        with self._database.cursor() as cursor:
            _judge_requests(cursor, requests, ())
            _count(cursor, None, stage, (), rules, sign=-1 if stage == STORED else 1)
        self._tidy()

    def spans(self, most: int) -> Iterator[tuple[int, int]]:
        """Spans of time (Unix, s; inclusive) that follow one another and have all committed requests, `most` each where
        a quarter hour does not have more."""
        query = "SELECT day, part, sum(lines)::BIGINT FROM divided"
        query += " WHERE customer IS NULL AND stage <= 0 GROUP BY ALL ORDER BY day, part"
        first = requests = 0
        for day, part, of_part in self.ask(query):
            requests += of_part
            if requests > most:
                start = day * SECONDS_A_DAY + part * SECONDS_A_QUARTER_HOUR
                yield first, start - 1
                first, requests = start, of_part
        yield first, LAST_SECOND

    def first_stored_day(self) -> int | None:
        """The first day (since 1970-01-01) of the requests that were taken out at `STORED`; None: there are none."""
        query = "SELECT min(day) FROM counted WHERE stage = $stored AND reason IS NULL"
        ((day,),) = self.ask(query, stored=STORED)
        return None if day is None else int(day)

    def stored_differences(self) -> list[tuple[str, int, str, int, int]]:
        """(customer, day, figure, its value in the log and in the store) of the first figure that differs between the
        committed requests of a customer's day and the stored ones, which were taken out at `STORED`."""
        rows = self.ask(definitions.STORED_DIFFERENCES, stored=STORED)
        return [
            (customer, day, _STORED_FIGURES[kind].format(number=number, endpoint=endpoint), logged, stored)
            for customer, day, kind, number, endpoint, logged, stored in rows
        ]

    def reject(self, log: str, stage: int, lines: bytes, context: str, rules: Rules) -> None:
        """Take lines out of a stage, if they are requests: they were too new when they were read. `context`, `rules`:
        of all of them."""
        with self._database.cursor() as cursor:
            mended = self._judge(cursor, _Lines(lines + b"\n", 0, context))
            cursor.execute("DELETE FROM judged WHERE reason IS NOT NULL")
            _count(cursor, log, stage, mended, rules, sign=-1)
            query = "INSERT INTO counted (log, stage, reason, lines)"
            query += " SELECT $log, $stage, 'too_new', count(*) FROM judged"
            cursor.execute(query, {"log": log, "stage": stage})
        for merge in definitions.MERGE.values():
            self.ask(merge)

    def has_request(self, blocks: Iterable[bytes]) -> bool:
        return any(map(self._has_request, self._whole_lines(blocks, 0, "")))

    def first_line(self, data: bytes, offset: int) -> bytes:
        """The line at the beginning of bytes of a file, as the file has it. `offset`: where it begins in the file."""
        whole = data[: data.rfind(b"\n") + 1] or data + b"\n"
        in_parts = {
            place: line
            for content in self._parse.contents(whole, offset, "")
            for place, line in content.in_parts.items()
        }
        return line_at(0, whole, in_parts)

    @property
    def framing(self) -> Framing:
        return self._parse.framing

    def forget_later(self) -> None:
        for table in (*definitions.MERGE, "mended"):
            self.ask(f"DELETE FROM {table} WHERE stage > 0")

    def mended(self, log: str, last_stage: int = 0) -> Counter[str]:
        """How many requests of a log, through a stage, were mended, by kind."""
        query = "SELECT kind, sum(lines)::BIGINT FROM mended WHERE log = $log AND stage <= $last GROUP BY kind"
        return Counter(dict(self.ask(query, log=log, last=last_stage)))

    def lines(self, log: str, last_stage: int = 0) -> Counter[str | None]:
        """The lines of a log through a stage: requests (None), and the others by reason, SKIPPED and LOST."""
        query = "SELECT reason, sum(lines)::BIGINT FROM counted WHERE log = $log AND stage <= $last GROUP BY reason"
        return Counter(dict(self.ask(query, log=log, last=last_stage)))

    def customers(self) -> list[str]:
        rows = self.ask("SELECT DISTINCT customer FROM counted WHERE stage <= 0 AND reason IS NULL ORDER BY customer")
        return [customer for (customer,) in rows]

    def customers_of(self, day: int) -> list[str]:
        """The customers of all counted requests of a day."""
        query = "SELECT DISTINCT customer FROM counted WHERE day = $day AND reason IS NULL"
        return [customer for (customer,) in self.ask(query, day=day)]

    def fold(self, day: int, customers: Sequence[str], other: str) -> None:
        """Give the counted requests of these customers on a day to the customer `other`."""
        for fold in definitions.FOLD.values():
            self.ask(fold, day=day, customers=list(customers), other=other)

    def days(self) -> set[int]:
        """The days with requests in files."""
        query = "SELECT DISTINCT day FROM counted WHERE stage <= 0 AND reason IS NULL AND log IS NOT NULL"
        return {day for (day,) in self.ask(query)}

    def of_day(self, day: int) -> dict[str, Counted]:
        """The committed counts of a day, by customer and for EVERYBODY."""
        rows = self.ask(f"WITH {definitions.REQUESTS_OF_DAY}, {definitions.FIGURES}", day=day)
        return {customer: counted for (customer, _), counted in map(_counted, rows)}

    def of_rows(self, wanted: Iterable[tuple[str, int, int]]) -> dict[RowKey, Counted]:
        """The counts of single rows. `wanted`: customer, day, last stage."""
        columns = [list(column) for column in zip(*wanted, strict=True)]
        self.ask("DELETE FROM wanted")
        self.ask(definitions.WANT, **dict(zip(["customer", "day", "last_stage"], columns, strict=True)))
        return dict(map(_counted, self.ask(f"WITH {definitions.REQUESTS_OF_WANTED}, {definitions.FIGURES}")))

    def ask(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self._database.cursor() as cursor:
            return cursor.execute(query, parameters).fetchall()

    def insert(self, query: str, columns: Mapping[str, NDArray[Any]], **parameters: Any) -> None:
        """Run a query that inserts from `columns`, a table."""
        with self._database.cursor() as cursor:
            cursor.register("columns", columns)
            cursor.execute(query, parameters)

    def _whole_lines(
        self, blocks: Iterable[bytes], start: int, context: str, are_of_file: bool = True
    ) -> Iterator["_Lines"]:
        """The lines of a part of a file, some at a time. All parts of a line come together."""
        rest = b""
        hole = b"" if are_of_file else None
        for block in whole_lines(blocks, b"\0" if self.framing.has_parts else hole):
            data = rest + block + b"\n"
            length = self.framing.whole(data, context).length if self.framing.has_parts else len(data)
            if length:
                yield _Lines(data[:length], start, context)
                context = self.framing.after(data[:length], context, start == 0)
                start += length
            rest = data[length:]
        if rest:
            yield _Lines(rest, start, context)

    def _add(self, log: str, stage: int, lines: "_Lines", rules: Rules) -> None:
        with self._database.cursor() as cursor:
            mended = self._judge(cursor, lines)
            _count(cursor, log, stage, mended, rules)

    def _has_request(self, lines: "_Lines") -> bool:
        with self._database.cursor() as cursor:
            self._judge(cursor, lines)
            found = cursor.execute("SELECT 1 FROM judged WHERE reason IS NULL OR reason = 'too_old' LIMIT 1")
            return bool(found.fetchall())

    def _judge(self, cursor: "duckdb.DuckDBPyConnection", lines: "_Lines") -> list[str]:
        """Judge lines. Returns each kind of mending, once for each mended line."""
        data, start, context = lines
        if not self._is_own:
            parsed = self._parse.parse(data, start, context=context, **self._times)
            reasons = [line.reason.value for line in parsed.rejected] + [SKIPPED] * len(parsed.skipped)
            # Each line has to be one of the three.
            lost = self._number_of(lines) - len(parsed.requests) - len(reasons)
            _judge_requests(cursor, parsed.requests, reasons + [LOST] * abs(lost))
            return [line.what.value for line in parsed.mended]
        (content,) = self._parse.contents(data, start, context)
        text, bad = _decoded(content.data[:-1]) if content.data else (None, [])
        bad += [line.reason.value for line in content.rejected]
        if text is None:
            _judge_requests(cursor, Requests(), bad)
            return []
        cursor.execute(definitions.JUDGE_LINES, {"text": text, **self._times})
        if bad:
            cursor.execute("INSERT INTO judged (reason) SELECT unnest($bad::VARCHAR[])", {"bad": bad})
        return []

    def _number_of(self, lines: "_Lines") -> int:
        """How many lines of the log are in these lines of a file."""
        if not self.framing.has_parts:
            return lines.data.count(b"\n")
        contents = self._parse.contents(*lines)
        return sum(len(content.places) + len(content.rejected) + len(content.skipped) for content in contents)

    def _tidy(self) -> None:
        """Merge the counts of single blocks, if that removes many rows."""
        for table, merge in definitions.MERGE.items():
            rows = f"SELECT count(*) FROM {table}"
            if self.ask(rows)[0][0] > 2 * self._tidy_rows[table] + ROWS_APART:
                self.ask(merge)
                self._tidy_rows[table] = self.ask(rows)[0][0]


def _judge_requests(cursor: "duckdb.DuckDBPyConnection", requests: Requests, reasons: Sequence[str]) -> None:
    cursor.register(
        "columns",
        {
            "customer": requests.customers,
            "day": requests.days,
            "part": requests.seconds % SECONDS_A_DAY // SECONDS_A_QUARTER_HOUR,
            "path": requests.paths,
            "status": requests.statuses,
            "ms": requests.latencies,
            "method": requests.methods,
            "size": requests.sizes,
        },
    )
    texts = {"names": requests.names, "paths": requests.path_texts, "methods": requests.method_texts}
    cursor.execute(definitions.JUDGE_REQUESTS, {**texts, "reasons": list(reasons)})


def _count(
    cursor: "duckdb.DuckDBPyConnection",
    log: str | None,
    stage: int,
    mended: Sequence[str],
    rules: Rules,
    sign: int = 1,
) -> None:
    """Count judged and mended lines. `sign`: -1 takes them out."""
    cursor.execute(definitions.COUNT, {"log": log, "stage": stage, "sign": sign})
    own: list[tuple[str, str]] = []
    if rules.templates:
        paths = cursor.execute("SELECT DISTINCT path FROM judged WHERE reason IS NULL").fetchall()
        own = [(path, template) for (path,) in paths if (template := _own_template(path, rules.templates))]
    parameters = {
        "stage": stage,
        "sign": sign,
        "counts_methods": rules.counts_methods,
        "own_paths": [path for path, _ in own],
        "own_templates": [template for _, template in own],
    }
    cursor.execute(definitions.COUNT_PARTS_AND_ENDPOINTS, parameters)
    if mended:
        cursor.execute(definitions.COUNT_MENDED, {"log": log, "stage": stage, "sign": sign, "kinds": list(mended)})


def _own_template(path: str, templates: tuple[str, ...]) -> str | None:
    """The first of these templates that matches a path without its query and fragment; one that is nothing else is the
    root."""
    alone = re.split("[?#]", re.sub("^[?#]", "/?", path), maxsplit=1)[0]
    found = _any_of(templates).fullmatch(alone)
    return templates[found.lastindex - 1] if found is not None and found.lastindex else None


@lru_cache(8)
def _any_of(templates: tuple[str, ...]) -> re.Pattern[str]:
    """An expression with a group for each template, in which `{name}` stands for a segment."""
    parts = [
        "/".join("[^/]+" if segment[:1] == "{" else re.escape(segment) for segment in template.split("/"))
        for template in templates
    ]
    return re.compile("|".join(f"({part})" for part in parts))


def whole_lines(blocks: Iterable[bytes], hole: bytes | None = b"") -> Iterator[bytes]:
    """The bytes in blocks that end with a line, without its newline. `hole` replaces zeros at the beginning of a line;
    None leaves them. A line that is too long is cut, but stays too long."""
    rest = b""
    too_long = False
    for block in blocks:
        if too_long:
            newline = block.find(b"\n")
            if newline < 0:
                continue
            too_long, block = False, block[newline:]
        block = rest + block
        if hole is not None and b"\0" in block:
            block = _ZEROS.sub(hole, block)
        end = block.rfind(b"\n")
        if end >= 0:
            yield block[:end]
        rest = block[end + 1 :]
        if len(rest) > definitions.LONGEST_LINE:
            too_long, rest = True, rest[: definitions.LONGEST_LINE + 1]
    if rest and rest != hole:
        yield rest


def _decoded(lines: bytes) -> tuple[str | None, list[str]]:
    """The lines that are UTF-8, None if there are none, and the reason to reject each other line."""
    try:
        return lines.decode(), []
    except UnicodeDecodeError:
        pass
    good: list[str] = []
    bad: list[str] = []
    for line in lines.split(b"\n"):
        try:
            good.append(line.decode())
        except UnicodeDecodeError:
            bad.append("too_long" if len(line) > definitions.LONGEST_LINE else "not_utf8")
    return "\n".join(good) if good else None, bad


def _counted(row: tuple[Any, ...]) -> tuple[RowKey, Counted]:
    customer, day, *figures, statuses, latencies = row
    return (customer, day), Counted(tuple(figures), statuses, latencies or {})
