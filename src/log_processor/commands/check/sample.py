"""A sample of a log: its first lines."""

from dataclasses import dataclass
from pathlib import Path

from log_processor.following.compressed import opened
from request_log.line import MAX_LINE_BYTES

LINES = 1_000
_MAX_BYTES = 1 << 20
"""Bytes of the lines that are kept. Every format tries all of them, so it bounds time where lines are long."""
_MAX_READ_BYTES = 32 << 20
"""Bytes that are read, with those of lines that are too long. They are not kept."""


@dataclass(frozen=True)
class Sample:
    data: bytes
    """The lines. Each ends in a newline. A line that is too long is cut, but stays too long."""
    has_more: bool
    """Whether the log has more lines."""

    @classmethod
    def of(cls, path: Path) -> "Sample":
        """Read the first lines of a file, compressed or not. Raises NoLog."""
        lines: list[bytes] = []
        kept = length = 0
        with opened(path) as file:
            while len(lines) < LINES and kept < _MAX_BYTES and length < _MAX_READ_BYTES:
                line = rest = file.readline(MAX_LINE_BYTES + 2)
                while rest and not rest.endswith(b"\n") and length < _MAX_READ_BYTES:
                    rest = file.readline(MAX_LINE_BYTES)
                    length += len(rest)
                if not line:
                    break
                kept += len(line)
                length += len(line)
                lines.append(line if line.endswith(b"\n") else line + b"\n")
            has_more = bool(file.read(1))
        return cls(b"".join(lines), has_more)
