"""How far a writer is: its ledgers, and the intents by which a commit that was broken off is done again. As text, the
same in both backends."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from storage.logs import FileRow, LedgerRow, decode_file, decode_log, encode_file, encode_log
from storage.requests import FileId, OffsetRange


@dataclass(frozen=True, slots=True)
class Ledger:
    """The commit point of a writer's counts."""

    number: int = 0
    """Of the last commit."""
    complete_through: float | None = None
    """All requests that were logged before this time (Unix, s) are counted, as far as the processor could see."""
    rollup_backlog: tuple[int, int] | None = None
    """Unix times (s) of the earliest and the latest request that the roll-ups may lack."""


@dataclass(frozen=True, slots=True)
class RollupLedger:
    """The commit point of a writer's roll-ups."""

    number: int = 0
    """Of the last commit of roll-ups."""
    through: int = 0
    """The commit of counts through which they have all."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What a commit is about to do. Who does it again decides nothing anew."""

    number: int
    token: int
    """Of the lease under which it was written."""
    ranges: tuple[OffsetRange, ...]
    """The requests that it counts."""
    oldest: int
    """Unix times (s) of the earliest and the latest of them."""
    newest: int
    stored: int
    """How many they are."""
    oldest_day: int = 0
    """The first day that was kept when their lines were read (days since 1970-01-01)."""
    settings: str = ""
    """What shapes counting: the format of the lines, and the version of the rules."""
    logs: tuple[LedgerRow, ...] = ()
    """How far the logs that it changes are after it."""
    files: tuple[FileRow, ...] = ()
    """The files that it changes."""
    customers: tuple[str, ...] | None = ()
    """Whose counts it changes, beside those of all together; None: of too many to name."""
    days: tuple[int, ...] = ()
    """Of which days (since 1970-01-01)."""
    ledger: Ledger = Ledger()
    """The ledger after it."""
    weight: Literal[1, -1] = 1
    """-1: it takes back what was counted of the requests."""


@dataclass(frozen=True, slots=True)
class RolledUp:
    """How far the roll-ups have the files of a log."""

    files: int = 0
    """How many files were known: those with lower numbers are rolled up to their ends, but for `offsets`."""
    offsets: Mapping[int, int] = field(default_factory=dict)
    """Number -> through which offset it is rolled up, of files that are not closed."""

    def through(self, file: FileRow) -> int:
        """Through which offset a file is rolled up."""
        return self.offsets.get(file.generation, file.offset if file.generation < self.files else file.start)


@dataclass(frozen=True, slots=True)
class RollupIntent:
    """What a commit of roll-ups is about to do."""

    number: int
    token: int
    through: int
    """The commit of counts through which the roll-ups have all after it."""
    ranges: tuple[OffsetRange, ...]
    oldest: int
    newest: int
    positions: Mapping[str, RolledUp]
    """How far it has rolled up the logs that it changes then."""
    weight: Literal[1, -1] = 1
    """As of an Intent."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a processor says once a second."""

    time: float
    """Unix time, s."""
    number: int
    """Of the last commit of counts."""
    complete_through: float | None
    """As in a ledger."""
    latest_second: int = 0
    """No later request is stored (Unix time, s). A start that reads lines again accepts those through it."""


class StoredIntent(NamedTuple):
    """An intent as a reader of changes finds it."""

    writer: str
    place: int
    """Ascending in the order in which a writer's intents count: of two of a number the later one does."""
    number: int
    row: str


class WriterState(NamedTuple):
    """The rows of a writer that each answer looks at, as text; "" where there is none."""

    writer: str
    counts: str
    rollups: str
    report: str

    @classmethod
    def of(cls, writer: str, rows: Mapping[str, str]) -> "WriterState":
        """`rows`: those of the writer, by the name in their StateKey."""
        return cls(writer, rows.get("counts", ""), rows.get("rollups", ""), rows.get("report", ""))


def is_rolled_up(counts: Ledger, roll_ups: RollupLedger) -> bool:
    """Whether the roll-ups have all requests that are counted."""
    return counts.rollup_backlog is None or roll_ups.through >= counts.number


def encode_ledger(ledger: Ledger) -> str:
    """The text of a ledger's row."""
    return json.dumps([ledger.number, ledger.complete_through, ledger.rollup_backlog])


