"""Where to begin."""

import os
import threading
from functools import partial
from pathlib import Path
from typing import Literal

from log_processor.fingerprint import Fingerprint
from log_processor.retry import until_stored
from storage.contract import LedgerRow, Storage
from storage.counts import Position


def ledger_row(
    storage: Storage, log_name: str, path: Path, start: Literal["end", "beginning"], stop: threading.Event
) -> LedgerRow:
    """Where the store is in this log.

    A log that the store has never seen gets its row now, so that a process that dies at once does not begin further on:
    at the file's end, after its last whole line, or at its beginning.
    """
    for row in until_stored(storage.begin, stop):
        if row.log == log_name:
            return row
    row = LedgerRow(log_name, *_first_position(path, start))
    until_stored(partial(storage.commit, {}, [row]), stop)
    return row


def _first_position(path: Path, start: Literal["end", "beginning"]) -> tuple[Position, str]:
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return Position(0, 0), ""
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
