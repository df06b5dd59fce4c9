"""Dead letters: every rejected line, with its position and its reason, in files from which a person can mend a log.

Each line is a JSON object:

    {"log": "api_requests", "generation": 0, "offset": 4711, "reason": "status", "length": 52,
     "time": "2026-11-23T16:15:36Z", "line": "2026-11-23 ..."}

`line` is the text without its newline, and `time` when it was rejected. A byte that is not UTF-8 becomes a lone
surrogate (Python's surrogateescape). Of a line that is too long, only the beginning is kept, and `blake2b`, the hash of
the whole line (16 bytes). `KeptLines` decides what else is left out. Where the log is a partition of a topic, `record`
is the record's offset there, and `line_of_record` the number of the line in it, from 0.

Only one process writes: it holds a lock on the file. A suspended predecessor may still have the file open, and write
when it is resumed. So its successor, which has the lease, replaces the file by a copy, and the predecessor writes to
the replaced one.
"""

import errno
import fcntl
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from log_processor.parsing.batch import Batch
from log_processor.parsing.chunk import DIGEST_BYTES, KEPT_BYTES, Part
from log_processor.storing.kept_lines import KeptLines
from request_log.line import MAX_LINE_BYTES, SECONDS_A_DAY, Reason
from request_log.requests import Rejected
from service.private import open_own
from storage.keys import FileKey
from storage.logs import FileRow, Position
from storage.topic_files import TopicFile, is_partition

ALL = KeptLines()
FILES_KEPT = 5
"""Files, the current one among them."""

# Each dead letter begins so.
_BEGINNING = b'{"log": "'
# Bytes of a file that are read to see whether it has dead letters.
_LOOKED_AT_BYTES = 64 << 10


class _Entry(NamedTuple):
    values: dict[str, Any]
    log: str
    position: Position

    @property
    def reason(self) -> object:
        return self.values.get("reason")

    def mark(self, kept: KeptLines) -> bytes:
        try:
            if "blake2b" in self.values:
                return bytes.fromhex(str(self.values["blake2b"]))
            return kept.mark(str(self.values.get("line", "")).encode(errors="surrogateescape"))
        except ValueError:
            return b""


def kept_positions(path: Path, reason: Reason) -> Iterator[tuple[str, Position]]:
    """The log and the position of the lines that were rejected for a reason, in the file at `path` and its rotated
    ones."""
    for name in _names(path):
        for entry in _entries(name):
            if entry.reason == reason.value:
                yield entry.log, entry.position


