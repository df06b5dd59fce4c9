"""Where each writer begins."""

import os
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from log_processor.fingerprint import Fingerprint
from log_processor.retry import until_stored
from service.logs import logger
from storage.contract import LedgerRow, Storage
from storage.counts import Position

log = logger(__name__)


def ledgers(
    storages: Sequence[Storage], log_name: str, path: Path, from_end: bool, stop: threading.Event
) -> list[LedgerRow]:
    """Each writer's ledger row of the log.

    A log that the store has never seen gets its rows now, so that a process that dies at once does not begin further
    on: at the file's end, after its last whole line, or at its beginning.
    """
    rows = [
        next((row for row in until_stored(storage.begin, stop) if row.log == log_name), None) for storage in storages
    ]
    known = [row.position for row in rows if row is not None]
    fingerprints = [row.fingerprint for row in rows if row is not None]
    if known:
        # A start that died between its writers: nothing was stored yet.
        position, fingerprint = known[0], fingerprints[0]
    else:
        position, fingerprint = _first_position(path, from_end)
    complete = []
    for writer, (storage, row) in enumerate(zip(storages, rows, strict=True)):
        if row is None:
            row = LedgerRow(log_name, writer, position, fingerprint)
            until_stored(partial(storage.commit, {}, [row]), stop)
        complete.append(row)
        log.info("ledger", log=log_name, writer=writer, generation=row.position.generation, offset=row.position.offset)
    return complete


def _first_position(path: Path, from_end: bool) -> tuple[Position, str]:
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return Position(0, 0), ""
    try:
        offset = _end_of_last_line(file) if from_end else 0
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