def decode_ledger(text: str) -> Ledger:
    """The reverse of `encode_ledger`; an empty text is the ledger before the first commit."""
    return _ledger(json.loads(text)) if text else Ledger()


def _ledger(row: Any) -> Ledger:
    number, complete_through, rollup_backlog = row
    return Ledger(number, complete_through, (rollup_backlog[0], rollup_backlog[1]) if rollup_backlog else None)


def encode_rollup_ledger(ledger: RollupLedger) -> str:
    """The text of the roll-ups' ledger."""
    return json.dumps([ledger.number, ledger.through])


def decode_rollup_ledger(text: str) -> RollupLedger:
    """The reverse of `encode_rollup_ledger`; an empty text is the ledger before the first commit."""
    return RollupLedger(*json.loads(text)) if text else RollupLedger()


def encode_intent(intent: Intent) -> str:
    """The text of an intent."""
    return json.dumps(
        {
            "number": intent.number,
            "token": intent.token,
            "ranges": intent.ranges,
            "oldest": intent.oldest,
            "newest": intent.newest,
            "stored": intent.stored,
            "oldest_day": intent.oldest_day,
            "settings": intent.settings,
            "logs": {row.log: encode_log(row) for row in intent.logs},
            "files": [[row.log, row.generation, encode_file(row)] for row in intent.files],
            "customers": intent.customers,
            "days": intent.days,
            "ledger": encode_ledger(intent.ledger),
            "weight": intent.weight,
        },
        separators=(",", ":"),
    )


def decode_intent(text: str) -> Intent:
    """The reverse of `encode_intent`."""
    row = json.loads(text)
    return Intent(
        number=row["number"],
        token=row["token"],
        ranges=_ranges(row["ranges"]),
        oldest=row["oldest"],
        newest=row["newest"],
        stored=row["stored"],
        oldest_day=row["oldest_day"],
        settings=row["settings"],
        logs=tuple(decode_log(log, of_log) for log, of_log in row["logs"].items()),
        files=tuple(decode_file(log, generation, of_file) for log, generation, of_file in row["files"]),
        customers=None if row["customers"] is None else tuple(row["customers"]),
        days=tuple(row["days"]),
        ledger=decode_ledger(row["ledger"]),
        weight=row["weight"],
    )


def encode_rollup_intent(intent: RollupIntent) -> str:
    """The text of an intent of roll-ups."""
    return json.dumps(
        {
            "number": intent.number,
            "token": intent.token,
            "through": intent.through,
            "ranges": intent.ranges,
            "oldest": intent.oldest,
            "newest": intent.newest,
            "positions": {log: encode_rolled_up(rolled_up) for log, rolled_up in intent.positions.items()},
            "weight": intent.weight,
        },
        separators=(",", ":"),
    )


def decode_rollup_intent(text: str) -> RollupIntent:
    """The reverse of `encode_rollup_intent`."""
    row = json.loads(text)
    return RollupIntent(
        number=row["number"],
        token=row["token"],
        through=row["through"],
        ranges=_ranges(row["ranges"]),
        oldest=row["oldest"],
        newest=row["newest"],
        positions={log: decode_rolled_up(text) for log, text in row["positions"].items()},
        weight=row["weight"],
    )


def _ranges(rows: Sequence[Any]) -> tuple[OffsetRange, ...]:
    return tuple(OffsetRange(FileId(*file), start, end) for file, start, end in rows)


def encode_rolled_up(rolled_up: RolledUp) -> str:
    """The text of a RolledUpKey's row."""
    return json.dumps([rolled_up.files, *map(list, rolled_up.offsets.items())], separators=(",", ":"))


def decode_rolled_up(text: str) -> RolledUp:
    """The reverse of `encode_rolled_up`."""
    files, *offsets = json.loads(text)
    return RolledUp(files, dict(offsets))


def encode_report(report: Report) -> str:
    """The text of a report."""
    return json.dumps([report.time, report.number, report.complete_through, report.latest_second])


def decode_report(text: str) -> Report | None:
    """The reverse of `encode_report`; None of an empty text."""
    return Report(*json.loads(text)) if text else None
