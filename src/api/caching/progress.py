"""How far the store is, which each answer looks at: by a few rows of each writer, however many logs it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import blake2b

from pydantic_core import to_json

from storage.ledger import (
    Ledger,
    Report,
    RollupLedger,
    WriterState,
    decode_ledger,
    decode_report,
    decode_rollup_ledger,
    is_rolled_up,
)

# A report on logs of which all is counted is complete through about its own time; seconds.
_AT_REST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WriterProgress:
    """How far a writer is."""

    counts: Ledger
    roll_ups: RollupLedger
    report: Report | None

    @classmethod
    def of(cls, state: WriterState) -> "WriterProgress":
        """As it is stored."""
        return cls(decode_ledger(state.counts), decode_rollup_ledger(state.rollups), decode_report(state.report))

    @property
    def complete_through(self) -> float | None:
        """All requests that were logged before this time (Unix, s) are counted; None: it cannot be told."""
        # A report on a later commit than the ledger's was read a moment after the ledger.
        if self.report is not None and self.report.number == self.counts.number:
            return self.report.complete_through
        return self.counts.complete_through

    @property
    def rolled_up_through(self) -> float | None:
        """The same of the roll-ups."""
        complete_through = self.complete_through
        if complete_through is None or self.counts.rollup_backlog is None or is_rolled_up(self.counts, self.roll_ups):
            return complete_through
        return min(complete_through, self.counts.rollup_backlog[0])

    @property
    def is_at_rest(self) -> bool:
        """Whether all that the processor saw last is counted."""
        through = self.complete_through
        return self.report is None or (through is not None and through > self.report.time - _AT_REST_SECONDS)


class Progress:
    """How far all writers are."""

    def __init__(self, states: Sequence[WriterState]) -> None:
        self.writers = {state.writer: WriterProgress.of(state) for state in states}
        ledgers = [(state.writer, state.counts, state.rollups) for state in states]
        self.ledger_hash = blake2b(repr(ledgers).encode(), digest_size=16).digest()
        """Another one as soon as a ledger has moved."""
        self.complete_through = _earliest([writer.complete_through for writer in self.writers.values()])
        """That of all counts that are asked for after this, and not before."""
        self.complete_through_json = to_json(self.complete_through)
        self.rolled_up_through_json = to_json(_earliest([writer.rolled_up_through for writer in self.writers.values()]))
        """The same of the roll-ups."""

    @property
    def commits(self) -> dict[str, int]:
        """The number of each writer's last commit of counts."""
        return {name: writer.counts.number for name, writer in self.writers.items()}

    @property
    def reported(self) -> float | None:
        """When a processor reported last (Unix time, s)."""
        return max((writer.report.time for writer in self.writers.values() if writer.report is not None), default=None)

    @property
    def is_at_rest(self) -> bool:
        """Whether all that the processors saw last is counted."""
        return all(writer.is_at_rest for writer in self.writers.values())


def utc(time: float) -> datetime:
    """Unix time (s) as a date and time."""
    return datetime.fromtimestamp(time, timezone.utc)


def _earliest(times: Sequence[float | None]) -> datetime | None:
    """The earliest of these Unix times (s); None where one is not known, or there are none."""
    known = [time for time in times if time is not None]
    return utc(min(known)) if known and len(known) == len(times) else None
