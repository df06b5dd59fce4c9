"""Requests that are counted and not broken down yet, and how they get into the rows of breakdowns, each exactly once.

A row says in `applied` through which position of each log it is counted, as a row of counts does.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import lru_cache
from itertools import count, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from log_processor.columns import Column, join
from request_log.requests import NONE, Requests
from rollups.counters import (
    NO_COUNTS,
    Integers,
    add_to_counter,
    count_in,
    decode_applied,
    encode_applied,
    encode_counter,
)
from rollups.counts import Breakdown, Kind, Position
from rollups.group_by import appearing
from rollups.groups import (
    EMPTY,
    LATENCY_BITS,
    MOST_PATHS,
    OTHER,
    PART_BITS,
    STATUS_BITS,
    decode_names,
    encode_names,
    group_of,
)
from storage.contract import Stretch
from storage.line_protocol import CELL_BYTES

# A row is continued by another one before it would be larger: InfluxDB takes no field beyond 1 MiB.
MOST_CHARACTERS = 900_000
# Fewer values are counted faster one by one.
_FEW = 32
# Offsets are below it.
_OFFSET_BITS = 48


class Group(NamedTuple):
    """The requests of one group of customers on one day."""

    number: int
    """See rollups.groups."""
    day: int
    requests: slice


class RequestColumns(NamedTuple):
    """Requests as numbers, columns of equal length."""

    customers: NDArray[np.int32]
    hours: NDArray[np.int32]
    """Since 1970-01-01."""
    paths: NDArray[np.int32]
    statuses: NDArray[np.int16]
    latencies: NDArray[np.int32]
    positions: Integers
    """Generation, from that of the beginning, and offset."""

    def select(self, which: "slice | NDArray[np.bool_] | Integers") -> "RequestColumns":
        """These requests."""
        return RequestColumns._make(column[which] for column in self)


class Pending:
    """Requests of one log, in its order without gaps."""

    def __init__(self, log: str, start: Position) -> None:
        self.log = log
        self.start = self.end = start
        self.lines = 0
        self._oldest = sys.maxsize
        self._newest = 0
        self._ends: dict[int, Position] = {}
        self._customers: dict[str, int] = {}
        self.characters = 0
        """Of the customers' names."""
        self._paths: defaultdict[str, int] = defaultdict(count().__next__)
        self.parts: list[RequestColumns] = []
        """Until they are divided into groups."""
        self._sorted: RequestColumns | None = None
        self._names: list[str] = []
        self._templates: list[str] = []

    @property
    def stretch(self) -> Stretch:
        """All of them."""
        return Stretch(self.start, self._oldest, self._newest, tuple(self._ends.values()))

    def names(self) -> list[str]:
        """The customers, by the numbers that they have in the columns."""
        return list(self._customers)

    @property
    def paths(self) -> int:
        """How many different ones there are."""
        return len(self._paths)

    def take(self, generation: int, requests: Requests, end: Position) -> None:
        """Take in the next requests, with the templates of their paths, through `end`."""
        customers = self._customers
        known = len(customers)
        own = np.array([customers.setdefault(name, len(customers)) for name in requests.names], np.int32)
        paths = np.array(list(map(self._paths.__getitem__, requests.path_texts)), np.int32)
        columns = RequestColumns(
            own[requests.customers],
            (requests.seconds // 3600).astype(np.int32),
            paths[requests.paths],
            requests.statuses.astype(np.int16),
            requests.latencies.astype(np.int32),
            requests.offsets + self.place(Position(generation, 0)),
        )
        self.characters += sum(map(len, islice(reversed(customers), len(customers) - known)))
        self.parts.append(columns)
        self.lines += len(requests)
        self._oldest = min(self._oldest, int(requests.seconds.min()))
        self._newest = max(self._newest, int(requests.seconds.max()))
        self._ends[generation] = (
            end if end.generation == generation else Position(generation, int(requests.offsets[-1]) + 1)
        )
        self.end = end

    def groups(self) -> Iterator[Group]:
        """All of them by day and group of customers; from here on nothing more is taken in."""
        self._names, self._templates = self.names(), list(self._paths)
        columns = join(self.parts)
        of_customers, hours, *_ = columns
        keys = hours // 24
        first = int(keys.min())
        # By days, for a question to the store is about one. In place, for there may be a million.
        numbers, groups = np.unique([group_of(name) for name in self._names], return_inverse=True)
        keys -= first
        keys *= len(numbers)
        keys += groups.astype(np.int32)[of_customers]
        del of_customers, hours
        if int(keys.max()) < 1 << 16:
            # Ten times as fast.
            keys = keys.astype(np.uint16)
        # Each group stays in the log's order.
        order = keys.argsort(kind="stable")
        keys = keys[order]
        for place, column in enumerate(columns):
            columns[place] = column[order]
        del order
        self._sorted = RequestColumns._make(columns)
        starts = np.append(0, np.flatnonzero(keys[1:] != keys[:-1]) + 1)
        return self._groups(first, numbers.tolist(), keys[starts], np.append(starts, len(keys)))

    def _groups(self, first_day: int, numbers: list[int], keys: Column, bounds: Integers) -> Iterator[Group]:
        for place, key in enumerate(keys):
            day, number = divmod(int(key), len(numbers))
            yield Group(numbers[number], first_day + day, slice(int(bounds[place]), int(bounds[place + 1])))

    def add(self, group: Group, kind: Kind, row: Breakdown) -> list[Breakdown]:
        """The row with the group's requests, but without those that are already counted there; behind it, where it
        would become too large, those that continue it. Each has to be stored before the next one is."""
        assert self._sorted is not None
        columns = self._sorted.select(group.requests)
        through = _applied(row.applied).get(self.log, self.start)
        if through > self.start:
            columns = columns.select(columns.positions >= self.place(through))
        return self._add(columns, max(self.end, through), kind, row)

    def _add(self, columns: RequestColumns, through: Position, kind: Kind, row: Breakdown) -> list[Breakdown]:
        """`columns`: requests in the log's order. `through`: where the row is counted then."""
        added = self._added(columns, through, kind, row)
        if characters_of(added) <= MOST_CHARACTERS:
            return [added]
        if row.statuses != NO_COUNTS:
            return self._add(columns, through, kind, _continued(row))
        half = len(columns.positions) // 2
        *rows, last = self._add(columns.select(slice(half)), self._begin(columns.positions[half]), kind, row)
        later = self._add(columns.select(slice(half, None)), through, kind, last)
        return [*rows, *later] if later[0].segment == last.segment else [*rows, last, *later]

    def _added(self, columns: RequestColumns, through: Position, kind: Kind, row: Breakdown) -> Breakdown:
        row = row._replace(applied=_applied_through(row.applied, self.log, through))
        if not len(columns.hours):
            return row
        names = decode_names(row.names)
        before = _size(names)
        parts = self._parts_of(columns, kind, names)
        return row._replace(
            names=row.names if _size(names) == before else encode_names(names),
            statuses=_counted(row.statuses, (parts << STATUS_BITS) | columns.statuses),
            latencies=_counted(row.latencies, ((parts << LATENCY_BITS) | columns.latencies)[columns.latencies != NONE]),
        )

    def _parts_of(self, columns: RequestColumns, kind: Kind, names: dict[str, list[str]]) -> Integers:
        """Of each request the customer's place and the part, in one integer. `names`: of the row; those that are new
        are added, in the order in which they came."""
        customers, of_customers = appearing(columns.customers)
        own = [self._names[customer] for customer in customers]
        for name in own:
            names.setdefault(name, [])
        places = {name: place for place, name in enumerate(names)}
        heads = np.array([places[name] << PART_BITS for name in own], np.int64)
        if kind == "hours":
            return heads[of_customers] | columns.hours % 24
        span = len(self._templates)
        together, of_pairs = appearing(of_customers * span + columns.paths)
        pairs = [divmod(number, span) for number in together]
        paths = [_place_among(names[own[customer]], self._templates[path]) for customer, path in pairs]
        return (heads[[customer for customer, _ in pairs]] | np.array(paths, np.int64))[of_pairs]

    def place(self, position: Position) -> int:
        """A position as it is in the columns."""
        return ((position.generation - self.start.generation) << _OFFSET_BITS) + position.offset

    def _begin(self, place: np.int64) -> Position:
        """Where a request begins, or some bytes before it, but after the one before; also where what was read back from
        the store has it some bytes later."""
        generation, offset = divmod(int(place), 1 << _OFFSET_BITS)
        return Position(self.start.generation + generation, offset // CELL_BYTES * CELL_BYTES)


def _size(names: dict[str, list[str]]) -> int:
    """How many customers and paths there are: none ever goes."""
    return len(names) + sum(map(len, names.values()))


def _continued(row: Breakdown) -> Breakdown:
    """The row that continues this one, with the same names: what was `(other)` stays so. Only where the names leave no
    room for counts it begins without."""
    names = row.names if len(row.names) <= MOST_CHARACTERS // 2 else EMPTY.names
    return row._replace(segment=row.segment + 1, names=names, statuses=NO_COUNTS, latencies=NO_COUNTS)


def _place_among(paths: list[str], path: str) -> int:
    """The place of a path among those of a customer, to which it is added if it is new."""
    if path not in paths[:MOST_PATHS]:
        if len(paths) == MOST_PATHS:
            paths.append(OTHER)
        if len(paths) > MOST_PATHS:
            return MOST_PATHS
        paths.append(path)
    return paths.index(path)


def _counted(text: str, values: Integers) -> str:
    """The text of a counter in which these were counted, too."""
    if len(values) <= _FEW:
        return add_to_counter(text, encode_counter(Counter(values.tolist())))
    return count_in(text, values)


# Most rows have the same `applied`: it is read and made once, and in memory it is there once.
_applied = lru_cache(1_000)(decode_applied)


@lru_cache(1_000)
def _applied_through(applied: str, log: str, through: Position) -> str:
    return encode_applied({**_applied(applied), log: through})


def characters_of(row: Breakdown) -> int:
    """How large a row is, but for `applied`, which most rows share."""
    return len(row.names) + len(row.statuses) + len(row.latencies)
