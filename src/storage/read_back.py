"""Turns stored requests back into columns, as they were before they were stored."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from request_log.requests import NONE, Integers, Requests

StoredRow = tuple[int, int, str, str, int, float | None, str | None, int | None]
"""Offset (bytes), Unix time (s), customer, path, HTTP status, duration (s), method, size of the response (bytes)."""

_COLUMNS = np.dtype(
    [
        ("offset", "i8"),
        ("second", "i8"),
        ("customer", "i4"),
        ("path", "i4"),
        ("status", "i2"),
        ("latency", "i4"),
        ("method", "i4"),
        ("size", "i8"),
    ]
)
# Requests that are handed on at once.
_REQUESTS_A_PART = 50_000


class ReadBack:
    """Collects the requests of one file, in any order. There may be a million."""

    def __init__(self) -> None:
        self._customers: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        self._methods: dict[str, int] = {}
        self._parts: list[NDArray[np.void]] = []

    def add(self, rows: Iterable[StoredRow]) -> None:
        """Add some requests. ValueError or ArithmeticError where one cannot have been stored."""
        customers, paths, methods = self._customers, self._paths, self._methods
        numbers = [
            (
                offset,
                second,
                customers.setdefault(customer, len(customers)),
                paths.setdefault(path, len(paths)),
                status,
                milliseconds(duration),
                methods.setdefault(method or "", len(methods)),
                NONE if size is None else size,
            )
            for offset, second, customer, path, status, duration, method, size in rows
        ]
        part = np.array(numbers, _COLUMNS)
        if (part["latency"] < NONE).any() or (part["status"] < 0).any():
            raise ValueError("a duration or a status is negative")
        self._parts.append(part)

    def in_order(self) -> Iterator[Requests]:
        """All requests in the order of their offsets, a part at a time. No more can be added after this.

        They lack the text of their durations and the fractions of their times.
        """
        if not self._parts:
            return
        rows = np.concatenate(self._parts)
        self._parts.clear()
        rows = rows[rows["offset"].argsort()]
        customers, paths, methods = list(self._customers), list(self._paths), list(self._methods)
        for first in range(0, len(rows), _REQUESTS_A_PART):
            part = rows[first : first + _REQUESTS_A_PART]
            names, places = _appearing(customers, part["customer"])
            path_texts, places_of_paths = _appearing(paths, part["path"])
            method_texts, places_of_methods = _appearing(methods, part["method"])
            yield Requests(
                names=names,
                customers=places,
                path_texts=path_texts,
                paths=places_of_paths,
                statuses=part["status"].astype(np.int64),
                latencies=part["latency"].astype(np.int64),
                seconds=part["second"].copy(),
                milliseconds=np.full(len(part), NONE),
                offsets=part["offset"].copy(),
                method_texts=method_texts,
                methods=places_of_methods,
                sizes=part["size"].copy(),
            )


def _appearing(texts: Sequence[str], column: NDArray[np.int32]) -> tuple[list[str], Integers]:
    """The texts whose indices are in a column, and the column of indices among these texts."""
    numbers, places = np.unique(column, return_inverse=True)
    return [texts[number] for number in numbers.tolist()], places


@lru_cache(100_000)
def milliseconds(duration: float | None) -> int:
    """A stored duration (s) in whole milliseconds, rounded half up as a decimal; NONE where there is none.

    The result is exact if the logged duration has at most 15 digits, which a floating-point number holds.
    """
    return NONE if duration is None else int((Decimal(str(duration)) * 1000).to_integral_value(ROUND_HALF_UP))
