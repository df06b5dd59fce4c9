"""Requests as columns of numbers, on which counting works."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from request_log.requests import Integers

QUARTER_HOURS_A_DAY = 96
"""Counts are by quarter hours of UTC, because the day of every time zone begins at one."""
QUARTER_HOURS_AN_HOUR = QUARTER_HOURS_A_DAY // 24
SECONDS_A_QUARTER_HOUR = 900

Column = NDArray[np.signedinteger]


class RequestColumns(NamedTuple):
    customers: NDArray[np.int32]
    """Indices in a list of names."""
    quarter_hours: NDArray[np.int32]
    """Since 1970-01-01."""
    endpoints: NDArray[np.int32]
    """Indices in a list of endpoints."""
    statuses: NDArray[np.int16]
    """HTTP statuses."""
    latencies: NDArray[np.int32]
    """Whole milliseconds; NONE where no duration was logged."""
    sizes: Integers
    """Bytes of the responses; NONE where none were logged."""

    @property
    def lines(self) -> int:
        return len(self.quarter_hours)

    def select(self, which: "slice | NDArray[np.bool_] | Integers") -> "RequestColumns":
        """The requests that a slice, a mask or an array of indices selects."""
        return RequestColumns._make(column[which] for column in self)

    @property
    def days(self) -> NDArray[np.int32]:
        """UTC days since 1970-01-01."""
        return self.quarter_hours // QUARTER_HOURS_A_DAY


def joined(parts: Sequence[RequestColumns]) -> RequestColumns:
    return RequestColumns._make(map(np.concatenate, zip(*parts, strict=True)))


def joined_and_freed(parts: list[RequestColumns]) -> RequestColumns:
    """The requests of all these parts. Empties `parts`, a column at a time: no request is in memory twice."""
    columns: list[list[Column]] = [list(column) for column in zip(*parts, strict=True)]
    parts.clear()
    return RequestColumns._make(_freed(columns))


def _freed(columns: list[list[Column]]) -> Iterator[Column]:
    for pieces in columns:
        yield np.concatenate(pieces)
        pieces.clear()
