"""A progress bar for long reads."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_BETWEEN_SECONDS = 0.2
"""Time between two updates."""
_WIDTH = 30
"""Characters of the bar."""


class ProgressBar:
    """Drawn on one line of standard error. Not drawn if standard error is no terminal."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._total = 0
        self._done = 0
        self._began = self._next = 0.0

    @contextmanager
    def of(self, total: int) -> Iterator[None]:
        """Show progress while `total` bytes are read."""
        self._total, self._done = total, 0
        self._began = time.monotonic()
        self._next = self._began + _BETWEEN_SECONDS
        try:
            yield
        finally:
            if self._is_shown:
                sys.stderr.write("\r\x1b[K")

    def advance(self, count: int) -> None:
        """`count` more bytes were read."""
        self._done += count
        now = time.monotonic()
        if self._is_shown and now >= self._next:
            self._next = now + _BETWEEN_SECONDS
            share = min(1.0, self._done / max(1, self._total))
            left = (now - self._began) * (1 - share) / share if share else 0
            bar = ("#" * round(_WIDTH * share)).ljust(_WIDTH, ".")
            rate = self._done / 1e6 / (now - self._began)
            sys.stderr.write(
                f"\r{bar} {share:4.0%} of {self._total / 1e6:,.0f} MB, {rate:.0f} MB/s, {left:.0f} s left\x1b[K"
            )
            sys.stderr.flush()
