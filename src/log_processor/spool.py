"""The spool: old logs that wait to be read, each a copy that nobody changes.

    <folder>/<name>/log     the bytes of the log, not compressed
    <folder>/<name>/origin  JSON: the path of the original file, and the context of the copied part
    <folder>/format         the format in which the processor reads the spool

A log is added by a rename, so it is there as a whole or not at all. It is removed when all of it is stored. A damaged
entry is set aside as `<folder>/damaged-<name>-<time>`, so that nobody waits for it.
"""

import errno
import fcntl
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple

from log_processor.disk import write_copy
from service.logs import logger
from service.private import open_own
from service.settings import read_whole
from storage.logs import BACKFILL

log = logger(__name__)

_NAME_BYTES = 8
"""Bytes of the hash that names a log."""
_NAME = re.compile(f"{BACKFILL}[0-9a-f]{{{2 * _NAME_BYTES}}}")
"""Names of entries. A copy that somebody made of an entry has another name, and would count a second time."""
_MOST_OF_ORIGIN = 1 << 20
"""Characters of an origin that are read. None is so long."""
_MOST_OF_NAME = 50
"""Characters of an entry's name that the name has under which it is set aside: a name has 255 bytes at most."""
_BEGINNING = "LOG_FORMAT="
"""With it the description of a format begins."""


class SpooledLog(NamedTuple):
    name: str
    """The name of the log in the store."""
    path: Path
    origin: str
    """The path of the original file. The log is a copy of the file, or of a part of it."""
    size: int
    context: str
    """The context of the copied part in the original file, see request_log.framing.protocol.Framing."""


class Spool:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Hold the lock for adding. What is new in a file depends on what is in the spool."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(open_own(self.folder / ".adding"), "wb") as lock:
            self._give_to_processor(lock.fileno())
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def say_format(self, described: str) -> None:
        """Note the format in which the processor reads the spool, see LogFormat.described. Raises OSError where another
        file has the name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if (before := self.format()) and not before.startswith(_BEGINNING):
            raise FileExistsError(errno.EEXIST, "no processor has written it", str(self.folder / "format"))
        with os.fdopen(open_own(self.folder / "format", os.O_TRUNC), "w") as file:
            file.write(described)

    def format(self) -> str:
        """The format in which the latest processor reads the spool; "" if none has run yet. Raises OSError where that
        is no file of text."""
        path = self.folder / "format"
        try:
            return read_whole(path) if path.exists() else ""
        except ValueError as error:
            raise FileExistsError(errno.EEXIST, str(error), str(path)) from error

    def waiting(self) -> list[SpooledLog]:
        found = map(self._read, sorted(self.folder.glob(f"{BACKFILL}*")))
        return [waiting for waiting in found if waiting is not None]

    def _read(self, entry: Path) -> SpooledLog | None:
        """The log of an entry; None if it has just been removed, or is damaged."""
        try:
            # What a link leads to is not the processor's to read, or to remove.
            found = [(entry / name).lstat() for name in ("origin", "log")]
            size = found[1].st_size
            # To open a pipe would wait for a writer.
            are_files = all(stat.S_ISREG(one.st_mode) for one in found) and os.access(entry / "log", os.R_OK)
            text = ""
            if are_files and _NAME.fullmatch(entry.name) and not os.path.islink(entry):  # noqa: PTH114
                with (entry / "origin").open(errors="replace") as file:
                    text = file.read(_MOST_OF_ORIGIN)
        except FileNotFoundError:
            return None
        except (NotADirectoryError, PermissionError):
            text, size = "", 0
        try:
            origin = json.loads(text)
            path, context = origin["path"], origin.get("context", "")
            if not isinstance(path, str) or not isinstance(context, str) or "\0" in path:
                raise ValueError("no path, or no context")
            os.fsencode(path)
            return SpooledLog(entry.name, entry / "log", path, size, context)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            aside = entry.with_name(f"damaged-{entry.name[:_MOST_OF_NAME]}-{time.time_ns()}")
            # Another process may have set it aside just now.
            with suppress(FileNotFoundError):
                entry.rename(aside)
            log.error(
                "spool_entry_damaged",
                path=str(aside),
                reason="it may not be read, or is not what backfill writes, so it is set aside with its lines",
            )
            return None

    def is_waiting(self, name: str) -> bool:
        return (self.folder / name).exists()

    def add(self, origin: Path, blocks: Iterable[bytes], context: str = "") -> str:
        """Add a copy of a log. Returns its name, a hash of its content. `context`: see SpooledLog."""
        with (
            tempfile.TemporaryDirectory(dir=self.folder, prefix=".", ignore_cleanup_errors=True) as copy,
            _folder(Path(copy)) as entry,
        ):
            digest = blake2b(digest_size=_NAME_BYTES)
            with self._made(entry, "log") as file:
                for block in blocks:
                    write_copy(file.fileno(), block, self.folder)
                    digest.update(block)
            digest.update(context.encode())
            with self._made(entry, "origin") as file:
                file.write(json.dumps({"path": str(origin), "context": context}).encode())
            name = f"{BACKFILL}{digest.hexdigest()}"
            if not self.is_waiting(name):
                self._give_to_processor(entry)
                Path(copy).rename(self.folder / name)
        return name

    def _made(self, entry: int, name: str) -> BinaryIO:
        """A new file of an entry. By descriptors: in the place of what root makes, the owner of the spool could put
        links."""
        file = open_own(name, os.O_EXCL, entry)
        self._give_to_processor(file)
        return os.fdopen(file, "wb")

    def _give_to_processor(self, descriptor: int) -> None:
        """Let the owner of the spool own a file or folder: root may add a log for a processor that runs as another
        user."""
        owner = self.folder.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)

    def remove(self, name: str) -> None:
        """Remove a log that is stored."""
        shutil.rmtree(self.folder / name)


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    """A descriptor of a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
