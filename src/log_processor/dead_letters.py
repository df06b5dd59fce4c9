"""Keeps every rejected line, with its position and its reason, in files that a person can read and mend from.

One JSON object a line:

    {"log": "api_requests", "generation": 0, "offset": 4711, "reason": "status", "length": 52, "line": "2026-11-23 ..."}

`line` is the text without its newline; bytes that are not UTF-8 stand as lone surrogates (Python's surrogateescape).
Of a line that is too long only the beginning is kept, with `blake2b`, the hash of all of it (16 bytes).
"""

import json
import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from log_processor.chunk import DIGEST_BYTES, KEPT_BYTES, Batch
from request_log.line import MAX_LINE_BYTES
from request_log.parser import Rejected
from storage.counts import Position

FILES_KEPT = 5


class DeadLetters:
    """The file at `path`; at `max_bytes` it becomes `path.1`, that `path.2`, and so on: five in all."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """OSError where the file cannot be written."""
        self._path = path
        self._max_bytes = max_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_half_line_off(path)
        # After a crash lines are read again that are here already.
        self._written: dict[str, Position] = {}
        for name in reversed(self._names()):
            for entry in _entries(name):
                self._written[entry["log"]] = Position(entry["generation"], entry["offset"])
        self._file = path.open("ab")

    def write(self, batch: Batch) -> None:
        """Write a batch's rejected lines that are not here yet. Batches of a log come in its order. OSError where the
        disk does not take them."""
        generation = batch.start.generation
        last = self._written.get(batch.log, Position(-1, 0))
        fresh = [line for line in batch.rejected if Position(generation, line.offset) > last]
        if not fresh:
            return
        if self._file.tell() >= self._max_bytes:
            self._rotate()
        for line in fresh:
            self._file.write(_entry(batch.log, generation, line))
        self._file.flush()
        self._written[batch.log] = Position(generation, fresh[-1].offset)

    def sync(self) -> None:
        """Return when what was written will survive a power cut."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotate(self) -> None:
        self.sync()
        self._file.close()
        names = self._names()
        for older, newer in reversed(list(zip(names[1:], names, strict=False))):
            if newer.exists():
                newer.replace(older)
        self._file = self._path.open("ab")

    def _names(self) -> list[Path]:
        """The files, the current one first."""
        return [self._path, *(self._path.with_name(f"{self._path.name}.{n}") for n in range(1, FILES_KEPT))]


def _entry(log: str, generation: int, line: Rejected) -> bytes:
    entry: dict[str, Any] = {
        "log": log,
        "generation": generation,
        "offset": line.offset,
        "reason": line.reason.value,
        "length": len(line.line) if line.length is None else line.length,
    }
    kept = line.line
    if entry["length"] > MAX_LINE_BYTES:
        entry["blake2b"] = line.digest or blake2b(line.line, digest_size=DIGEST_BYTES).hexdigest()
        kept = kept[:KEPT_BYTES]
    entry["line"] = kept.decode(errors="surrogateescape")
    return json.dumps(entry).encode() + b"\n"


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            yield from map(json.loads, file)
    except FileNotFoundError:
        return


def _cut_half_line_off(path: Path) -> None:
    """What a crash left half written is written again, for its line is read again."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
