"""A cache for the meanings of texts: most texts of a log repeat."""

from collections.abc import Callable
from typing import Generic, TypeVar

INVALID = -2
"""The meaning of an invalid text."""
CACHE_LIMIT = 100_000
"""Texts in a cache. At this number it is cleared."""
LONGEST_CACHED = 128
"""Characters of a text. Longer texts hardly repeat, and take much memory."""

Logged = TypeVar("Logged", bound=str | float)
Meaning = TypeVar("Meaning")


class Cache(dict[Logged, Meaning], Generic[Logged, Meaning]):
    """Text or number -> its meaning, which is computed once."""

    def __init__(self, compute: Callable[[Logged], Meaning]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, logged: Logged) -> Meaning:
        if isinstance(logged, str) and len(logged) > LONGEST_CACHED:
            return self._compute(logged)
        if len(self) >= CACHE_LIMIT:
            self.clear()
        value = self[logged] = self._compute(logged)
        return value
