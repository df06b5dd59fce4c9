"""Where the rows of the contract lie in InfluxDB: a measurement for each kind of key, with the writer as a tag.

    daily,customer=<hash>,writer=main name="cust_1",row="17 status=..." <the day's start + token>
    daily_all,writer=main row="17 status=..." <the day's start + token>
    rollups,customers=7,kind=parts,segment=0,writer=main row="..." <the day's start + token>
    logs,log=api_requests,writer=main row="..." <2200-01-01 + token>

`token` is the fencing token, see storage.influxdb.lease. A point that is overwritten is not replaced as a whole: a
question at that moment may find some fields of the old point and some of the new one. So only one field is ever
overwritten: `row`.
"""

from hashlib import blake2b
from typing import NamedTuple

from rollups.counts import DailyKey, RollupSegmentKey
from storage.influxdb.client import Row
from storage.influxdb.line_protocol import AFTER_ALL_LINES, DAY, string_field, tag
from storage.keys import FileKey, IntentKey, JournalKey, Key, LogKey, ObservedKey, RolledUpKey, StateKey

MEASUREMENTS: dict[type[Key], str] = {
    LogKey: "logs",
    FileKey: "files",
    RolledUpKey: "rolled_up",
    ObservedKey: "observed",
    StateKey: "state",
    IntentKey: "intents",
    JournalKey: "journal",
}
# What a row has beside its tags.
_NO_TAGS = {"measurement", "time", "row"}
# Bytes of the hash that stands for a customer.
_HASH_BYTES = 10


class Place(NamedTuple):
    """Where a row is, at whatever fencing token."""

    series: str
    """The measurement and the tags, in line protocol."""
    time: int
    """Unix time (ns), without the fencing token."""


class Places:
    """The places of one writer's rows. `secret`: the key of the hash that customers are found by."""

    def __init__(self, writer: str, secret: bytes) -> None:
        self._writer = f"writer={tag(writer)}"
        self._secret = secret

    def customer_tag(self, customer: str) -> str:
        """The hash that stands for a customer in a tag: InfluxDB's index keeps a tag after its rows are deleted."""
        return blake2b(customer.encode(), key=self._secret, digest_size=_HASH_BYTES).hexdigest()

    def place(self, key: Key) -> Place:
        """Where a row is. Tags are in the order of their names, in which InfluxDB keeps them."""
        if isinstance(key, DailyKey):
            if key.customer is None:
                return Place(f"daily_all,{self._writer}", key.day * DAY)
            return Place(f"daily,customer={self.customer_tag(key.customer)},{self._writer}", key.day * DAY)
        if isinstance(key, RollupSegmentKey):
            tags = f"customers={key.group},kind={key.kind},segment={key.segment}"
            return Place(f"rollups,{tags},{self._writer}", key.day * DAY)
        if isinstance(key, IntentKey):
            # The number is in the row. Of an intent that is written twice the later point counts.
            return Place(f"intents,{self._writer}", AFTER_ALL_LINES)
        if isinstance(key, FileKey):
            tags = f"generation={key.generation},log={tag(key.log)}"
        elif isinstance(key, JournalKey):
            tags = f"part={key.part},slot={key.slot}"
        elif isinstance(key, StateKey):
            tags = f"state={key.name}"
        else:
            tags = f"log={tag(key.log)}"
        return Place(f"{MEASUREMENTS[type(key)]},{tags},{self._writer}", AFTER_ALL_LINES)


def row_line(key: Key, place: Place, row: str, token: int) -> bytes:
    """A row as a line of line protocol. `token`: nanoseconds after the place's time, see storage.influxdb.lease."""
    name = ""
    if isinstance(key, DailyKey) and key.customer is not None:
        # The name never changes, so it can be a field of its own.
        name = f"name={string_field(key.customer)},"
    return f"{place.series} {name}row={string_field(row)} {place.time + token}".encode()


def series_of(row: Row) -> str:
    """The series of a row that was asked for with all its tags, as a place has it."""
    tags = [f"{name}={value}" for name, value in sorted(row.items()) if name not in _NO_TAGS and value]
    return ",".join([row["measurement"], *tags])


def predicate(series: str) -> str:
    """A series as the predicate of a delete."""
    measurement, *tags = series.split(",")
    conditions = [f'_measurement="{measurement}"']
    for pair in tags:
        name, _, value = pair.partition("=")
        conditions.append(f'{name}="{value}"')
    return " AND ".join(conditions)
