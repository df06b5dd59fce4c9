"""Dead letters: every rejected line, with its position and its reason, in files from which a person can mend a log.

Each line is a JSON object:

    {"log": "api_requests", "generation": 0, "offset": 4711, "reason": "status", "length": 52, "line": "2026-11-23 ..."}

`line` is the text without its newline. A byte that is not UTF-8 becomes a lone surrogate (Python's surrogateescape).
Of a line that is too long, only the beginning is kept, and `blake2b`, the hash of the whole line (16 bytes).

Only one process writes: it holds a lock on the file. A suspended predecessor may still have the file open, and write
when it is resumed. So its successor, which has the lease, replaces the file by a copy, and the predecessor writes to
the replaced one.
"""

import errno
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
"""Files, the current one among them."""

# Each dead letter begins so.
_BEGINNING = b'{"log": "'
# Bytes of a file that are read to see whether it has dead letters.
_LOOKED_AT_BYTES = 64 << 10


class _Entry(NamedTuple):
    text: bytes
    log: str
    position: Position
    reason: object
    line: bytes


def kept_lines(path: Path, reason: Reason) -> Iterator[tuple[str, Position, bytes]]:
    """The lines that were rejected for a reason, in the file at `path` and its rotated ones.

    Yields the log, the position, and the line without its newline. A line that is too long is cut.
    """
    for name in _names(path):
        for entry in _entries(name):
            if entry.reason == reason.value:
                yield entry.log, entry.position, entry.line


class DeadLetters:
    """Writes the file at `path`. At `max_bytes` it is rotated to `path.1`, that one to `path.2`, and so on."""

    def __init__(
        self, path: Path, max_bytes: int, files: Mapping[FileKey, FileRow], check_lease: Callable[[], None]
    ) -> None:
        """`files`: through which offset each file is committed. `check_lease`: exits where this process has lost the
        lease, see Storage. Raises OSError where the file cannot be written."""
        self._path = path
        self._max_bytes = max_bytes
        self._check_lease = check_lease
        path.parent.mkdir(parents=True, exist_ok=True)
        for name in _names(path):
            _refuse_foreign(name)
        self._file = self._take_over()
        _cut_half_line_off(path)
        self._known: set[bytes] = set()
        """Hashes of the dead letters of lines that will be read again."""
        self.too_new: TooNew = {}
        """The lines among them that were too new. They are rejected again, whatever the time is now."""
        self._note_beyond(files)

    def write(self, batch: Batch) -> None:
        """Write the rejected lines of a batch that are not kept yet. Raises OSError where they cannot be written."""
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
        """Return when all that was written survives a power cut."""
        with self._errors():
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _note_beyond(self, files: Mapping[FileKey, FileRow]) -> None:
        """Note the dead letters beyond what is committed. After a crash their lines are read again."""
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
        """Open the file. If another process has it locked, replace it by a copy, and open that."""
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
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        file = os.fdopen(os.open(self._path, flags, 0o600), "ab")
        # A new file survives a power cut only if its folder is written as well.
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return file

    def _is_taken_away(self) -> bool:
        """Whether the file was moved, replaced or deleted, as an editor does, and a successor."""
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
        # The check comes last: a successor takes the lease first, and then the file.
        self._check_lease()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Name the file in errors: those of an open file do not."""
        try:
            yield
        except OSError as error:
            error.filename = str(self._path)
            raise


def _refuse_foreign(path: Path) -> None:
    """Raise OSError where another file has the name: its end would be cut, and it would be moved."""
    if path.is_symlink():
        raise FileExistsError(errno.EEXIST, "it is a link, and dead letters would overwrite its target", str(path))
    try:
        with path.open("rb") as file:
            beginning = file.read(_LOOKED_AT_BYTES)
    except FileNotFoundError:
        return
    # People edit these files, and a crash may leave a half line.
    if beginning and not any(line.startswith(_BEGINNING[: len(line)]) for line in beginning.split(b"\n") if line):
        raise FileExistsError(errno.EEXIST, "it is no file of dead letters", str(path))


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
    """The dead letters of a file. People edit these files, so a line that is no dead letter is skipped."""
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
    """Lock a file until it is closed. Returns whether no other process has locked it."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # The file system has no locks, so two processes can have the file open.
        return True
    return True


def _cut_half_line_off(path: Path) -> None:
    """Cut a line that a crash left half written. It is written again, for the rejected line is read again."""
    if path.exists():
        with path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
