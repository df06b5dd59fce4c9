"""What a check has found, and how it is told."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple

SHOWN_DIFFERENCES = 100
_EPOCH = date(1970, 1, 1)
LAST_DAY = (date(2199, 12, 31) - _EPOCH).days
"""The last day that a request can have, as days since 1970-01-01."""


class Difference(NamedTuple):
    """A figure that is not in the store what it is in the log."""

    customer: str
    date: str
    figure: str
    log: float | None
    store: float | None


@dataclass(slots=True)
class Outcome:
    """What was in the log, and where the store is different."""

    lines: Counter[str | None]
    """Those that are committed: requests (None), and the others by reason."""
    customers: int
    days: int
    """Days with requests that were checked."""
    unchecked: list[str]
    """Sentences: what could not be checked, and why."""
    nothing_checked: bool = False
    differences: list[Difference] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The exit status: 0 where all that could be checked agrees, and something could."""
        return 1 if self.differences or self.nothing_checked else 0

    def text(self) -> str:
        """For people, in lines."""
        rejected = sorted((reason, lines) for reason, lines in self.lines.items() if reason is not None and lines)
        reasons = ", ".join(f"{reason} {lines:,}" for reason, lines in rejected)
        counts = (
            f"lines {self.lines.total():,}, requests {self.lines[None]:,},"
            f" rejected {self.lines.total() - self.lines[None]:,}{f' ({reasons})' if reasons else ''},"
            f" customers {self.customers:,}, days {self.days:,}."
        )
        if self.differences:
            verdict = f"Figures that differ: {len(self.differences):,}. In the log: {counts}"
        elif self.nothing_checked:
            verdict = f"Nothing could be checked. In the log: {counts}"
        else:
            verdict = f"All agree: {counts}"
        return "\n".join([*_table(self.differences), verdict, *self.unchecked])


def date_of(day: int) -> str:
    """A day since 1970-01-01 as `2026-11-23`."""
    return str(_EPOCH + timedelta(days=day))


def _table(differences: list[Difference]) -> list[str]:
    if not differences:
        return []
    rows = [("customer", "date", "figure", "in the log", "in the store")]
    rows += [
        (row.customer, row.date, row.figure, str(row.log), str(row.store)) for row in differences[:SHOWN_DIFFERENCES]
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if len(differences) > SHOWN_DIFFERENCES:
        lines.append(f"... and {len(differences) - SHOWN_DIFFERENCES:,} more")
    return lines
