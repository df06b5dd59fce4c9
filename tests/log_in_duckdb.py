"""Figures of a log by SQL alone: an independent computation, to which answers of the api are compared.

DuckDB has the time zones of ICU, which are not those that the api uses.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import duckdb

from asking import FIGURES

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


class Log:
    """Requests in a table: `utc`, `customer`, `path`, `status` (NULL: none), `ms` (NULL: no duration)."""

    def __init__(self, requests: Sequence[tuple[datetime, str, str, int | None, int | None]]) -> None:
        self._connection = duckdb.connect(config={"threads": 1})
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute(
            "CREATE TABLE requests (utc TIMESTAMP, customer VARCHAR, path VARCHAR, status INTEGER, ms BIGINT)"
        )
        columns = [list(column) for column in zip(*requests, strict=True)]
        self._connection.execute(
            "INSERT INTO requests SELECT unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)", columns
        )

    def ask(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._connection.execute(sql, parameters).fetchall()

    def figures(self, where: str = "TRUE", by: str = "''", *parameters: object) -> dict[Any, dict[str, Any]]:
        """Value of the expression `by` -> figures, by their names in answers, of the requests that `where` selects."""
        found = self.ask(f"SELECT {by} AS key, {_FIGURES} FROM requests WHERE {where} GROUP BY key", *parameters)
        return {key: dict(zip(FIGURES, figures, strict=True)) for key, *figures in found}


def figures_of(row: dict[str, Any]) -> dict[str, Any]:
    """The figures of a row of an answer."""
    return {name: row[name] for name in FIGURES}
