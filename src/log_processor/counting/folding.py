"""Folds new customers: beyond a bound of new customers a day, requests of more of them are counted as those of OTHER.

A customer is new on a day if it has no aggregate of that day or of a day before. The first commit that has more new
customers of a day than fit closes the day: it tells apart as many as still fit, in the order of their names, and makes
the aggregate of OTHER. From then on all new customers of that day are folded. So a customer's requests of a day are
either all its own or all folded, whatever comes later, and the aggregates tell which:

- A customer with an aggregate of the day is told apart.
- An aggregate of an earlier day that was made after the day was closed does not count, because until then the customer
  was folded: `DailyAggregate.first`.
- A commit's intent has the last name that it tells apart. So a redo decides as the commit did.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from log_processor.counting.buffer import Buffer
from log_processor.counting.limits import Limits
from log_processor.counting.rows import DailyRows
from log_processor.process.retry import until_stored
from request_log.requests import Integers
from rollups.counts import DailyAggregate, DailyKey
from rollups.groups import OTHER
from service.logs import logger
from storage.contract import Storage
from storage.damage import or_default, reading

# Customers that are read at once: a question that fails is asked again from its beginning.
_CUSTOMERS_A_READ = 1_000
# Hashes of names that are added one by one, before they are sorted in among the others.
_MOST_ADDED = 50_000
# Folded customers in memory, which need not be looked up again.
_MOST_FOLDED = 100_000

log = logger(__name__)


class Folding:
    """Which customers of a writer are folded."""

    def __init__(self, storage: Storage, rows: DailyRows, limits: Limits) -> None:
        self._storage = storage
        self._rows = rows
        self._most = limits.new_customers
        self._names_asked_for = limits.names_asked_for
        of_other = until_stored(partial(storage.read_days, [OTHER])).get(OTHER, {})
        # Before customers were folded, one could truly be called so.
        self._closed = {day: row.first for day, row in of_other.items() if row.first}
        """Closed day -> the commit that closed it."""
        # What it does not say is counted in the store.
        self._made: dict[int, int] = or_default(
            _decode_made, until_stored(partial(storage.read_state, "new_customers")), dict[int, int]()
        )
        """Day -> customers whose aggregate was made, as far as is known: at least those that are new."""
        self._folded: set[DailyKey] = set()
        """Customers that were folded, on their day."""
        self._stored: _Hashes | None = None
        """Those of all customers that have aggregates; None before they are needed."""
        self._new_on: Counter[int] | None = None
        """Day -> customers whose first aggregate is of that day; None where that is not known."""

    def fold(
        self,
        buffer: Buffer,
        first: int,
        days: Collection[int],
        commit: int,
        decided: Mapping[int, str] | None = None,
    ) -> dict[int, str]:
        """Fold the new customers of a buffer's requests from its part `first` on, which a commit is about to count.

        `days`: of these requests, ascending. `decided`: Intent.folded, if the commit was broken off. Returns
        Intent.folded.
        """
        if decided is None and all(self._fits(day, buffer.customer_count) for day in days):
            return {}
        names = buffer.customers()
        folded: dict[int, str] = {}
        told_apart: set[str] = set()
        for day in days:
            of_day = _customers_of(buffer, first, day, names)
            was_closed = self._closed.get(day, commit) < commit
            new = self._new(of_day, day, commit, told_apart if not was_closed else ())
            last = self._last(day, new, was_closed) if decided is None else decided.get(day)
            if last is not None:
                folded[day] = last
                new = [name for name in new if name > last]
                self._remember(DailyKey(name, day) for name in new)
                _give_to_other(buffer, first, day, new)
                of_day = list(set(of_day).difference(new))
            told_apart.update(of_day)
        return folded

    def fold_counted(self, buffer: Buffer) -> None:
        """Fold requests as they were counted, which were read back from the store."""
        names = buffer.customers()
        for day in self._closed:
            of_day = _customers_of(buffer, 0, day, names)
            for some in _divided(of_day):
                keys = [DailyKey(name, day) for name in some]
                found = until_stored(partial(self._storage.read_daily, keys))
                _give_to_other(buffer, 0, day, [name for name, key in zip(some, keys, strict=True) if key not in found])

    def note(self, key: DailyKey, commit: int) -> int:
        """Note that a commit makes a customer's aggregate. Returns its DailyAggregate.first."""
        if self._stored is not None and key.customer is not None:
            self._note_stored(key.customer, key.day, self._stored)
        if key.customer == OTHER:
            if key.day not in self._closed:
                log.warning("customers_folded", date=str(np.datetime64(key.day, "D")), told_apart=self._most)
            return self._closed.setdefault(key.day, commit)
        self._made[key.day] = self._made.get(key.day, 0) + 1
        return commit if any(day > key.day and closed < commit for day, closed in self._closed.items()) else 0

    def _note_stored(self, name: str, day: int, stored: "_Hashes") -> None:
        is_new = name not in stored
        stored.add(name)
        if self._new_on is not None and day < max(self._made, default=day):
            # It may have an aggregate of a later day, which was its first one until now.
            self._new_on = None
        elif self._new_on is not None and is_new:
            self._new_on[day] += 1

    def row(self, oldest_day: int) -> str:
        """The text of the row that has what was noted, without days before `oldest_day` (since 1970-01-01)."""
        self._made = {day: count for day, count in self._made.items() if day >= oldest_day}
        self._closed = {day: commit for day, commit in self._closed.items() if day >= oldest_day}
        return json.dumps(self._made, separators=(",", ":"))

    def _room(self, day: int) -> int:
        """How many more new customers fit, at least."""
        if day not in self._made:
            # Read first, because that tells whether the store has any aggregate of the day.
            self._rows.of([DailyKey(None, day)])
            self._made[day] = 0 if self._rows.is_whole(day) else self._count(day)
        return self._most - self._made[day]

    def _fits(self, day: int, customers: int) -> bool:
        """Whether a day is open, and would be with that many more new customers."""
        return day not in self._closed and self._room(day) >= customers

    def _count(self, day: int) -> int:
        if self._new_on is not None:
            return self._new_on[day]
        return until_stored(partial(self._storage.count_new_customers, day))

    def _read_stored(self) -> None:
        """Read all customers that have aggregates."""

        def read() -> tuple[_Hashes, Counter[int]]:
            new_on: Counter[int] = Counter()
            return _Hashes(_names_in(self._storage.read_customers(), new_on)), new_on

        self._stored, self._new_on = until_stored(read)

    def _last(self, day: int, new: Sequence[str], was_closed: bool) -> str | None:
        """The last of these new customers that is told apart, "" if none is; None if all are and the day stays open."""
        if was_closed:
            return ""
        if not new:
            return None
        if self._room(day) < len(new):
            self._made[day] = self._count(day)
        room = max(0, self._room(day))
        if room >= len(new):
            return None
        return new[room - 1] if room else ""

    def _new(self, of_day: Collection[str], day: int, commit: int, told_apart: Collection[str]) -> list[str]:
        """Those of a day's customers that are new, in order. `told_apart`: on earlier days, by the same commit."""
        closed = self._closed.get(day, commit)
        new = [name for name in of_day if DailyKey(name, day) in self._folded]
        unknown = [
            name
            for name in of_day
            if name not in told_apart
            and not self._rows.holds(DailyKey(name, day))
            and DailyKey(name, day) not in self._folded
        ]
        may_be_stored = self._may_be_stored(unknown)
        new += set(unknown).difference(may_be_stored)
        for some in _divided(may_be_stored):
            found = until_stored(partial(self._storage.read_days, some))
            new += [name for name in some if not _is_known(found.get(name, {}), day, closed)]
        return sorted(new)

    def _may_be_stored(self, names: Sequence[str]) -> Sequence[str]:
        """Those of these customers that may have aggregates. To ask the store about thousands of names, most of which
        it does not have, takes it seconds, and a flood of names goes on with each commit."""
        if self._stored is None and len(names) > self._names_asked_for:
            self._read_stored()
        return names if self._stored is None else self._stored.among(names)

    def _remember(self, keys: Iterable[DailyKey]) -> None:
        if len(self._folded) > _MOST_FOLDED:
            self._folded.clear()
        self._folded.update(keys)


