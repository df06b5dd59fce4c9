"""Caches of rows in memory, as they are stored. A row that has left is read from the store."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter

from log_processor.counting.limits import Limits
from log_processor.process.retry import until_stored
from rollups.counts import NO_COUNTS, DailyAggregate, DailyKey, RollupKey, RollupRow
from rollups.groups import empty
from storage.contract import Storage

# Daily aggregates that are read at once: a question that fails is asked again from its beginning.
_ROWS_A_READ = 1_000
NOTHING = DailyAggregate(NO_COUNTS, NO_COUNTS)
"""The aggregate of a key that the store does not have."""


class DailyRows:
    """Daily aggregates. That of all customers together is stored before any other one of its day."""

    def __init__(self, storage: Storage, before_reading: Callable[[], None], limits: Limits) -> None:
        """`before_reading`: called before rows are read from the store."""
        self._storage = storage
        self._limits = limits
        self._before_reading = before_reading
        self._rows: dict[DailyKey, DailyAggregate] = {}
        self._characters = 0
        self._whole_days: set[int] = set()
        """Days of which every aggregate is in memory: the store had none when they were first counted."""

    def of(self, keys: Sequence[DailyKey]) -> list[DailyAggregate]:
        """The aggregate of each key; one without counts where there is none."""
        missing = [key for key in keys if key not in self._rows]
        of_all = [key for key in missing if key.customer is None]
        self._read(of_all)
        self._whole_days.update(key.day for key in of_all if self._rows[key] is NOTHING)
        # By days, because a question to the store is about one.
        stored = [key for key in missing if key.customer is not None and key.day not in self._whole_days]
        self._read(sorted(stored, key=attrgetter("day")))
        return [self._rows.get(key, NOTHING) for key in keys]

    def holds(self, key: DailyKey) -> bool:
        """Whether the aggregate of a key is in memory and was counted."""
        return self._rows.get(key, NOTHING) is not NOTHING

    def is_whole(self, day: int) -> bool:
        """Whether every aggregate of a day is in memory."""
        return day in self._whole_days

    def hold(self, rows: Mapping[DailyKey, DailyAggregate]) -> None:
        """Keep rows, in place of earlier ones."""
        for key, row in rows.items():
            held = self._rows.get(key)
            self._characters += _characters(key, row) - (_characters(key, held) if held is not None else 0)
        self._rows.update(rows)

    def let_go(self) -> None:
        """Forget all rows where they are too many. To be called when all of them are stored."""
        if len(self._rows) > self._limits.daily_rows or self._characters > self._limits.daily_characters:
            self._rows.clear()
            self._whole_days.clear()
            self._characters = 0

    def _read(self, keys: Sequence[DailyKey]) -> None:
        if keys:
            self._before_reading()
        for first in range(0, len(keys), _ROWS_A_READ):
            part = keys[first : first + _ROWS_A_READ]
            found = until_stored(partial(self._storage.read_daily, part))
            self.hold({key: found.get(key, NOTHING) for key in part})


class RollupRows:
    """The last segments of roll-ups."""

    def __init__(self, storage: Storage, limits: Limits) -> None:
        self._storage = storage
        self._limits = limits
        self._rows: dict[RollupKey, RollupRow] = {}
        self._characters = 0

    def of(self, keys: Sequence[RollupKey]) -> list[RollupRow]:
        """The last segment of each key; one without counts where there is none."""
        missing = [key for key in keys if key not in self._rows]
        if missing:
            found = until_stored(partial(self._storage.read_rollups, missing))
            self.hold({key: found.get(key, empty(key.kind)) for key in missing})
        return [self._rows[key] for key in keys]

    def hold(self, rows: Mapping[RollupKey, RollupRow]) -> None:
        """Keep rows, in place of earlier ones."""
        held = (row for key in rows if (row := self._rows.get(key)) is not None)
        self._characters += sum(row.size for row in rows.values()) - sum(row.size for row in held)
        self._rows.update(rows)

    def let_go(self) -> None:
        """Forget all rows where they are too many. To be called when all of them are stored."""
        if len(self._rows) > self._limits.rollups or self._characters > self._limits.rollups_characters:
            self._rows.clear()
            self._characters = 0


def _characters(key: DailyKey, row: DailyAggregate) -> int:
    return len(key.customer or "") + len(row.statuses) + len(row.latencies)
