"""Old logs that wait for the processor, each a copy of its own that nobody changes.

    <folder>/<name>/log     its bytes, not compressed
    <folder>/<name>/origin  JSON: the file that it is a copy of, or of a part, and what that says before the part
    <folder>/format         the format in which they are read

An entry comes by a rename, so it is there as a whole or not at all, and goes when all of it is stored.
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


class SpooledLog(NamedTuple):
    """A log that waits."""

    name: str
    """Of the log, in the store."""
    path: Path
    origin: str
    """The file that it is a copy of, or of a part."""
    size: int
    context: str
    """What the file says before the part of which it is a copy, see request_log.framing.protocol.Framing."""


class Spool:
    """The folder in which they wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def adding(self) -> Iterator[None]:
        """While one adds, others wait: what is new depends on what waits."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".adding").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def say_format(self, described: str) -> None:
        """Say in which format the processor reads what waits, see LogFormat.described."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "format").write_text(described)

    def format(self) -> str:
        """The format in which the latest processor reads; "" before the first one."""
        with suppress(FileNotFoundError):
            return (self.folder / "format").read_text()
        return ""

    def waiting(self) -> list[SpooledLog]:
        """All that are there."""
        found = map(_read, sorted(self.folder.glob(f"{BACKFILL}*")))
        return [waiting for waiting in found if waiting is not None]

    def is_waiting(self, name: str) -> bool:
        """Whether a log of this name is there."""
        return (self.folder / name).exists()

    def add(self, origin: Path, blocks: Iterable[bytes], context: str = "") -> str:
        """Copy a log; its name, which says what is in it. `context`: see SpooledLog."""
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
                # Others may read it, who run the processor under another name.
                Path(copy).chmod(0o755)
                Path(copy).rename(self.folder / name)
        return name

    def remove(self, name: str) -> None:
        """Remove a log that is stored."""
        shutil.rmtree(self.folder / name)


def _read(entry: Path) -> SpooledLog | None:
    """None where it has just been removed."""
    try:
        origin = json.loads((entry / "origin").read_text())
        size = (entry / "log").stat().st_size
    except FileNotFoundError:
        return None
    return SpooledLog(entry.name, entry / "log", origin["path"], size, origin.get("context", ""))