def _decode_made(text: str) -> dict[int, int]:
    """The reverse of `Folding.row`. Raises DamagedRow."""
    with reading("new_customers", text):
        return {int(day): int(count) for day, count in json.loads(text or "{}").items()}


class _Hashes:
    """The hashes of names: 8 bytes each, since there may be millions. Two names may have the same."""

    def __init__(self, parts: Iterable[Sequence[str]]) -> None:
        hashes = [np.empty(0, np.int64), *(_hashes_of(names) for names in parts)]
        self._sorted = np.unique(np.concatenate(hashes))
        self._added: set[int] = set()

    def __contains__(self, name: str) -> bool:
        number = hash(name)
        place = int(self._sorted.searchsorted(number))
        return number in self._added or (place < len(self._sorted) and int(self._sorted[place]) == number)

    def add(self, name: str) -> None:
        self._added.add(hash(name))
        if len(self._added) > _MOST_ADDED:
            self._sorted = np.union1d(self._sorted, np.array([*self._added], np.int64))
            self._added.clear()

    def among(self, names: Sequence[str]) -> list[str]:
        """Those of these names whose hash is here."""
        hashes = _hashes_of(names)
        places = np.searchsorted(self._sorted, hashes)
        are_here = np.append(self._sorted, 0)[places] == hashes
        return [
            name
            for name, place, is_here in zip(names, places.tolist(), are_here.tolist(), strict=True)
            if (is_here and place < len(self._sorted)) or hash(name) in self._added
        ]


