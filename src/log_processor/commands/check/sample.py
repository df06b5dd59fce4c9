"""The beginning of a log."""

from dataclasses import dataclass
from pathlib import Path

from log_processor.following.compressed import opened
from request_log.line import MAX_LINE_BYTES

LINES = 1_000
# Of all lines together, so that memory is bounded where lines are long.
_MAX_BYTES = 32 << 20


@dataclass(frozen=True)
class Sample:
    """The first lines of a log."""

    data: bytes
    """Each line ends in a newline. One that is too long is cut behind the longest that is read."""
    has_more: bool
    """Whether the log goes on."""

    @classmethod
    def of(cls, path: Path) -> "Sample":
        """Read a file, compressed or not: NoLog where that fails."""
        lines: list[bytes] = []
        length = 0
        with opened(path) as file:
            while len(lines) < LINES and length < _MAX_BYTES:
                line = rest = file.readline(MAX_LINE_BYTES + 2)
                while rest and not rest.endswith(b"\n") and length < _MAX_BYTES:
                    rest = file.readline(MAX_LINE_BYTES)
                    length += len(rest)
                if not line:
                    break
                length += len(line)
                lines.append(line if line.endswith(b"\n") else line + b"\n")
            has_more = bool(file.read(1))
        return cls(b"".join(lines), has_more)
