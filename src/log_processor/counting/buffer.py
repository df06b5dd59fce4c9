"""Buffers of requests as columns of numbers: of requests that are stored and not yet rolled up.

Its last requests are those that are not yet counted.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray

from request_log.requests import NONE, Requests
from rollups.columns import SECONDS_A_QUARTER_HOUR, RequestColumns
from rollups.groups import METHODS, OTHER, Endpoint, escaped, unescaped

# Limits of all buffers together: requests, distinct endpoints, characters of the names of customers.
MOST_LINES = 1_000_000
MOST_ENDPOINTS = 50_000
MOST_CHARACTERS = 8 << 20
_METHODS = {method: number for number, method in enumerate(["", *sorted(METHODS), OTHER])}


class Buffer:
    """Requests of any logs, in any order."""

    def __init__(self) -> None:
        self.parts: list[RequestColumns] = []
        self.lines = 0
        """The number of requests."""
        self.seconds: tuple[int, int] | None = None
        """Unix times (s) of the earliest and the latest request; None where there is none."""
        self.characters = 0
        """Characters of the names of all customers."""
        self._customers: dict[str, int] = {}
        self._paths: defaultdict[str, int] = defaultdict(count().__next__)
        self._path_texts: list[str] = []
        self._endpoints: list[Endpoint] = []
        self._numbers = np.empty(0, np.int32)
        """The index of each endpoint, -1 where it has none, by the numbers of its path and method in one."""

    def take(self, requests: Requests, counts_methods: bool = True) -> None:
        """Add requests whose paths are templates. `counts_methods`: see Rules."""
        if not requests:
            return
        customers, known = self._customers, len(self._customers)
        # Every reserved name ends so.
        names = [escaped(name) if name.endswith(")") else name for name in requests.names]
        own = np.array([customers.setdefault(name, len(customers)) for name in names], np.int32)
        self.parts.append(
            RequestColumns(
                own[requests.customers],
                (requests.seconds // SECONDS_A_QUARTER_HOUR).astype(np.int32),
                self._endpoints_of(requests, counts_methods),
                requests.statuses.astype(np.int16),
                requests.latencies.astype(np.int32),
                requests.sizes if counts_methods else np.full(len(requests), NONE),
            )
        )
        self.lines += len(requests)
        self.seconds = span(self.seconds, (int(requests.seconds.min()), int(requests.seconds.max())))
        self.characters += sum(map(len, islice(reversed(customers), len(customers) - known)))

    def take_counted(
        self, columns: RequestColumns, names: Sequence[str], endpoints: Sequence[Endpoint], seconds: tuple[int, int]
    ) -> None:
        """Add requests as another buffer has them. `names`, `endpoints`: by the indices in these columns. `seconds`:
        Unix times (s) between which they are."""
        known = len(self._customers)
        own = np.array([self.number_of(name) for name in names], np.int32)
        paths = self._numbers_of_paths([unescaped(endpoint.path) for endpoint in endpoints])
        of_endpoints = self._numbers_of(paths, np.array([_METHODS[endpoint.method] for endpoint in endpoints]))
        self.parts.append(columns._replace(customers=own[columns.customers], endpoints=of_endpoints[columns.endpoints]))
        self.lines += columns.lines
        self.seconds = span(self.seconds, seconds)
        self.characters += sum(map(len, islice(reversed(self._customers), len(self._customers) - known)))

    def _endpoints_of(self, requests: Requests, counts_methods: bool) -> NDArray[np.int32]:
        """The index of each request's endpoint."""
        paths = self._numbers_of_paths(requests.path_texts)[requests.paths]
        if not counts_methods:
            return self._numbers_of(paths, np.zeros(len(paths), np.int64))
        methods = np.array([_METHODS.get(method, _METHODS[OTHER]) for method in requests.method_texts])
        return self._numbers_of(paths, methods[requests.methods])

    def _numbers_of_paths(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The number of each path."""
        known = len(self._paths)
        paths = np.array(list(map(self._paths.__getitem__, texts)), np.int64)
        self._path_texts += reversed(list(islice(reversed(self._paths), len(self._paths) - known)))
        return paths

    def _numbers_of(self, paths: NDArray[np.int64], methods: NDArray[np.int64]) -> NDArray[np.int32]:
        """The index of each endpoint. `paths`, `methods`: their numbers, one of each for each endpoint."""
        keys = paths * len(_METHODS) + methods
        if (missing := len(self._paths) * len(_METHODS) - len(self._numbers)) > 0:
            self._numbers = np.append(self._numbers, np.full(len(self._numbers) + missing, -1, np.int32))
        numbers = self._numbers.take(keys)
        if (is_new := numbers < 0).any():
            for key in np.unique(keys[is_new]).tolist():
                path, method = divmod(key, len(_METHODS))
                self._numbers[key] = len(self._endpoints)
                self._endpoints.append(Endpoint(escaped(self._path_texts[path]), list(_METHODS)[method]))
            numbers = self._numbers.take(keys)
        return numbers

    def number_of(self, customer: str) -> int:
        """The index of a customer in the columns."""
        return self._customers.setdefault(customer, len(self._customers))

    @property
    def endpoint_count(self) -> int:
        """The number of endpoints."""
        return len(self._endpoints)

    @property
    def customer_count(self) -> int:
        """The number of customers."""
        return len(self._customers)

    def customers(self) -> list[str]:
        """The customers, by their indices in the columns."""
        return list(self._customers)

    def endpoints(self) -> list[Endpoint]:
        """The endpoints, by their indices in the columns."""
        return self._endpoints


def span(*seconds: tuple[int, int] | None) -> tuple[int, int] | None:
    """From the earliest to the latest second of these spans; None where all are None."""
    some = [of_one for of_one in seconds if of_one is not None]
    return (min(oldest for oldest, _ in some), max(newest for _, newest in some)) if some else None


def is_full(*buffers: Buffer | None) -> bool:
    """Whether these buffers together have reached a limit."""
    some = [buffer for buffer in buffers if buffer is not None]
    return (
        sum(buffer.lines for buffer in some) >= MOST_LINES
        or sum(buffer.endpoint_count for buffer in some) >= MOST_ENDPOINTS
        or sum(buffer.characters for buffer in some) >= MOST_CHARACTERS
    )
