"""Buffers of requests as columns of numbers: of requests that are stored and not yet rolled up.

Its last requests are those that are not yet counted.
"""

from collections import defaultdict
from itertools import count, islice

import numpy as np

from request_log.requests import Requests
from rollups.columns import SECONDS_A_PART, RequestColumns
from rollups.groups import escaped

# Limits of all buffers together: requests, distinct endpoints, characters of the names of customers.
MOST_LINES = 1_000_000
MOST_ENDPOINTS = 50_000
MOST_CHARACTERS = 8 << 20


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
        self.endpoint_numbers: defaultdict[str, int] = defaultdict(count().__next__)

    def take(self, requests: Requests) -> None:
        """Add requests whose paths are templates."""
        if not requests:
            return
        customers, known = self._customers, len(self._customers)
        # Every reserved name ends so.
        names = [escaped(name) if name.endswith(")") else name for name in requests.names]
        own = np.array([customers.setdefault(name, len(customers)) for name in names], np.int32)
        endpoints = np.array(list(map(self.endpoint_numbers.__getitem__, requests.path_texts)), np.int32)
        self.parts.append(
            RequestColumns(
                own[requests.customers],
                (requests.seconds // SECONDS_A_PART).astype(np.int32),
                endpoints[requests.paths],
                requests.statuses.astype(np.int16),
                requests.latencies.astype(np.int32),
            )
        )
        self.lines += len(requests)
        self.seconds = span(self.seconds, (int(requests.seconds.min()), int(requests.seconds.max())))
        self.characters += sum(map(len, islice(reversed(customers), len(customers) - known)))

    def number_of(self, customer: str) -> int:
        """The index of a customer in the columns."""
        return self._customers.setdefault(customer, len(self._customers))

    @property
    def customer_count(self) -> int:
        """The number of customers."""
        return len(self._customers)

    def customers(self) -> list[str]:
        """The customers, by their indices in the columns."""
        return list(self._customers)

    def endpoints(self) -> list[str]:
        """The endpoints, by their indices in the columns."""
        return list(self.endpoint_numbers)


def span(*seconds: tuple[int, int] | None) -> tuple[int, int] | None:
    """From the earliest to the latest second of these spans; None where all are None."""
    some = [of_one for of_one in seconds if of_one is not None]
    return (min(oldest for oldest, _ in some), max(newest for _, newest in some)) if some else None


def is_full(*buffers: Buffer | None) -> bool:
    """Whether these buffers together have reached a limit."""
    some = [buffer for buffer in buffers if buffer is not None]
    return (
        sum(buffer.lines for buffer in some) >= MOST_LINES
        or sum(len(buffer.endpoint_numbers) for buffer in some) >= MOST_ENDPOINTS
        or sum(buffer.characters for buffer in some) >= MOST_CHARACTERS
    )
