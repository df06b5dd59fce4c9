"""The result of verify, and its text for people."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple

from log_processor.commands.terminal import by_kind
from log_processor.commands.verify.recount import LOST, SKIPPED

SHOWN = 100
"""Differences, and sentences of a kind, that are printed."""
_EPOCH = date(1970, 1, 1)
LAST_DAY = (date(2199, 12, 31) - _EPOCH).days
"""The last day that a request can have, as days since 1970-01-01."""


class Difference(NamedTuple):
    """A figure that differs between the log and the store."""

    customer: str
    date: str
    figure: str
    log: float | None
    store: float | None


@dataclass(slots=True)
class VerifyResult:
    """What the logs have, and where the store differs."""

    lines: Counter[str | None]
    """Committed lines: requests (None), and the others by reason, SKIPPED and LOST."""
    mended: Counter[str]
    """How many of these requests were mended, by kind."""
    customers: int
    days: int
    """Compared days with requests in files."""
    differences: list[Difference]
    unaccounted: list[str] = field(default_factory=list)
    """Sentences about lines in files that the store does not know."""
    unread: list[str] = field(default_factory=list)
    """Sentences about lines in files that a processor is about to read."""
    unchecked: list[str] = field(default_factory=list)
    """Sentences about what could not be checked, and why."""
    notes: list[str] = field(default_factory=list)
    """Sentences about lines that are rightly not counted."""

    @property
    def status(self) -> int:
        """The exit status: 0 if all that could be checked agrees, and anything could."""
        return 1 if self.differences or self.unaccounted or not self.days else 0

    def lines_to_print(self) -> list[str]:
        rejected = {
            reason: lines for reason, lines in self.lines.items() if reason not in (None, SKIPPED, LOST) and lines
        }
        skipped = self.lines[SKIPPED]
        counts = (
            f"lines {self.lines.total():,}, requests {self.lines[None]:,},"
            f" rejected {sum(rejected.values()):,}{by_kind(rejected)},"
            f"{f' skipped {skipped:,},' if skipped else ''}"
            f"{f' mended{by_kind(self.mended)},' if self.mended else ''}"
            f" customers {self.customers:,}, days {self.days:,}."
        )
        if self.differences:
            verdict = f"Figures that differ: {len(self.differences):,}. In the log: {counts}"
        elif not self.days:
            verdict = f"Nothing could be checked. In the log: {counts}"
        elif self.unaccounted:
            verdict = f"Lines are missing in the store. The rest agrees: {counts}"
        elif self.unread:
            verdict = f"All that was read agrees: {counts}"
        else:
            verdict = f"All agree: {counts}"
        sentences = [
            line for kind in (self.unaccounted, self.unread, self.unchecked, self.notes) for line in _shown(kind)
        ]
        return [*_table(self.differences), verdict, *sentences]


def date_of(day: int) -> str:
    """A day since 1970-01-01 as `2026-11-23`."""
    return str(_EPOCH + timedelta(days=day))


def _shown(lines: list[str]) -> list[str]:
    return lines if len(lines) <= SHOWN else [*lines[:SHOWN], f"... and {len(lines) - SHOWN:,} more"]


def _table(differences: list[Difference]) -> list[str]:
    if not differences:
        return []
    rows = [("customer", "date", "figure", "in the log", "in the store")]
    rows += [(row.customer, row.date, row.figure, str(row.log), str(row.store)) for row in differences[:SHOWN]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return lines if len(differences) <= SHOWN else [*lines, f"... and {len(differences) - SHOWN:,} more"]
