"""Where to begin."""

import os
from pathlib import Path
from typing import Literal

from log_processor.fingerprint import Fingerprint
from log_processor.tail import Tail
from storage.contract import LedgerRow
from storage.counts import Position


def first_row(log_name: str, path: Path, start: Literal["end", "beginning"]) -> LedgerRow:
    """The ledger of a log that the store has never seen: at the file's end, after its last whole line, or at its
    beginning."""
    position, fingerprint = _first_position(path, start)
    return LedgerRow(log_name, str(path), position, position, fingerprint)


def _first_position(path: Path, start: Literal["end", "beginning"]) -> tuple[Position, str]:
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        position = Position(0, 0)
        return position, Tail(path, position, "").fingerprint
    try:
        offset = _end_of_last_line(file) if start == "end" else 0
        return Position(0, offset), str(Fingerprint.of(file, offset))
    finally:
        os.close(file)


def _end_of_last_line(file: int) -> int:
    """The offset after the last newline: a line that is still being written is not passed over."""
    step = 1 << 16
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - step)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
