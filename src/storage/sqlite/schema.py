"""The tables, see schema.sql."""

import sqlite3
from importlib.resources import files

from rollups.counts import DailyKey, RollupSegmentKey
from storage.keys import FileKey, IntentKey, JournalKey, Key, LogKey, ObservedKey, RolledUpKey, StateKey

VERSION = 7
"""The number of the schema. Setup brings up a store of schema 4; a store of any other number is refused."""
MAIN_WRITER = 0
"""The number of the main writer in the table `writers`."""
ALL_CUSTOMERS = ""
"""Stands for all customers together in the table `daily`."""
OFFSET_BITS = 40
"""Bits of a request's key that are its offset in its file. The bits above are the number of the file."""
ZONE_BITS = 18
"""Bits of a request's key that distinguish requests within a zone."""

TABLES: dict[type[Key], str] = {
    DailyKey: "daily",
    RollupSegmentKey: "rollups",
    LogKey: "logs",
    FileKey: "files",
    RolledUpKey: "rolled_up",
    ObservedKey: "observed",
    IntentKey: "intents",
    StateKey: "state",
    JournalKey: "journal",
}
"""The table of each kind of row. Its columns are the fields of the key, the writer and the row."""

SCHEMA = files(__package__).joinpath("schema.sql").read_text()


def version_of(connection: sqlite3.Connection) -> int:
    """The number of a store's schema."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
