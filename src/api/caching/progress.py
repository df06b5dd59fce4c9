"""How far the store is. Each poll reads it, from a few rows of each writer, however many logs there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from pydantic_core import to_json

from api.utc import to_datetime
from storage.damage import or_default
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
from storage.writers import ARCHIVE

# A report on fully counted logs is complete through nearly its own time: at most this much earlier, in seconds.
_IDLE_SECONDS = 1.0
HIDDEN = "(hidden)"
"""Stands for a writer where the caller may not know its name: it may be that of a host."""


@dataclass(frozen=True, slots=True)
class WriterProgress:
    counts: Ledger
    rollups: RollupLedger
    report: Report | None

    @classmethod
    def of(cls, state: WriterState) -> "WriterProgress":
        """The progress that a stored state has. A damaged row is as one that is not there."""
        return cls(
            or_default(decode_ledger, state.counts, Ledger()),
            or_default(decode_rollup_ledger, state.rollups, RollupLedger()),
            or_default(decode_report, state.report, None),
        )

    @property
    def complete_through(self) -> float | None:
        """All requests that were logged before this time (Unix, s) are counted; None: unknown."""
        # A report on a later commit than the ledger's was read a moment after the ledger.
        if self.report is not None and self.report.number == self.counts.number:
            return self.report.complete_through
        return self.counts.complete_through

    @property
    def rolled_up_through(self) -> float | None:
        """All requests that were logged before this time (Unix, s) are in the roll-ups; None: unknown."""
        complete_through = self.complete_through
        if complete_through is None or self.counts.rollup_backlog is None or is_rolled_up(self.counts, self.rollups):
            return complete_through
        return min(complete_through, self.counts.rollup_backlog[0])

    @property
    def is_idle(self) -> bool:
        """Whether all that the processor saw last is counted."""
        through = self.complete_through
        return self.report is None or (through is not None and through > self.report.time - _IDLE_SECONDS)


class StoreProgress:
    def __init__(self, states: Sequence[WriterState], missing: Sequence[str] = ()) -> None:
        """`missing`: the writers that are silent."""
        self.writers = {state.writer: WriterProgress.of(state) for state in states}
        ledgers = [(state.writer, state.counts, state.rollups) for state in states]
        self.ledger_hash = blake2b(repr(ledgers).encode(), digest_size=16).digest()
        """Differs as soon as a ledger has changed."""
        # No processor goes on with the archive, and nothing of it is to come.
        self.going_on = {name: writer for name, writer in self.writers.items() if name != ARCHIVE}
        """The writers that were not retired."""
        self.complete_through = _earliest([writer.complete_through for writer in self.going_on.values()])
        """All requests before this time are in counts that are read after this progress, but maybe not in counts that
        were read before it."""
        self.complete_through_json = to_json(self.complete_through)
        rolled_up_through = _earliest([writer.rolled_up_through for writer in self.going_on.values()])
        self.rolled_up_through_json = to_json(rolled_up_through)
        """The `complete_through` of the roll-ups."""
        self.missing = list(missing)
        """The writers that are silent: their logs may have lines that nobody counts."""

    def missing_for(self, is_operator: bool) -> list[str]:
        """The silent writers, by the names that an operator or a customer may see."""
        return self.missing if is_operator else [HIDDEN] * len(self.missing)

    @property
    def freshness(self) -> dict[str, tuple[bool, float | None, float | None]]:
        """Writer -> whether it is silent, the time of its latest report, and through which time it is complete (Unix
        times, s; None: unknown)."""
        return {
            name: (
                name in self.missing,
                writer.report.time if writer.report is not None else None,
                writer.complete_through,
            )
            for name, writer in self.going_on.items()
        }

    @property
    def commits(self) -> dict[str, int]:
        """The number of each writer's latest commit of counts."""
        return {name: writer.counts.number for name, writer in self.writers.items()}

    @property
    def reported(self) -> float | None:
        """The time of the latest report of a processor (Unix time, s)."""
        return max((writer.report.time for writer in self.writers.values() if writer.report is not None), default=None)

    @property
    def is_idle(self) -> bool:
        """Whether all that the processors saw last is counted."""
        return all(writer.is_idle for writer in self.writers.values())


def _earliest(times: Sequence[float | None]) -> datetime | None:
    """The earliest of these Unix times (s); None if one is unknown, or if there are none."""
    known = [time for time in times if time is not None]
    return to_datetime(min(known)) if known and len(known) == len(times) else None
