"""How far a writer is: its ledgers, and the intents from which a start redoes a broken-off commit.

A ledger is a checkpoint with a balance: it is the commit point, and up to it lines read = stored + rejected + skipped.
Its text is the same in both stores.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct, structs

from storage.damage import reading, struct_of
from storage.keys import FileKey, Key, LogKey, Rows
from storage.logs import FileRow, LedgerRow, decode_file, decode_log, encode_file, encode_log, encoded
from storage.requests import FileId, OffsetRange


class Ledger(Struct, frozen=True):
    """The commit point of a writer's counts."""

    number: int = 0
    """The number of the last commit."""
    complete_through: float | None = None
    """All requests that were logged before this time (Unix, s) are counted, as far as the processor could see."""
    rollup_backlog: tuple[int, int] | None = None
    """Unix times (s) of the earliest and the latest request that the roll-ups may lack; None where they lack none."""
    journal: bool = False
    """Whether the journal has these requests. Otherwise the store has them."""


class RollupLedger(Struct, frozen=True):
    """The commit point of a writer's roll-ups."""

    number: int = 0
    """The number of the last commit of roll-ups."""
    through: int = 0
    """The roll-ups have the requests of all commits of counts up to this number."""


class Intent(Struct, frozen=True):
    """What a commit of counts is about to do. A redo of the commit decides nothing anew."""

    number: int
    token: int
    """The fencing token of the lease under which the intent was written."""
    ranges: tuple[OffsetRange, ...]
    """The requests that the commit counts."""
    oldest: int
    """Unix time (s) of the earliest of these requests."""
    newest: int
    """Unix time (s) of the latest of these requests."""
    stored: int
    """The number of these requests."""
    oldest_day: int = 0
    """The first day that was kept when the lines were read (days since 1970-01-01)."""
    settings: str = ""
    """What determines the counts: the format of the lines, and the version of the rules."""
    logs: tuple[LedgerRow, ...] = ()
    """The changed logs, as they are after the commit."""
    files: tuple[FileRow, ...] = ()
    """The changed files, as they are after the commit."""
    customers: tuple[str, ...] | None = ()
    """The customers whose counts change, beside the counts of all together; None where they are too many to name."""
    days: tuple[int, ...] = ()
    """The days whose counts change (since 1970-01-01)."""
    ledger: Ledger = Ledger()
    """The ledger after the commit."""
    weight: Literal[1, -1] = 1
    """-1: the commit takes back the counts of the requests."""
    retired: str = ""
    """The writer whose rows a commit of the archive takes over: counts of `days` or, without days, rows of logs."""
    folded: Mapping[int, str] = msgspec.field(default_factory=dict)
    """The days (since 1970-01-01) of which new customers are folded -> the last new customer, in order of names, that
    the commit does not fold; "" where it folds all that are new."""


class RolledUp(Struct, frozen=True):
    """How far the files of a log are rolled up."""

    files: int = 0
    """Files with lower generations than this are rolled up to their ends, except those in `offsets`."""
    offsets: Mapping[int, int] = msgspec.field(default_factory=dict)
    """Generation -> offset (bytes) up to which the file is rolled up, for files that are not closed."""

    def through(self, file: FileRow) -> int:
        """The offset (bytes) up to which a file is rolled up."""
        return self.offsets.get(file.generation, file.offset if file.generation < self.files else file.start)


class RollupIntent(Struct, frozen=True):
    """What a commit of roll-ups is about to do."""

    number: int
    """The number of the commit of roll-ups."""
    token: int
    """As in an Intent, like all fields without a docstring."""
    through: int
    """RollupLedger.through after the commit."""
    ranges: tuple[OffsetRange, ...]
    oldest: int
    newest: int
    positions: Mapping[str, RolledUp]
    """Log -> how far it is rolled up after the commit, for the logs that change."""
    weight: Literal[1, -1] = 1


class Report(Struct, frozen=True):
    """What a processor reports once a second."""

    time: float
    """Unix time of the report, s."""
    number: int
    """The number of the last commit of counts."""
    complete_through: float | None
    """As in a Ledger."""
    latest_second: int = 0
    """Unix time (s) after which no stored request lies. A start that reads lines again accepts them up to this time."""
    carried: float = 0.0
    """Unix time (s) by the clock that does not follow a wall clock at once; 0: not known."""


class StoredIntent(NamedTuple):
    """An intent as a reader of the change feed finds it."""

    writer: str
    place: int
    """Its place among the intents of the writer, ascending. Of two intents with one number the later one counts."""
    number: int
    row: str


class WriterState(NamedTuple):
    """The StateKey rows of a writer that each answer of the api depends on, as text; "" where there is none."""

    writer: str
    counts: str
    rollups: str
    report: str
    requests: str

    @classmethod
    def of(cls, writer: str, rows: Mapping[str, str]) -> "WriterState":
        """From the writer's rows: the name of the StateKey -> text."""
        return cls(writer, *(rows.get(name, "") for name in cls._fields[1:]))


