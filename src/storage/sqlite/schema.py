"""The tables, see schema.sql."""

import sqlite3
from importlib.resources import files

from rollups.counts import DailyKey, RollupSegmentKey
from storage.keys import FileKey, IntentKey, Key, LogKey, ObservedKey, RolledUpKey, StateKey

VERSION = 7
"""Changes with the schema: a store of another one is refused, but for the one before, which setup brings up."""
MAIN_WRITER = 0
ALL_CUSTOMERS = ""
ZONE_BITS = 18
OFFSET_BITS = 40

TABLES: dict[type[Key], str] = {
    DailyKey: "daily",
    RollupSegmentKey: "rollups",
    LogKey: "logs",
    FileKey: "files",
    RolledUpKey: "rolled_up",
    ObservedKey: "observed",
    IntentKey: "intents",
    StateKey: "state",
}
"""The columns of such a table are the key's fields, the writer and the row."""

SCHEMA = files(__package__).joinpath("schema.sql").read_text()


def version_of(connection: sqlite3.Connection) -> int:
    """The number of a store's schema."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
