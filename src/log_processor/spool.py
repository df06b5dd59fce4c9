"""The spool: old logs that wait to be read, each a copy that nobody changes.

    <folder>/<name>/log     the bytes of the log, not compressed
    <folder>/<name>/origin  JSON: the path of the original file, and the context of the copied part
    <folder>/format         the format in which the processor reads the spool

A log is added by a rename, so it is there as a whole or not at all. It is removed when all of it is stored.
"""

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from storage.logs import BACKFILL

_NAME_BYTES = 8
"""Bytes of the hash that names a log."""


class SpooledLog(NamedTuple):
    """A log in the spool."""

    name: str
    """The name of the log in the store."""
    path: Path
    origin: str
    """The path of the original file. The log is a copy of the file, or of a part of it."""
    size: int
    context: str
    """The context of the copied part in the original file, see request_log.framing.protocol.Framing."""


class Spool:
    """The folder of the spool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def adding(self) -> Iterator[None]:
        """Hold the lock for adding. What is new in a file depends on what is in the spool."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".adding").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def say_format(self, described: str) -> None:
        """Note the format in which the processor reads the spool, see LogFormat.described."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "format").write_text(described)

    def format(self) -> str:
        """The format in which the latest processor reads the spool; "" if none has run yet."""
        with suppress(FileNotFoundError):
            return (self.folder / "format").read_text()
        return ""

    def waiting(self) -> list[SpooledLog]:
        """The logs in the spool."""
        found = map(_read, sorted(self.folder.glob(f"{BACKFILL}*")))
        return [waiting for waiting in found if waiting is not None]

    def is_waiting(self, name: str) -> bool:
        """Whether a log of this name is in the spool."""
        return (self.folder / name).exists()

    def add(self, origin: Path, blocks: Iterable[bytes], context: str = "") -> str:
        """Add a copy of a log. Returns its name, a hash of its content. `context`: see SpooledLog."""
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".", ignore_cleanup_errors=True) as copy:
            digest = blake2b(digest_size=_NAME_BYTES)
            with Path(copy, "log").open("wb") as log:
                for block in blocks:
                    log.write(block)
                    digest.update(block)
            digest.update(context.encode())
            Path(copy, "origin").write_text(json.dumps({"path": str(origin), "context": context}))
            name = f"{BACKFILL}{digest.hexdigest()}"
            if not self.is_waiting(name):
                # The processor may run as another user.
                Path(copy).chmod(0o755)
                Path(copy).rename(self.folder / name)
        return name

    def remove(self, name: str) -> None:
        """Remove a log that is stored."""
        shutil.rmtree(self.folder / name)


def _read(entry: Path) -> SpooledLog | None:
    """The log of an entry; None if it has just been removed."""
    try:
        origin = json.loads((entry / "origin").read_text())
        size = (entry / "log").stat().st_size
    except FileNotFoundError:
        return None
    return SpooledLog(entry.name, entry / "log", origin["path"], size, origin.get("context", ""))