class DeadLetters:
    """Writes the file at `path`. At `max_bytes` it is rotated to `path.1`, that one to `path.2`, and so on."""

    def __init__(
        self,
        path: Path,
        max_bytes: int,
        files: Mapping[FileKey, FileRow] | None,
        check_lease: Callable[[], None] | None,
        kept: KeptLines = ALL,
        oldest_day: Callable[[], int] = lambda: 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`files`: through which offset each file is committed; None: `note_beyond` tells later. `check_lease`: exits
        where this process has lost the lease, see Storage; None: no lease goes with the file, which is refused while
        another process writes it. `kept`: what is kept of a line. `oldest_day`: the first day whose dead letters are
        kept (days since 1970-01-01). `now`: the Unix time, s. Raises OSError where the file cannot be written."""
        self._path = path
        self._max_bytes = max_bytes
        self.kept = kept
        self._oldest_day = oldest_day
        self._now = now
        self._check_lease = check_lease
        path.parent.mkdir(parents=True, exist_ok=True)
        for name in _names(path):
            _refuse_foreign(name)
        self._file = self._take_over()
        _cut_half_line_off(path)
        self._known: set[bytes] = set()
        """Hashes of the dead letters of lines that will be read again."""
        self.too_new: dict[tuple[str, int], dict[int, bytes]] = {}
        """The marks of the lines among them that were too new. They are rejected again, whatever the time is now."""
        if files is not None:
            self.note_beyond(files)

    def write(self, batch: Batch) -> None:
        """Write the rejected lines of a batch that are not kept yet. Raises OSError where they cannot be written."""
        entries = [
            {**_entry(part.log, part.start.generation, line, self.kept), **_of_record(part, line)}
            for part in batch.parts
            for line in part.rejected
        ]
        fresh = [_dated(entry, _time(self._now())) for entry in entries if _digest(entry) not in self._known]
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

    def remove_expired(self) -> None:
        """Remove the dead letters of days that are not kept any more. Raises OSError where that fails."""
        with self._errors():
            for name in _names(self._path):
                self._remove_before(name, self._oldest_day() * SECONDS_A_DAY)

    def close(self) -> None:
        self._file.close()

    def note_beyond(self, files: Mapping[FileKey, FileRow], logs: Collection[str] | None = None) -> None:
        """Note the dead letters of these logs, or of all, beyond what is committed. After a crash their lines are read
        again."""
        too_new = []
        for name in _names(self._path):
            for entry in _entries(name):
                row = files.get(FileKey(entry.log, entry.position.generation))
                is_beyond = row is None or entry.position.offset >= row.offset
                if is_beyond and (logs is None or entry.log in logs):
                    self._known.add(_digest(entry.values))
                    if entry.reason == Reason.TOO_NEW.value:
                        too_new.append(entry)
        found: dict[tuple[str, int], dict[int, bytes]] = {}
        for entry in sorted(too_new, key=attrgetter("position")):
            found.setdefault((entry.log, entry.position.generation), {})[entry.position.offset] = entry.mark(self.kept)
        self.too_new.update(found)

    def _remove_before(self, path: Path, second: int) -> None:
        """Replace a file by one without the dead letters before a Unix time. A dead letter without a time is as old as
        its file."""
        try:
            of_file = _time(path.stat().st_mtime)
        except FileNotFoundError:
            return
        earliest = _time(second)
        with path.open("rb") as file:
            if all(values is None or str(values.get("time", "")) >= earliest for values in map(_values, file)):
                return
            copy, left_file = self._new_copy_of(path)
            with left_file as left:
                file.seek(0)
                for line in file:
                    values = _values(line)
                    dated = line if values is None or "time" in values else _dated(values, of_file)
                    if values is None or str(values.get("time", of_file)) >= earliest:
                        left.write(dated)
                left.flush()
                os.fsync(left.fileno())
        copy.replace(path)
        if path == self._path:
            self._reopen()

    @staticmethod
    def _new_copy_of(path: Path) -> tuple[Path, BinaryIO]:
        """The path of a copy, and the copy, which is empty."""
        copy = path.with_name(f".{path.name}.copy")
        # One that a crash left.
        copy.unlink(missing_ok=True)
        return copy, os.fdopen(open_own(copy, os.O_EXCL), "wb")

    def _take_over(self) -> BinaryIO:
        """Open the file. If another process has it locked, replace it by a copy, and open that."""
        file = self._open()
        while not _lock(file):
            if self._check_lease is None:
                file.close()
                raise FileExistsError(
                    errno.EBUSY, "another process writes it, and each processor has its own", str(self._path)
                )
            copy, copied_file = self._new_copy_of(self._path)
            with copied_file as copied, self._path.open("rb") as whole:
                shutil.copyfileobj(whole, copied)
                copied.flush()
                os.fsync(copied.fileno())
            copy.replace(self._path)
            file.close()
            file = self._open()
        return file

    def _open(self) -> BinaryIO:
        file = os.fdopen(open_own(self._path, os.O_APPEND), "ab")
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
        if self._check_lease is not None:
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
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise FileExistsError(errno.EEXIST, "it is a link, and dead letters would overwrite its target", str(path))
    # To open a pipe would wait for a writer.
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, "it is no regular file", str(path))
    with path.open("rb") as file:
        beginning = file.read(_LOOKED_AT_BYTES)
    # People edit these files, and a crash may leave a half line.
    if beginning and not any(line.startswith(_BEGINNING[: len(line)]) for line in beginning.split(b"\n") if line):
        raise FileExistsError(errno.EEXIST, "it is no file of dead letters", str(path))


def _names(path: Path) -> list[Path]:
    """The files, the current one first."""
    return [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, FILES_KEPT))]


def _entry(log: str, generation: int, line: Rejected, kept: KeptLines) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "log": log,
        "generation": generation,
        "offset": line.offset,
        "reason": line.reason.value,
        "length": len(line.line) if line.length is None else line.length,
    }
    text = kept.text(line.line)
    if entry["length"] > MAX_LINE_BYTES:
        entry["blake2b"] = line.digest or blake2b(line.line, digest_size=DIGEST_BYTES).hexdigest()
        text = text[:KEPT_BYTES] if text is not None else None
    elif kept.keep != "all":
        entry["blake2b"] = kept.mark(line.line).hex()
    if text is not None:
        entry["line"] = text.decode(errors="surrogateescape")
    return entry


def _of_record(part: Part, line: Rejected) -> dict[str, Any]:
    """Which line of which record it is, where the log is a partition."""
    if not is_partition(part.path):
        return {}
    file = TopicFile.decode(part.identity)
    return {"record": file.record(line.offset), "line_of_record": file.line(line.offset)}


def _dated(entry: dict[str, Any], at: str) -> bytes:
    """The text of a dead letter that has a time. The line comes last."""
    line = {"line": entry["line"]} if "line" in entry else {}
    before = {name: value for name, value in entry.items() if name != "line"}
    return json.dumps({**before, "time": at, **line}).encode() + b"\n"


def _time(second: float) -> str:
    return f"{datetime.fromtimestamp(int(second), timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _digest(entry: Mapping[str, Any]) -> bytes:
    """A hash of a dead letter, whenever it was written."""
    undated = json.dumps({name: value for name, value in entry.items() if name != "time"}).encode()
    return blake2b(undated, digest_size=DIGEST_BYTES).digest()


def _entries(path: Path) -> Iterator[_Entry]:
    """The dead letters of a file. People edit these files, so a line that is no dead letter is skipped."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if (values := _values(line)) is not None:
                yield _Entry(values, values["log"], Position(int(values["generation"]), int(values["offset"])))


def _values(line: bytes) -> dict[str, Any] | None:
    """The members of a dead letter; None where the line is none."""
    try:
        entry = json.loads(line)
        is_letter = isinstance(entry["log"], str) and int(entry["generation"]) >= 0 and int(entry["offset"]) >= 0
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
    return entry if is_letter else None


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
    """Cut a line that a crash left half written. It is written again when the rejected line is read again."""
    if path.exists():
        with path.open("rb+") as file:
            text = file.read()
            # A file that is whole keeps its time, which is that of letters without one.
            if (end := text.rfind(b"\n") + 1) < len(text):
                file.truncate(end)
