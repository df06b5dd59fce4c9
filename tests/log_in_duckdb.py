"""Figures of a log by SQL alone: an independent computation, to which answers of the api are compared.

DuckDB has the time zones of ICU, which are not those that the api uses.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import duckdb

from asking import FIGURES
from log_processor.format_settings import LogFormat

Request = tuple[datetime, str, str, int | None, int | None]
"""Time in UTC, customer, path, status (None: none), milliseconds (None: no duration)."""
PARSE = LogFormat(log_format="combined").parser()
"""Parses what `combined` writes."""

_FIGURES = """
    count(*),
    count(*) FILTER (WHERE status BETWEEN 200 AND 399),
    count(*) FILTER (WHERE status IS NULL OR status NOT BETWEEN 200 AND 399),
    count(*) FILTER (WHERE status BETWEEN 400 AND 499),
    count(*) FILTER (WHERE status IS NULL OR status BETWEEN 500 AND 599),
    100 * count(*) FILTER (WHERE status BETWEEN 200 AND 399) / count(*),
    100 * (count(*) - count(*) FILTER (WHERE status IS NULL OR status BETWEEN 500 AND 599)) / count(*),
    sum(ms) / (1000 * count(ms)),
    (
        list_sort(list(ms) FILTER (ms IS NOT NULL))[(count(ms) + 1) // 2]
        + list_sort(list(ms) FILTER (ms IS NOT NULL))[count(ms) // 2 + 1]
    ) / 2000,
    list_sort(list(ms) FILTER (ms IS NOT NULL))[(99 * count(ms) + 99) // 100] / 1000
"""
"""In the order of `asking.FIGURES`."""


def combined(at: datetime, customer: str, path: str, status: int | None, ms: int | None) -> bytes:
    """A line of the format `combined`, in which a request may have no status and no duration."""
    duration = "-" if ms is None else f"{ms / 1000:.3f}"
    stamp = f"{at:%d/%b/%Y:%H:%M:%S} +0000"
    return f'192.0.2.1 - {customer} [{stamp}] "GET {path} HTTP/1.1" {status or "-"} 5 "-" "-" {duration}\n'.encode()


class Log:
    """Requests in a table: `utc`, `local` (by the clock of a zone), `customer`, `path`, `status` (NULL: none), `ms`
    (NULL: no duration)."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._connection = duckdb.connect(config={"threads": 1})
        self._connection.execute(
            "CREATE TABLE logged (utc TIMESTAMP, customer VARCHAR, path VARCHAR, status INTEGER, ms BIGINT)"
        )
        columns = [list(column) for column in zip(*requests, strict=True)]
        self._connection.execute(
            "INSERT INTO logged SELECT unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)", columns
        )
        self.in_zone("UTC")

    def in_zone(self, zone: str) -> None:
        """From now on `local` is the clock of this zone."""
        local = f"timezone('{zone}', timezone('UTC', utc))"
        self._connection.execute(f"CREATE OR REPLACE VIEW requests AS SELECT *, {local} AS local FROM logged")

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._connection.execute(sql).fetchall()

    def figures(self, where: str = "TRUE", by: str = "''") -> dict[Any, dict[str, Any]]:
        """Value of the expression `by` -> figures, by their names in answers, of the requests that `where` selects."""
        found = self.ask(f"SELECT {by} AS key, {_FIGURES} FROM requests WHERE {where} GROUP BY key")
        return {key: dict(zip(FIGURES, figures, strict=True)) for key, *figures in found}

    def total(self, where: str) -> dict[str, Any]:
        """The figures of the requests that `where` selects, of which there are some."""
        (found,) = self.figures(where).values()
        return found


def figures_of(row: dict[str, Any]) -> dict[str, Any]:
    """The figures of a row of an answer."""
    return {name: row[name] for name in FIGURES}
