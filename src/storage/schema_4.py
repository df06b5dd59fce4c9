"""What a store of the schema before says of its logs. It can be brought up where its processor was stopped cleanly:
there a row of counts said through where it had each log, and requests that were not rolled up were noted in the ledger.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from request_log.line import Reason
from storage.contract import (
    FileKey,
    FileRow,
    Gap,
    Key,
    LedgerRow,
    LogKey,
    ObservedKey,
    Position,
    RolledUpKey,
    Sighting,
    StateKey,
    StorageRefused,
)
from storage.lag import complete_through
from storage.ledger import Ledger, encode_file, encode_ledger, encode_log, encode_position, encode_sighting

VERSION = 4
BEFORE = (2, 3)
"""Schemas that a release of schema 4 brings up to its own."""
# Files begin at a multiple of it in their lane (bytes), see log_processor.counting.logs.
_LANE_STEP = 16


class EndedFile(NamedTuple):
    """A file that was read to its end."""

    log: str
    generation: int
    offset: int
    """Bytes that were read of it."""
    fingerprint: str


def decode_log(log: str, row: Mapping[str, Any]) -> LedgerRow:
    """A log's row in the ledger."""
    return LedgerRow(
        log=log,
        path=row["path"],
        first=Position(*row["first"]),
        position=Position(*row["position"]),
        fingerprint=row["fingerprint"],
        read=row["read"],
        stored=row["stored"],
        rejected=Counter({Reason(reason): lines for reason, lines in json.loads(row["rejected"]).items()}),
        gaps=tuple(Gap(Position(generation, offset), reason) for generation, offset, reason in json.loads(row["gaps"])),
        newest=row["newest"],
    )


def not_stopped(store: str, reason: str) -> StorageRefused:
    """The refusal of a store whose processor was not stopped cleanly. `store`: its name."""
    return StorageRefused(
        f"The store {store} has schema {VERSION} and cannot be brought up: {reason}. Start the version before once, "
        "wait until it has read its logs to their ends, stop it with SIGTERM, and run `python -m storage setup` again."
    )


def check_stopped(store: str, logs: Iterable[LedgerRow], pending: Iterable[str], applied: Iterable[str]) -> None:
    """StorageRefused where the processor was killed at its work.

    `pending`: what the roll-ups lack, by log; "" is nothing. `applied`: through where rows of counts have the logs.
    """
    if any(pending):
        raise not_stopped(store, "not all of its requests are counted by hour and by path")
    positions = {row.log: row.position for row in logs}
    for text in applied:
        for log, position in json.loads(text).items():
            if log not in positions or Position(*position) > positions[log]:
                raise not_stopped(store, f"its counts are ahead of its ledger in the log {log}")


def rows_of_logs(
    logs: Iterable[LedgerRow], ended: Iterable[EndedFile], sightings: Sequence[Sighting]
) -> list[tuple[Key, str]]:
    """All that the store says of its logs, as rows of this schema. Files of a log follow one another in its lane."""
    in_order = sorted(logs, key=lambda row: row.log)
    files = sorted(ended)
    rows: list[tuple[Key, str]] = []
    for lane, row in enumerate(in_order):
        base = 0
        for file in files:
            if file.log == row.log and file.generation < row.position.generation:
                of_file = FileRow(row.log, file.generation, lane, base, file.offset, file.fingerprint)
                rows.append((FileKey(row.log, file.generation), encode_file(of_file)))
                base += -(-file.offset // _LANE_STEP) * _LANE_STEP
        generation = row.position.generation
        rows.append((FileKey(row.log, generation), encode_file(FileRow(row.log, generation, lane, base))))
        rows.append((LogKey(row.log), encode_log(row)))
        rows.append((RolledUpKey(row.log), encode_position(row.position)))
    rows += [(ObservedKey(seen.log), encode_sighting(seen)) for seen in sightings]
    ledger = Ledger(0, complete_through(in_order, {seen.log: seen for seen in sightings}))
    return [*rows, (StateKey("counts"), encode_ledger(ledger))]
