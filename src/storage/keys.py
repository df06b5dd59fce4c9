"""The keys of rows, beside DailyKey and RollupSegmentKey."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from rollups.counts import DailyKey, RollupSegmentKey


class LogKey(NamedTuple):
    """How far the counts are in a log: a LedgerRow."""

    log: str


class FileKey(NamedTuple):
    """A FileRow."""

    log: str
    generation: int


class RolledUpKey(NamedTuple):
    """How far the roll-ups have a log: a RolledUp."""

    log: str


class ObservedKey(NamedTuple):
    """Where the processor last saw the end of a log: a ObservedEnd."""

    log: str


class IntentKey(NamedTuple):
    """What a commit of counts is about to do: an Intent. The last thousand are kept."""

    number: int


StateName = Literal["counts", "rollups", "rollups_intent", "report"]


class StateKey(NamedTuple):
    """A row of which a writer has one: the ledger of its counts, that of its roll-ups, the latest intent of the latter,
    and what it reported last."""

    name: StateName


Key = DailyKey | RollupSegmentKey | LogKey | FileKey | RolledUpKey | ObservedKey | IntentKey | StateKey
Rows = Mapping[Key, str]
"""Rows as text, see rollups.rows, storage.ledger, storage.logs and storage.observed. Keys of two kinds may be equal, as
LogKey("report") and StateKey("report") are: such two belong in two of them."""
