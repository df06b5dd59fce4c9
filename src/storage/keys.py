"""The keys of a writer's rows. Those of counts are in rollups.counts."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from rollups.counts import DailyKey, RollupSegmentKey


class LogKey(NamedTuple):
    """The key of a LedgerRow: how far the counts are in a log."""

    log: str


class FileKey(NamedTuple):
    """The key of a FileRow."""

    log: str
    generation: int


class RolledUpKey(NamedTuple):
    """The key of a RolledUp: how far the roll-ups are in a log."""

    log: str


class ObservedKey(NamedTuple):
    """The key of an ObservedEnd."""

    log: str


class IntentKey(NamedTuple):
    """The key of an Intent, the number of its commit. The latest INTENTS_KEPT are kept."""

    number: int


class JournalKey(NamedTuple):
    """The key of a part of a journal: the requests of a commit, as they are counted. A later commit takes its slot."""

    slot: int
    part: int


StateName = Literal["counts", "rollups", "rollups_intent", "report", "new_customers", "retired", "rules", "requests"]
"""counts: the ledger of the counts. rollups: the ledger of the roll-ups. rollups_intent: their latest intent. report:
the latest Report. new_customers: how many customers are new on each day. retired: that the writer was retired. rules:
the rules of roll-ups. requests: which requests are stored."""


class StateKey(NamedTuple):
    """The key of a row of which a writer has only one."""

    name: StateName


Key = DailyKey | RollupSegmentKey | LogKey | FileKey | RolledUpKey | ObservedKey | IntentKey | StateKey | JournalKey
Rows = Mapping[Key, str]
"""Rows as text, see rollups.rows, storage.ledger, storage.logs and storage.observed. Keys of two kinds may be equal, as
LogKey("report") and StateKey("report") are: such keys belong in different mappings."""
