"""Keeps every rejected line, with its position and its reason, in files that a person can read and mend from.

One JSON object a line:

    {"log": "api_requests", "generation": 0, "offset": 4711, "reason": "status", "length": 52, "line": "2026-11-23 ..."}

`line` is the text without its newline; bytes that are not UTF-8 stand as lone surrogates (Python's surrogateescape).
Of a line that is too long only the beginning is kept, with `blake2b`, the hash of all of it (16 bytes).

One process writes: it holds a lock on the file. A predecessor that was stopped may still have it open, and go on to
write when it is continued. Its successor, which has the lease, puts a copy in the file's place; so what the predecessor
writes goes nowhere.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from log_processor.parsing.batch import Batch, TooNew
from log_processor.parsing.chunk import DIGEST_BYTES, KEPT_BYTES
from request_log.line import MAX_LINE_BYTES, Reason
from request_log.requests import Rejected
from storage.keys import FileKey
from storage.logs import FileRow, Position

FILES_KEPT = 5


class _Entry(NamedTuple):
    text: bytes
    log: str
    position: Position
    reason: object
    line: bytes


def kept_lines(path: Path, reason: Reason) -> Iterator[tuple[str, Position, bytes]]:
    """The lines that were rejected for this reason and are still kept in the file at `path` and those before it, but
    for lines that are too long: log, position, and the line without its newline."""
    for name in _names(path):
        for entry in _entries(name):
            if entry.reason == reason.value:
                yield entry.log, entry.position, entry.line


class DeadLetters:
    """The file at `path`; at `max_bytes` it becomes `path.1`, that `path.2`, and so on: five in all."""

    def __init__(
        self, path: Path, max_bytes: int, files: Mapping[FileKey, FileRow], check_lease: Callable[[], None]
    ) -> None:
        """`files`: from where each file will be read. `check_lease`: ends the program where this process has lost the
        lease, see Storage. OSError where the file cannot be written."""
        self._path = path
        self._max_bytes = max_bytes
        self._check_lease = check_lease
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._take_over()
        _cut_half_line_off(path)
        self._known: set[bytes] = set()
        """The digests of the entries of lines that will be read again."""
        self.too_new: TooNew = {}
        """Those of these lines that were too new: this is not decided anew."""
        self._note_beyond(files)

    def write(self, batch: Batch) -> None:
        """Write a batch's rejected lines that are not here yet. OSError where the disk does not take them."""
        entries = [_entry(part.log, part.start.generation, line) for part in batch.parts for line in part.rejected]
        fresh = [entry for entry in entries if _digest(entry) not in self._known]
        if not fresh:
            return
        with self._errors():
            if self._is_taken_away():
                self._reopen()
            for entry in fresh:
                if self._file.tell() >= self._max_bytes:
                    self._rotate()
                self._file.write(entry)
            self._file.flush()

    def sync(self) -> None:
        """Return when what was written will survive a power cut."""
        with self._errors():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _note_beyond(self, files: Mapping[FileKey, FileRow]) -> None:
        """Note the entries beyond what is committed: a crash came between, and their lines will be read again."""
        too_new = []
        for name in _names(self._path):
            for entry in _entries(name):
                row = files.get(FileKey(entry.log, entry.position.generation))
                if row is None or entry.position.offset >= row.offset:
                    self._known.add(_digest(entry.text))
                    if entry.reason == Reason.TOO_NEW.value:
                        too_new.append(entry)
        found: dict[tuple[str, int], dict[int, bytes]] = {}
        for entry in sorted(too_new, key=attrgetter("position")):
            found.setdefault((entry.log, entry.position.generation), {})[entry.position.offset] = entry.line
        self.too_new = found

    def _take_over(self) -> BinaryIO:
        """Open the file, or where another process has it open, a copy in its place."""
        file = self._open()
        while not _lock(file):
            copy = self._path.with_name(f".{self._path.name}.copy")
            shutil.copy(self._path, copy)
            with copy.open("rb+") as copied:
                os.fsync(copied.fileno())
            copy.replace(self._path)
            file.close()
            file = self._open()
        return file

    def _open(self) -> BinaryIO:
        file = self._path.open("ab")
        # A new name survives a power cut only when its folder is written as well.
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return file

    def _is_taken_away(self) -> bool:
        """Whether somebody moved, replaced or deleted the file: an editor does, and a successor."""
        try:
            return not os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return True

    def _rotate(self) -> None:
        self._file.flush()
        names = _names(self._path)
        for older, newer in reversed(list(zip(names[1:], names, strict=False))):
            if newer.exists():
                newer.replace(older)
        self._reopen()

    def _reopen(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        self._file = self._open()
        _lock(self._file)
        # After it was opened: a successor takes the lease first, and the file then.
        self._check_lease()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Errors of a file that is open do not say which it is."""
        try:
            yield
        except OSError as error:
            error.filename = str(self._path)
            raise


def _names(path: Path) -> list[Path]:
    """The files, the current one first."""
    return [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, FILES_KEPT))]


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


def _digest(entry: bytes) -> bytes:
    return blake2b(entry, digest_size=DIGEST_BYTES).digest()


def _entries(path: Path) -> Iterator[_Entry]:
    """Each entry. People edit these files: what is no entry is none of ours."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            try:
                entry = json.loads(line)
                log, position = entry["log"], Position(int(entry["generation"]), int(entry["offset"]))
                kept = str(entry.get("line", "")).encode(errors="surrogateescape")
            except (ValueError, TypeError, KeyError):
                continue
            if isinstance(log, str):
                yield _Entry(line, log, position, entry.get("reason"), kept)


def _lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed; whether no other process has locked it."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: two processes could then both have the file open.
        return True
    return True


def _cut_half_line_off(path: Path) -> None:
    """What a crash left half written is written again, for its line is read again."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
