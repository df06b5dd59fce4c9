"""What a store of schema 4 says of its logs, as rows of the present schema.

Such a store can be brought up if its processor was stopped cleanly. Its rows of counts name the position that they have
in each log, and its ledger names the requests that are not rolled up.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import structs

from request_log.line import Reason
from storage.errors import StorageRefused
from storage.keys import FileKey, Key, LogKey, ObservedKey, RolledUpKey, StateKey
from storage.ledger import Ledger, RolledUp, encode_ledger, encode_rolled_up
from storage.logs import BACKFILL, CELL_BYTES, FileRow, Gap, LedgerRow, Position, encode_file, encode_log
from storage.observed import ObservedEnd, complete_through, encode_observed_end

VERSION = 4
BEFORE = (2, 3)
"""Schemas that a release of schema 4 brings up to schema 4."""


class EndedFile(NamedTuple):
    """A file that was read to its end."""

    log: str
    generation: int
    offset: int
    """Bytes that were read of the file."""
    fingerprint: str


class Seen(NamedTuple):
    """A log as the processor last saw it."""

    log: str
    time: float
    position: Position
    size: int
    bytes_behind: int


class Log(NamedTuple):
    """A log's row in the ledger."""

    row: LedgerRow
    fingerprint: str
    """Of the file that the position is in."""


def decode_log(log: str, row: Mapping[str, Any]) -> Log:
    of_log = LedgerRow(
        log=log,
        path=row["path"],
        first=Position(*row["first"]),
        position=Position(*row["position"]),
        read=row["read"],
        stored=row["stored"],
        rejected=Counter({Reason(reason): lines for reason, lines in json.loads(row["rejected"]).items()}),
        gaps=tuple(Gap(Position(generation, offset), reason) for generation, offset, reason in json.loads(row["gaps"])),
        newest=row["newest"],
    )
    return Log(of_log, row["fingerprint"])


def not_stopped(store: str, reason: str) -> StorageRefused:
    """The error for a store whose processor was not stopped cleanly. `store`: its name."""
    return StorageRefused(
        f"The store {store} has schema {VERSION} and cannot be brought up: {reason}. Start the version before once, "
        "wait until it has read its logs to their ends, stop it with SIGTERM, and run `python -m storage setup` again."
    )


def check_stopped(store: str, logs: Iterable[Log], pending: Iterable[str], applied: Iterable[str]) -> None:
    """Raise StorageRefused if the processor was killed at work.

    `pending`: for each log the requests that the roll-ups lack, "" where they lack none. `applied`: for each row of
    counts its positions in the logs, as JSON.
    """
    if any(pending):
        raise not_stopped(store, "not all of its requests are counted by hour and by path")
    positions = {log.row.log: log.row.position for log in logs}
    for text in applied:
        for log, position in json.loads(text).items():
            if log not in positions or Position(*position) > positions[log]:
                raise not_stopped(store, f"its counts are ahead of its ledger in the log {log}")


def rows_of_logs(logs: Iterable[Log], ended: Iterable[EndedFile], ends: Sequence[Seen]) -> list[tuple[Key, str]]:
    """All that the store says of its logs, as rows of the present schema. Each log has a lane for its files."""
    in_order = sorted(logs, key=lambda log: log.row.log)
    ended = list(ended)
    rows: list[tuple[Key, str]] = []
    logs_after: dict[str, LedgerRow] = {}
    for lane, (row, fingerprint) in enumerate(in_order):
        read = sorted(file for file in ended if file.log == row.log and file.generation < row.position.generation)
        base = 0
        files = []
        for file in [*read, EndedFile(row.log, *row.position, fingerprint)]:
            start = row.first.offset if file.generation == row.first.generation else 0
            is_last = file.generation == row.position.generation
            files.append(
                FileRow(
                    row.log,
                    file.generation,
                    lane,
                    base,
                    start,
                    file.offset,
                    file.offset,
                    "closed" if not is_last or row.log.startswith(BACKFILL) else "live",
                    row.path,
                    _identity(file.fingerprint),
                )
            )
            base += -(-file.offset // CELL_BYTES) * CELL_BYTES
        logs_after[row.log] = row = structs.replace(row, bytes=sum(file.offset - file.start for file in files))
        rows += [(FileKey(row.log, file.generation), encode_file(file)) for file in files]
        rows.append((LogKey(row.log), encode_log(row)))
        generation, offset = row.position
        rows.append((RolledUpKey(row.log), encode_rolled_up(RolledUp(generation + 1, {generation: offset}))))
    seen = {seen.log: _observed_end(seen, logs_after[seen.log]) for seen in ends if seen.log in logs_after}
    rows += [(ObservedKey(log), encode_observed_end(end)) for log, end in seen.items()]
    ledger = Ledger(0, complete_through(list(logs_after.values()), seen))
    return [*rows, (StateKey("counts"), encode_ledger(ledger))]


def _observed_end(seen: Seen, row: LedgerRow) -> ObservedEnd:
    unstored = seen.position.offset - row.position.offset if seen.position.generation == row.position.generation else 0
    return ObservedEnd(seen.log, seen.time, seen.position, seen.size, seen.bytes_behind, row.bytes + unstored)


def _identity(fingerprint: str) -> str:
    """A fingerprint as an identity, without the time of writing."""
    inode, _, length, head, tail = fingerprint.split("-")
    return f"{inode}-{length}-{head}-{tail}"
