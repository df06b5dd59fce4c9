"""Remembers what texts mean, since most texts of a log come again."""

from collections.abc import Callable
from typing import Generic, TypeVar

INVALID = -2
"""The meaning of a text that has none."""
CACHE_LIMIT = 100_000
"""Texts in a cache. At this number it starts anew."""
LONGEST_CACHED = 128
"""Characters of a text. Longer texts hardly come again, and take the memory."""

Meaning = TypeVar("Meaning")


class Cache(dict[str, Meaning], Generic[Meaning]):
    """Text -> its meaning, which is computed once."""

    def __init__(self, compute: Callable[[str], Meaning]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, text: str) -> Meaning:
        if len(text) > LONGEST_CACHED:
            return self._compute(text)
        if len(self) >= CACHE_LIMIT:
            self.clear()
        value = self[text] = self._compute(text)
        return value
