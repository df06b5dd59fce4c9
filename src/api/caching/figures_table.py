"""The figures of many customers as columns of numbers: a customer takes some 120 bytes, where objects take 600."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isnan, nan
from operator import le

import numpy as np
from numpy.typing import NDArray

from rollups.counts import Outcomes
from rollups.figures import Figures, availability, figures_of, uptime

Floats = NDArray[np.float64]
# New customers from which on it is faster to sort all names.
_MANY = 1_000


@dataclass(frozen=True, slots=True)
class FiguresTable:
    """The figures of customers that have requests. It never changes."""

    names: list[str] = field(default_factory=list)
    """In order: a customer's place is its row."""
    _requests: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(Outcomes._fields), 0), np.int64))
    """A row for each field of Outcomes."""
    _latencies: Floats = field(default_factory=lambda: np.zeros((3, 0)))
    """Three rows: average, median and p99; NaN stands for None."""

    @classmethod
    def of(cls, figures: Mapping[str, Figures]) -> "FiguresTable":
        """The figures of these customers."""
        in_order = {name: figures[name] for name in sorted(figures)}
        return cls(list(in_order), *_columns(in_order))

    @classmethod
    def joined(cls, tables: Sequence["FiguresTable"]) -> "FiguresTable":
        """The figures of the customers of all tables, none of which is in two of them."""
        names = [name for table in tables for name in table.names]
        empty = cls()
        requests = np.concatenate([empty._requests, *(table._requests for table in tables)], axis=1)
        latencies = np.concatenate([empty._latencies, *(table._latencies for table in tables)], axis=1)
        # To sort takes a second copy of all.
        if not all(map(le, names, islice(names, 1, None))):
            order = np.array(sorted(range(len(names)), key=names.__getitem__))
            names = [names[row] for row in order.tolist()]
            requests, latencies = requests[:, order], latencies[:, order]
        return cls(names, requests, latencies)

    def changed(self, new: "FiguresTable", customers: Iterable[str]) -> "FiguresTable":
        """The table with `new` in the place of the figures of these customers."""
        rows = {name: row for name in [*customers, *new.names] if (row := self._row(name)) is not None}
        stay = [place for place, name in enumerate(new.names) if name in rows]
        requests, latencies, names = self._requests.copy(), self._latencies.copy(), self.names
        here = [rows[new.names[place]] for place in stay]
        requests[:, here], latencies[:, here] = new._requests[:, stay], new._latencies[:, stay]
        gone = sorted(rows.keys() - set(new.names))
        if gone:
            left = [rows[name] for name in gone]
            requests, latencies = np.delete(requests, left, axis=1), np.delete(latencies, left, axis=1)
            names = names.copy()
            for row in reversed(left):
                del names[row]
        come = [place for place, name in enumerate(new.names) if name not in rows]
        if len(come) > _MANY:
            rest = FiguresTable([new.names[place] for place in come], new._requests[:, come], new._latencies[:, come])
            return FiguresTable.joined([FiguresTable(names, requests, latencies), rest])
        if come:
            places = [bisect_left(names, new.names[place]) for place in come]
            requests = np.insert(requests, places, new._requests[:, come], axis=1)
            latencies = np.insert(latencies, places, new._latencies[:, come], axis=1)
            names = names.copy()
            for place, row in zip(reversed(come), reversed(places), strict=True):
                names.insert(row, new.names[place])
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
        total, successful, client_errors, server_errors = self._requests.astype(np.float64)
        average, median, p99 = self._latencies
        some = np.where(total > 0, total, nan)
        columns: dict[str, Floats] = {
            "total_requests": total,
            "failed_requests": total - successful,
            "client_errors": client_errors,
            "server_errors": server_errors,
            "uptime": uptime(successful, some),
            "availability": availability(server_errors, some),
            "average_latency": average,
            "median_latency": median,
            "p99_latency": p99,
        }
        return columns[figure]

    def busiest(self, count: int) -> list[str]:
        """The customers with the most requests."""
        rows = np.argsort(-self._requests[0], kind="stable")[:count].tolist()
        return [self.names[row] for row in rows]

    def _row(self, name: str) -> int | None:
        row = bisect_left(self.names, name)
        return row if row < len(self.names) and self.names[row] == name else None


def _columns(figures: Mapping[str, Figures]) -> tuple[NDArray[np.int64], Floats]:
    found = figures.values()
    outcomes = [(one.total_requests, one.successful_requests, one.client_errors, one.server_errors) for one in found]
    requests = np.array(outcomes, np.int64).reshape(-1, len(Outcomes._fields))
    latencies = np.array(
        [
            [nan if value is None else value for value in (one.average_latency, one.median_latency, one.p99_latency)]
            for one in found
        ],
        np.float64,
    )
    return requests.T, latencies.reshape(-1, 3).T
