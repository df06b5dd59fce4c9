"""How much is done at once, and how much is held in memory."""

from typing import NamedTuple

from rollups.delta import MOST_CHARACTERS


class Limits(NamedTuple):
    """What is stored does not depend on them, but for where roll-ups are divided into segments."""

    daily_rows_at_once: int = 10_000
    """Daily rows that are added to and written together."""
    daily_rows: int = 110_000
    """Daily rows in memory, and their characters."""
    daily_characters: int = 32 << 20
    rollups_at_once: int = 200
    """Rows of roll-ups that are read and added to together."""
    rollups: int = 10_000
    """Rows of roll-ups in memory, and their characters."""
    rollups_characters: int = 8 << 20
    row_characters: int = MOST_CHARACTERS
    """Characters of a row of roll-ups."""
    slice_characters: int = 4 << 20
    """Characters of a slice of roll-ups, and its seconds: the counts do not wait for longer."""
    slice_seconds: float = 0.1


LIMITS = Limits()
