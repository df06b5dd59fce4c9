"""Rows by key: each is written at the lease's fencing token, and compaction removes the points that it replaced."""

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from typing_extensions import Self

from rollups.groups import ALL_CUSTOMERS
from storage.contract import INTENTS_KEPT
from storage.damage import readable
from storage.influxdb.client import Row
from storage.influxdb.connection import InfluxConnection
from storage.influxdb.lease import NO_TOKEN
from storage.influxdb.line_protocol import AFTER_ALL_LINES, DAY, tag
from storage.influxdb.places import MEASUREMENTS, Place, row_line, series_of
from storage.keys import IntentKey, JournalKey, Rows
from storage.ledger import decode_intent

# Points of one write request.
_LINES_A_WRITE = 2_500
# Deletes of one compaction.
_DELETES_A_COMPACTION = 10
# Old intents are removed after this many commits: a delete costs as much as several commits.
_INTENTS_A_REMOVAL = 500


class InfluxRows(InfluxConnection):
    def __init__(self, url: str, org: str, bucket: str, token: str, timeout: float, writer: str, threads: int) -> None:
        """`threads`: how many requests that write rows are under way at once."""
        super().__init__(url, org, bucket, token, timeout, writer)
        self._outdated: set[Place] = set()
        """Places of days whose row was read at another fencing token than it will be written at."""
        self._earlier: set[Place] = set()
        """Places that are of no day and have a row of an earlier process."""
        self._journaled: dict[Place, int] = {}
        """Places of the journal, and the fencing token of the latest row there that this process has written."""
        self._replaced: list[tuple[Place, int]] = []
        """Places that have points with lower fencing tokens than this one: compaction removes them."""
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
            with self._lease.writing() as token:
                self._write_at_once(
                    [
                        row_line(key, place, row, self._nanoseconds_of(key, token))
                        for (key, row), place in zip(group.items(), of_keys, strict=True)
                    ]
                )
            self._note_replaced(of_keys, token)

    def write_both(self, rows: Rows, other: Self, of_other: Rows) -> None:
        # The points of one day that come in one request are stored together or not at all.
        with self._lease.writing() as token, other._lease.writing() as of_lease:
            written = [(self, rows, token), (other, of_other, of_lease)]
            lines = [
                row_line(key, place, row, at)
                for connection, group, at in written
                for key, row in group.items()
                for place in [connection._places().place(key)]
            ]
            self._client.write(self._counts, b"\n".join(lines))
        for connection, group, at in written:
            connection._note_replaced(map(connection._places().place, group), at)

    def remove_day(self, day: int) -> None:
        for measurement in ("daily", "daily_all", "rollups"):
            self._delete(f"{measurement},writer={tag(self._writer)}", day * DAY, (day + 1) * DAY - 1)

    def _nanoseconds_of(self, key: object, token: int) -> int:
        """How many nanoseconds after its place's time a row is written: the fencing token. The intents of a token
        follow it, one by one."""
        if isinstance(key, IntentKey):
            token = self._last_intent + 1 if self._last_intent >= token else token
            self._last_intent = token
            self._intents.append(AFTER_ALL_LINES + token)
        return token

    def _note_replaced(self, places: Iterable[Place], token: int) -> None:
        """Have compaction remove what rows that were written at this fencing token have replaced."""
        for place in places:
            if place.time < AFTER_ALL_LINES:
                if place not in self._outdated:
                    continue
                self._outdated.remove(place)
            elif place.series.startswith(MEASUREMENTS[JournalKey]):
                before = self._journaled.get(place, token if self._journaled else NO_TOKEN)
                self._journaled[place] = token
                if before == token:
                    continue
                if before == NO_TOKEN:
                    # A start rolls up what an earlier process has left in its journal, so all of that goes at once.
                    place = Place(f"{MEASUREMENTS[JournalKey]},writer={tag(self._writer)}", AFTER_ALL_LINES)
            elif place in self._earlier:
                self._earlier.remove(place)
            else:
                continue
            self._replaced.append((place, token))

    def _write_at_once(self, lines: Sequence[bytes]) -> None:
        """Write lines, in whatever order."""
        parts = [lines[first : first + _LINES_A_WRITE] for first in range(0, len(lines), _LINES_A_WRITE)]
        wait(writes := [self._senders.submit(self._client.write_in_halves, self._counts, part) for part in parts])
        for write in writes:
            write.result()

    def _read_to_replace(self, place: Place, row: Row) -> str:
        """The text of a row that will be written again: at another fencing token, unless it is at this one already."""
        if row["time"] - place.time != self._lease.token:
            self._outdated.add(place)
        return str(row["row"])

    def compact(self) -> None:
        if len(self._intents) >= INTENTS_KEPT + _INTENTS_A_REMOVAL:
            while len(self._intents) > INTENTS_KEPT:
                self._intents.popleft()
            self._delete(self._series_of_intents(), AFTER_ALL_LINES, self._intents[0] - 1)
        for _ in range(min(_DELETES_A_COMPACTION, len(self._replaced))):
            place, token = self._replaced.pop()
            # If it fails the points stay, and no question asks for them.
            self._delete(place.series, place.time, place.time + token - 1)

    def _look_at_earlier_rows(self) -> None:
        """Note the places that have rows, and remove the rows at fencing tokens that the store does not have.

        Rows of customers need not be read: every day that has rows has a row of all customers together, which is
        written first. Only rows at exactly these tokens are removed: this process may be paused meanwhile, and its
        successor may write at later ones.
        """
        # The rows of a journal are long, and name their commit.
        measurements = [name for kind, name in MEASUREMENTS.items() if kind is not JournalKey]
        query = f"SELECT row FROM {', '.join(['daily_all', *measurements])} WHERE writer = $writer GROUP BY *"
        rows = self._ask(query)
        query = f"SELECT row FROM rollups WHERE writer = $writer AND customers = '{ALL_CUSTOMERS}'"
        rows += self._ask(query)
        intents = MEASUREMENTS[IntentKey]
        of_no_day = [row for row in rows if row["measurement"] not in (intents, "daily_all", "rollups")]
        self._earlier = {Place(series_of(row), AFTER_ALL_LINES) for row in of_no_day}
        # A damaged intent stays. Only the start of a processor that needs it ends there.
        token_of_intent = dict(
            readable(
                [row for row in rows if row["measurement"] == intents],
                lambda row: (int(row["time"]), decode_intent(row["row"]).token),
            )
        )
        times = {row["time"] for row in rows if row["measurement"] != intents}
        tokens = self._lease.tokens()
        self._intents = deque(time for time, token in token_of_intent.items() if token in tokens)
        for time in token_of_intent.keys() - set(self._intents):
            self._delete(self._series_of_intents(), time, time)
        for time in sorted(time for time in times if time % DAY not in tokens):
            for measurement in ("daily", "daily_all", "rollups", *MEASUREMENTS.values()):
                self._delete(f"{measurement},writer={tag(self._writer)}", time, time)

    def _series_of_intents(self) -> str:
        return self._places().place(IntentKey(0)).series