def _names_in(parts: Iterable[Sequence[tuple[str, int]]], new_on: Counter[int]) -> Iterator[Sequence[str]]:
    """The names of customers. `parts`: with the first day of each, by which they are counted in `new_on`."""
    for part in parts:
        new_on.update(day for _, day in part)
        yield [name for name, _ in part]


def _hashes_of(names: Sequence[str]) -> Integers:
    return np.fromiter(map(hash, names), np.int64, len(names))


def _is_known(days: Mapping[int, DailyAggregate], day: int, closed: int) -> bool:
    """Whether a customer with these aggregates is not new on a day that was, or is now, closed by a commit."""
    return day in days or any(earlier < day and row.first <= closed for earlier, row in days.items())


def _customers_of(buffer: Buffer, first: int, day: int, names: Sequence[str]) -> list[str]:
    """The customers of a day's requests in a buffer, from its part `first` on."""
    is_there = np.zeros(len(names), bool)
    for part in buffer.parts[first:]:
        is_there[part.customers[part.days == day]] = True
    return [name for number in np.flatnonzero(is_there).tolist() if (name := names[number]) != OTHER]


def _give_to_other(buffer: Buffer, first: int, day: int, customers: Collection[str]) -> None:
    """Make the requests of these customers on a day those of OTHER, from the part `first` of the buffer on."""
    if not customers:
        return
    other = buffer.number_of(OTHER)
    is_folded = np.zeros(len(buffer.customers()), bool)
    is_folded[[buffer.number_of(name) for name in customers]] = True
    for place, part in enumerate(buffer.parts[first:], first):
        given = np.where(is_folded[part.customers] & (part.days == day), np.int32(other), part.customers)
        buffer.parts[place] = part._replace(customers=given)


def _divided(customers: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(customers), _CUSTOMERS_A_READ):
        yield customers[first : first + _CUSTOMERS_A_READ]
