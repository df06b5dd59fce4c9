"""How much counting does at once, and how much it holds in memory."""

from typing import NamedTuple

from rollups.delta import MOST_CHARACTERS

PART_CHARACTERS = 900_000
"""Characters of a row of a journal: InfluxDB takes no field beyond 1 MiB."""


class Limits(NamedTuple):
    """The limits. What is stored depends on them only in where roll-ups are divided into segments, and in which new
    customers are told apart."""

    new_customers: int = 20_000
    """New customers of a day that are told apart."""
    names_asked_for: int = 1_000
    """Unknown customers of a day that the store is asked for by name. For more, all names that it has are read once."""
    daily_rows_at_once: int = 10_000
    """Daily aggregates that are changed and written together."""
    daily_rows: int = 110_000
    """Daily aggregates in memory."""
    daily_characters: int = 32 << 20
    """Characters of the daily aggregates in memory."""
    rollups_at_once: int = 200
    """Roll-ups that are read and changed together."""
    rollups: int = 10_000
    """Segments of roll-ups in memory."""
    rollups_characters: int = 8 << 20
    """Characters of the segments in memory."""
    row_characters: int = MOST_CHARACTERS
    """Characters of a segment of a roll-up."""
    journal_characters: int = PART_CHARACTERS
    """Characters of a row of a journal."""
    slice_characters: int = 4 << 20
    """Characters that a slice of roll-ups writes, after which counts may be committed."""
    slice_seconds: float = 0.1
    """Seconds of a slice of roll-ups, after which counts may be committed."""


LIMITS = Limits()
