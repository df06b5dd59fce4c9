"""Where to begin."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from log_processor.fingerprint import Fingerprint
from log_processor.tail import Tail
from storage.contract import LedgerRow, Position


def first_row(
    log_name: str, path: Path, start: Literal["end", "beginning"], backfilled: Sequence[LedgerRow]
) -> LedgerRow:
    """The ledger of a log that the store has never seen: at the file's end, after its last whole line, or at its
    beginning; or, where it was `backfilled`, where that ended."""
    position, fingerprint = _first_position(path, start, backfilled)
    return LedgerRow(log_name, str(path), position, position, fingerprint)


def position_at(path: Path, offset: int) -> tuple[Position, str]:
    """The position at an offset (bytes) of a log's first file, which is there, and the fingerprint."""
    with path.open("rb") as file:
        return Position(0, offset), str(Fingerprint.of(file.fileno(), offset))


def _first_position(
    path: Path, start: Literal["end", "beginning"], backfilled: Sequence[LedgerRow]
) -> tuple[Position, str]:
    try:
        with path.open("rb") as file:
            for row in backfilled:
                offset = row.position.offset
                if Fingerprint.decode(row.fingerprint).matches(file.fileno(), offset):
                    return position_at(path, offset)
        return position_at(path, _end_of_last_line(path) if start == "end" else 0)
    except FileNotFoundError:
        position = Position(0, 0)
        return position, Tail(path, position, "").fingerprint


def _end_of_last_line(path: Path) -> int:
    """The offset after the last newline: a line that is still being written is not passed over."""
    step = 1 << 16
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - step)
            newline = os.pread(file.fileno(), end - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
    return 0