def is_rolled_up(counts: Ledger, rollups: RollupLedger) -> bool:
    """Whether the roll-ups have all requests that are counted."""
    return counts.rollup_backlog is None or rollups.through >= counts.number


def encode_ledger(ledger: Ledger) -> str:
    """The text of a ledger's row."""
    row: list[object] = [ledger.number, ledger.complete_through, ledger.rollup_backlog]
    return encoded([*row, ledger.journal] if ledger.journal else row)


def decode_ledger(text: str) -> Ledger:
    """The reverse of `encode_ledger`; an empty text is the ledger before the first commit. Raises DamagedRow."""
    with reading("counts, the ledger,", text):
        if not text:
            return Ledger()
        return struct_of(json.loads(text), Ledger, 3)


def encode_rollup_ledger(ledger: RollupLedger) -> str:
    """The text of the roll-ups' ledger."""
    return encoded([ledger.number, ledger.through])


def decode_rollup_ledger(text: str) -> RollupLedger:
    """The reverse of `encode_rollup_ledger`; an empty text is the ledger before the first commit. Raises DamagedRow."""
    with reading("rollups, the ledger of roll-ups,", text):
        if not text:
            return RollupLedger()
        return struct_of(json.loads(text), RollupLedger, 2)


def encode_rows_of_logs(intent: Intent) -> dict[Key, str]:
    """The rows of the logs and files that a commit changes, as it writes them."""
    of_logs: dict[Key, str] = {LogKey(row.log): encode_log(row) for row in intent.logs}
    return of_logs | {FileKey(row.log, row.generation): encode_file(row) for row in intent.files}


def encode_intent(intent: Intent, rows_of_logs: Rows | None = None) -> str:
    """The text of an intent. `rows_of_logs`: see `encode_rows_of_logs`; None: they are encoded here."""
    texts = encode_rows_of_logs(intent) if rows_of_logs is None else rows_of_logs
    row = structs.asdict(intent) | {
        "logs": {key.log: text for key, text in texts.items() if isinstance(key, LogKey)},
        "files": [[*key, text] for key, text in texts.items() if isinstance(key, FileKey)],
        "ledger": encode_ledger(intent.ledger),
        "folded": list(intent.folded.items()),
    }
    for name in ("folded", "retired"):
        if not row[name]:
            del row[name]
    return encoded(row)


def decode_intent(text: str) -> Intent:
    """The reverse of `encode_intent`. Raises DamagedRow."""
    with reading("of an intent", text):
        row = json.loads(text)
        row |= {
            "ranges": _ranges(row["ranges"]),
            "logs": tuple(decode_log(log, of_log) for log, of_log in row["logs"].items()),
            "files": tuple(decode_file(log, generation, of_file) for log, generation, of_file in row["files"]),
            "customers": None if row["customers"] is None else tuple(row["customers"]),
            "days": tuple(row["days"]),
            "ledger": decode_ledger(row["ledger"]),
            "folded": dict(row.get("folded", [])),
        }
        return Intent(**row)


def encode_rollup_intent(intent: RollupIntent) -> str:
    """The text of an intent of roll-ups."""
    positions = {log: encode_rolled_up(rolled_up) for log, rolled_up in intent.positions.items()}
    return encoded(structs.asdict(intent) | {"positions": positions})


def decode_rollup_intent(text: str) -> RollupIntent:
    """The reverse of `encode_rollup_intent`. Raises DamagedRow."""
    with reading("rollups_intent", text):
        row = json.loads(text)
        positions = {log: decode_rolled_up(of_log) for log, of_log in row["positions"].items()}
        return RollupIntent(**row | {"ranges": _ranges(row["ranges"]), "positions": positions})


def _ranges(rows: Sequence[Any]) -> tuple[OffsetRange, ...]:
    return tuple(OffsetRange(FileId(*file), start, end) for file, start, end in rows)


def encode_rolled_up(rolled_up: RolledUp) -> str:
    """The text of a RolledUpKey's row."""
    return encoded([rolled_up.files, *map(list, rolled_up.offsets.items())])


def decode_rolled_up(text: str) -> RolledUp:
    """The reverse of `encode_rolled_up`. Raises DamagedRow."""
    with reading("rolled_up", text):
        files, *offsets = json.loads(text)
        return RolledUp(int(files), {int(generation): int(offset) for generation, offset in offsets})


def encode_report(report: Report) -> str:
    return encoded(list(structs.astuple(report)))


def decode_report(text: str) -> Report | None:
    """The reverse of `encode_report`; None of an empty text. Raises DamagedRow."""
    with reading("report", text):
        return struct_of(json.loads(text), Report, 3) if text else None
