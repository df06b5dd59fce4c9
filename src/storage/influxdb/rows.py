"""Rows by key: written at a slot, and compacted."""

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from rollups.groups import ALL_CUSTOMERS
from storage.influxdb.client import Row
from storage.influxdb.connection import AFTER, InfluxConnection
from storage.influxdb.line_protocol import (
    AFTER_ALL_LINES,
    DAY,
    tag,
)
from storage.influxdb.places import MEASUREMENTS, Place, row_line
from storage.keys import IntentKey, Rows
from storage.ledger import decode_intent

_LINES_A_WRITE = 2_500
_REMOVALS_AT_ONCE = 10
_INTENTS_KEPT = 1_000
# How often old intents are removed, in commits: a delete costs as much as several commits.
_INTENTS_A_REMOVAL = 500


class InfluxRows(InfluxConnection):
    """Rows by key."""

    def __init__(self, url: str, org: str, bucket: str, token: str, timeout: float, writer: str, threads: int) -> None:
        super().__init__(url, org, bucket, token, timeout, writer)
        self._outdated: set[Place] = set()
        """Places of rows that were read at another slot than the one at which they will be written."""
        self._written: set[Place] = set()
        """Places after all lines that were written since the lease was taken."""
        self._removable: list[tuple[Place, int]] = []
        self._intents: deque[int] = deque()
        """The times of the intents that are stored (Unix, ns)."""
        self._last_intent = -1
        self._senders = ThreadPoolExecutor(threads, thread_name_prefix="rows")

    def write(self, *groups: Rows) -> None:
        places = self._places()
        for group in groups:
            if not group:
                continue
            of_keys = list(map(places.place, group))
            with self._lease.writing() as slot:
                self._write_at_once(
                    [
                        row_line(key, place, row, self._slot_of(key, slot))
                        for (key, row), place in zip(group.items(), of_keys, strict=True)
                    ]
                )
            self._replaced(of_keys, slot)

    def _slot_of(self, key: object, slot: int) -> int:
        """The slot at which a row is written. The intents of a slot follow it, one by one."""
        if isinstance(key, IntentKey):
            slot = self._last_intent + 1 if self._last_intent >= slot else slot
            self._last_intent = slot
            self._intents.append(AFTER_ALL_LINES + slot)
        return slot

    def _replaced(self, places: Iterable[Place], slot: int) -> None:
        """These rows were written at this slot: those at lower ones can go."""
        for place in places:
            if place.time < AFTER_ALL_LINES:
                if place not in self._outdated:
                    continue
                self._outdated.remove(place)
            elif place in self._written or place.series.startswith(MEASUREMENTS[IntentKey]):
                continue
            else:
                self._written.add(place)
            self._removable.append((place, slot))

    def _write_at_once(self, lines: Sequence[bytes]) -> None:
        """Write lines, in whatever order."""
        parts = [lines[first : first + _LINES_A_WRITE] for first in range(0, len(lines), _LINES_A_WRITE)]
        wait(writes := [self._senders.submit(self._client.write_in_halves, self._counts, part) for part in parts])
        for write in writes:
            write.result()

    def _to_replace(self, place: Place, row: Row) -> str:
        """What is in a row that is written again; at another slot, unless it is at this one already."""
        if row["time"] - place.time != self._lease.slot:
            self._outdated.add(place)
        return str(row["row"])

    def compact(self) -> None:
        if len(self._intents) >= _INTENTS_KEPT + _INTENTS_A_REMOVAL:
            while len(self._intents) > _INTENTS_KEPT:
                self._intents.popleft()
            self._delete(self._place_of_intents(), AFTER_ALL_LINES, self._intents[0] - 1)
        for _ in range(min(_REMOVALS_AT_ONCE, len(self._removable))):
            place, slot = self._removable.pop()
            # If it fails, the rows stay, and are not asked for.
            self._delete(place.series, place.time, place.time + slot - 1)

    def _remove_unclaimed_rows(self) -> None:
        """Remove the rows at slots that the store has no claim of. Every day that has rows has some of all customers
        together, which are written first.

        Only of these slots, whatever comes after them: this process may be stopped meanwhile, and be succeeded.
        """
        query = "SELECT row FROM daily_all, state WHERE writer = $writer"
        times = [row["time"] for row in self._ask(query)]
        query = f"SELECT row FROM rollups WHERE writer = $writer AND customers = '{ALL_CUSTOMERS}'"
        times += [row["time"] for row in self._ask(query)]
        query = f"SELECT row FROM intents WHERE {AFTER} AND writer = $writer"
        tokens = {row["time"]: decode_intent(row["row"]).token for row in self._ask(query)}
        claims = self._lease.claims()
        self._intents = deque(time for time, token in tokens.items() if token in claims)
        for time in tokens.keys() - set(self._intents):
            self._delete(self._place_of_intents(), time, time)
        for time in sorted({time for time in times if time % DAY not in claims}):
            for measurement in ("daily", "daily_all", "rollups", *MEASUREMENTS.values()):
                self._delete(f"{measurement},writer={tag(self._writer)}", time, time)

    def _place_of_intents(self) -> str:
        return self._places().place(IntentKey(0)).series
