"""The figures of many customers as columns of numbers: a customer takes some 60 bytes, where objects take 600."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isnan, nan
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api.caching.names import Names
from rollups.counts import Outcomes
from rollups.figures import Figures, availability, figures_of, uptime

# Rows of the largest table between two names at which tables are cut, to be sorted a piece at a time.
_SORTED_AT_ONCE = 5_000
Floats = NDArray[np.float64]
_Counts = NDArray[np.int32] | NDArray[np.int64]

_LATENCIES = tuple(figure for figure in Figures._fields if figure.endswith("_latency"))
"""What `figures_of` takes beside the outcomes, in this order. It computes all other figures."""


@dataclass(frozen=True, slots=True)
class FiguresTable:
    """The figures of customers that have requests. It never changes."""

    names: Names = field(default_factory=Names)
    """In order: a customer's place is its row."""
    _requests: _Counts = field(default_factory=lambda: np.zeros((len(Outcomes._fields), 0), np.int32))
    """A row for each field of Outcomes."""
    _latencies: Floats = field(default_factory=lambda: np.zeros((len(_LATENCIES), 0)))
    """A row for each figure of _LATENCIES; NaN stands for None."""

    @classmethod
    def of(cls, figures: Mapping[str, Figures]) -> "FiguresTable":
        in_order = {name: figures[name] for name in sorted(figures)}
        return cls(Names.of(in_order), *_columns(in_order))

    @classmethod
    def joined(cls, tables: Sequence["FiguresTable"]) -> "FiguresTable":
        """The figures of the customers of all tables, none of which is in two of them."""
        tables = [table for table in tables if len(table)]
        if any(table.names[-1] > following.names[0] for table, following in pairwise(tables)):
            # Texts of all names at once would take more memory than all columns.
            largest = max(tables, key=len).names
            bounds = [largest[row] for row in range(_SORTED_AT_ONCE, len(largest), _SORTED_AT_ONCE)]
            starts = [[0, *(bisect_left(table.names, name) for name in bounds), len(table)] for table in tables]
            ranges = zip(*(pairwise(of_table) for of_table in starts), strict=True)
            tables = [
                cls._sorted([table._rows(*rows) for table, rows in zip(tables, of_range, strict=True)])
                for of_range in ranges
            ]
        return cls._in_turn(tables)

    @classmethod
    def _in_turn(cls, tables: Sequence["FiguresTable"]) -> "FiguresTable":
        """The rows of all tables, one table after the other."""
        empty = cls()
        return cls(
            Names.joined([table.names for table in tables]),
            np.concatenate([empty._requests, *(table._requests for table in tables)], axis=1),
            np.concatenate([empty._latencies, *(table._latencies for table in tables)], axis=1),
        )

    @classmethod
    def _sorted(cls, tables: Sequence["FiguresTable"]) -> "FiguresTable":
        """The rows of all tables, in the order of their names."""
        unsorted = cls._in_turn(tables)
        names = unsorted.names[:]
        order = sorted(range(len(names)), key=names.__getitem__)
        return cls(Names.of(names[row] for row in order), unsorted._requests[:, order], unsorted._latencies[:, order])

    def _rows(self, first: int, end: int) -> "FiguresTable":
        return FiguresTable(self.names.between(first, end), self._requests[:, first:end], self._latencies[:, first:end])

    def changed(self, new: "FiguresTable", customers: Iterable[str]) -> "FiguresTable":
        """The table with `new` in the place of the figures of these customers."""
        if not len(self):
            return new
        of_new = new.names[:]
        rows = {name: row for name in [*customers, *of_new] if (row := self._row(name)) is not None}
        gone = sorted(rows.keys() - set(of_new))
        left = [rows[name] for name in gone]
        names = self.names.without(left) if left else self.names
        come = [place for place, name in enumerate(of_new) if name not in rows]
        before = [bisect_left(names, of_new[place]) for place in come]
        if come:
            names = names.inserted(before, [of_new[place] for place in come])
        # Which row of this table each row of the new one has: columns are copied once, because they are large.
        row_before = np.delete(np.arange(len(self), dtype=np.int32), left)
        row_before = np.insert(row_before, before, 0)
        requests = self._requests.astype(np.result_type(self._requests, new._requests), copy=False)[:, row_before]
        latencies = self._latencies[:, row_before]
        stay = [place for place, name in enumerate(of_new) if name in rows]
        here = [bisect_left(names, of_new[place]) for place in stay]
        there = [place + number for number, place in enumerate(before)]
        requests[:, here], latencies[:, here] = new._requests[:, stay], new._latencies[:, stay]
        requests[:, there], latencies[:, there] = new._requests[:, come], new._latencies[:, come]
        return FiguresTable(names, requests, latencies)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> Figures:
        row = self._row(name)
        if row is None:
            raise KeyError(name)
        latencies = [None if isnan(found) else found for found in self._latencies[:, row].tolist()]
        return figures_of(Outcomes(*self._requests[:, row].tolist()), *latencies)

    def column(self, figure: str) -> Floats:
        """A figure of each customer, by its name in Figures; NaN stands for None."""
        if figure in _LATENCIES:
            latencies: Floats = self._latencies[_LATENCIES.index(figure)].copy()
            return latencies
        total, successful, client_errors, server_errors = self._requests
        some = np.where(total > 0, total, nan)
        # Each is as large as the names of all customers, so only one is made.
        columns: dict[str, Callable[[], NDArray[Any]]] = {
            "total_requests": lambda: total,
            "failed_requests": lambda: total - successful,
            "client_errors": lambda: client_errors,
            "server_errors": lambda: server_errors,
            "uptime": lambda: uptime(successful.astype(np.float64), some),
            "availability": lambda: availability(server_errors.astype(np.float64), some),
        }
        return columns[figure]().astype(np.float64)

    def busiest(self, count: int) -> list[str]:
        """The customers with the most requests."""
        rows = np.argsort(-self._requests[0], kind="stable")[:count].tolist()
        return [self.names[row] for row in rows]

    def _row(self, name: str) -> int | None:
        row = bisect_left(self.names, name)
        return row if row < len(self.names) and self.names[row] == name else None


def _columns(figures: Mapping[str, Figures]) -> tuple[_Counts, Floats]:
    found = figures.values()
    outcomes = [(one.total_requests, one.successful_requests, one.client_errors, one.server_errors) for one in found]
    most = max((one.total_requests for one in found), default=0)
    integers = np.int32 if most <= np.iinfo(np.int32).max else np.int64
    requests = np.array(outcomes, integers).reshape(-1, len(Outcomes._fields))
    latencies = np.array(
        [[nan if latency is None else latency for latency in of_one] for of_one in map(attrgetter(*_LATENCIES), found)],
        np.float64,
    )
    return requests.T, latencies.reshape(-1, len(_LATENCIES)).T
