"""What is kept of a rejected line, in dead letters and log lines."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

from log_processor.parsing.chunk import DIGEST_BYTES
from request_log.query import line_without_query

HEAD_BYTES = 100
"""Bytes of a line that `head` keeps."""


@dataclass(frozen=True, slots=True)
class KeptLines:
    """Whether all of a line is kept, its beginning, or nothing, and whether without what looks like a query."""

    keep: Literal["all", "head", "none"] = "all"
    drops_query: bool = False
    has_columns: bool = False
    """Whether the lines are those of W3C logs."""

    def text(self, line: bytes) -> bytes | None:
        """What is kept of a line; None: nothing."""
        if self.keep == "none":
            return None
        text = self._without_query(line)
        return text[:HEAD_BYTES] if self.keep == "head" else text

    def mark(self, line: bytes) -> bytes:
        """A hash by which a line is known again, of the line without what is dropped."""
        return blake2b(self._without_query(line), digest_size=DIGEST_BYTES).digest()

    def _without_query(self, line: bytes) -> bytes:
        return line_without_query(line, self.has_columns) if self.drops_query else line
