"""The ledgers, intents, logs and files of writers: a writer's own, and those of all writers."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import get_args
from urllib.parse import unquote

from storage.contract import LATEST_INTENTS
from storage.damage import readable
from storage.influxdb.client import Row, latest
from storage.influxdb.connection import AFTER, InfluxConnection
from storage.influxdb.line_protocol import AFTER_ALL_LINES, DAY, tag
from storage.influxdb.places import MEASUREMENTS
from storage.keys import FileKey, JournalKey, Key, LogKey, ObservedKey, RolledUpKey, StateKey, StateName
from storage.ledger import StoredIntent, WriterState, decode_intent
from storage.logs import FileRow, LedgerRow, decode_file, decode_log
from storage.observed import ObservedEnd, decode_observed_end
from storage.requests import FileId

# The latest intent of roll-ups names all logs, and may be long. Retired writers may be many.
_STATES = (
    f"SELECT row FROM state WHERE {AFTER} AND "
    "(state = 'counts' OR state = 'rollups' OR state = 'report' OR state = 'requests') GROUP BY state, writer"
)
# Slots of a journal that are read at once.
_SLOTS_A_QUESTION = 16


class InfluxLedger(InfluxConnection):
    def read_state(self, name: StateName) -> str:
        query = f"SELECT row FROM state WHERE {AFTER} AND writer = $writer AND state = $name"
        rows = self._ask(query, name=name)
        # Of one series the last row is the latest, see `latest`.
        return str(rows[-1]["row"]) if rows else ""

    def read_intent(self, number: int) -> str:
        rows = self._ask(f"SELECT row FROM intents WHERE {AFTER} AND writer = $writer")
        texts = [row["row"] for row in rows if decode_intent(row["row"]).number == number]
        return str(texts[-1]) if texts else ""

    def read_journal(self, slots: Collection[int]) -> dict[JournalKey, str]:
        found: dict[JournalKey, str] = {}
        wanted = list(slots)
        for first in range(0, len(wanted), _SLOTS_A_QUESTION):
            of_slots = " OR ".join(f"slot = '{slot}'" for slot in wanted[first : first + _SLOTS_A_QUESTION])
            query = f"SELECT row FROM journal WHERE {AFTER} AND writer = $writer AND ({of_slots}) GROUP BY slot, part"
            for row in self._ask(query):
                found[JournalKey(int(row["slot"]), int(row["part"]))] = row["row"]
        return found

    def read_logs(self) -> tuple[dict[str, str], dict[FileKey, str], dict[str, str]]:
        query = f"SELECT row FROM logs, files, rolled_up WHERE {AFTER} AND writer = $writer GROUP BY log, generation"
        logs: dict[str, str] = {}
        files: dict[FileKey, str] = {}
        rolled_up: dict[str, str] = {}
        for row in self._ask(query):
            log = unquote(row["log"])
            if row["measurement"] == "files":
                files[FileKey(log, int(row["generation"]))] = row["row"]
            else:
                (logs if row["measurement"] == "logs" else rolled_up)[log] = row["row"]
        return logs, files, rolled_up

    def remove_files(self, keys: Collection[FileKey]) -> None:
        places = self._places()
        for place in map(places.place, keys):
            self._delete(place.series, place.time, place.time + DAY - 1)

    def remove_log(self, log: str, files: Collection[FileId]) -> None:
        places = self._places()
        keys: list[Key] = [FileKey(log, file.generation) for file in files]
        for key in (*keys, RolledUpKey(log), ObservedKey(log), LogKey(log)):
            self._delete(places.place(key).series, AFTER_ALL_LINES, AFTER_ALL_LINES + DAY)

    def remove_writer(self) -> None:
        writer = f"writer={tag(self._writer)}"
        series = [f"{measurement},{writer}" for kind, measurement in MEASUREMENTS.items() if kind is not StateKey]
        series += [f"state,state={name},{writer}" for name in get_args(StateName) if name != "retired"]
        for one in series:
            self._delete(one, AFTER_ALL_LINES, AFTER_ALL_LINES + DAY)

    async def states(self) -> list[WriterState]:
        found: dict[str, dict[str, str]] = {}
        states = latest(await self._ask_async(_STATES), lambda row: (unquote(row["writer"]), row["state"]))
        for (writer, state), row in states.items():
            found.setdefault(writer, {})[state] = row["row"]
        return [WriterState.of(writer, rows) for writer, rows in sorted(found.items())]

    async def intents(self, since: Mapping[str, int | None]) -> list[StoredIntent]:
        found: list[StoredIntent] = []
        for writer, place in since.items():
            query = f"SELECT row FROM intents WHERE time >= {place or AFTER_ALL_LINES} AND writer = $writer"
            query += f" ORDER BY time DESC LIMIT {LATEST_INTENTS}" if place is None else ""
            rows = await self._ask_async(query, writer=tag(writer))
            rows.sort(key=lambda row: int(row["time"]))
            found += readable(rows, partial(_stored_intent, writer))
        return found

    async def logs(self) -> list[tuple[str, LedgerRow]]:
        rows = await self._of_writers("logs", "log")
        return readable(sorted(rows.items()), lambda one: (one[0][0], decode_log(one[0][1], one[1])))

    async def observed_ends(self) -> list[tuple[str, ObservedEnd]]:
        rows = await self._of_writers("observed", "log")
        return readable(sorted(rows.items()), lambda one: (one[0][0], decode_observed_end(one[0][1], one[1])))

    async def files(self) -> list[tuple[str, FileRow]]:
        rows = await self._of_writers("files", "log", "generation")
        return sorted(
            readable(rows.items(), lambda one: (one[0][0], decode_file(one[0][1], int(one[0][2]), one[1]))),
            key=lambda found: (found[0], found[1].log, found[1].generation),
        )

    async def _of_writers(self, measurement: str, *tags: str) -> dict[tuple[str, ...], str]:
        """(writer, values of these tags) -> row, of a measurement whose rows are of no day."""
        query = f"SELECT row FROM {measurement} WHERE {AFTER} GROUP BY {', '.join(tags)}, writer"
        rows = latest(await self._ask_async(query), lambda row: tuple(unquote(row[name]) for name in ("writer", *tags)))
        return {key: row["row"] for key, row in rows.items()}


def _stored_intent(writer: str, row: Row) -> StoredIntent:
    return StoredIntent(writer, row["time"], decode_intent(row["row"]).number, row["row"])
