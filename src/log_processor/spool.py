"""Old logs that wait for the processor, each a copy of its own that nobody changes.

    <folder>/<name>/log     its bytes, not compressed
    <folder>/<name>/origin  JSON: the file that it is a copy of, and where what is new in it begins

An entry comes by a rename, so it is there as a whole or not at all, and goes when all of it is stored.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from storage.contract import BACKFILL

_NAME_BYTES = 8


class Waiting(NamedTuple):
    """A log that waits."""

    name: str
    """Of the log, in the store."""
    path: Path
    origin: str
    """The file that it is a copy of."""
    begin: int
    """Where to begin in it, in bytes."""
    size: int


class Spool:
    """The folder in which they wait."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def waiting(self) -> list[Waiting]:
        """All that are there."""
        found = map(_read, sorted(self._folder.glob(f"{BACKFILL}*")))
        return [waiting for waiting in found if waiting is not None]

    def has_one_like(self, head: bytes) -> bool:
        """Whether a log waits that begins like this, as far as both go."""
        for waiting in self.waiting():
            try:
                with waiting.path.open("rb") as log:
                    other = log.read(len(head))
            except FileNotFoundError:
                # It has just been removed.
                return True
            if head.startswith(other):
                return True
        return False

    def is_waiting(self, name: str) -> bool:
        """Whether a log of this name is there."""
        return (self._folder / name).exists()

    def add(self, origin: Path, begin: int, blocks: Iterable[bytes], name: str | None) -> str:
        """Copy a log; its name. `name`: None for one that is new, which is named by what is in it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".", ignore_cleanup_errors=True) as copy:
            digest = blake2b(digest_size=_NAME_BYTES)
            with Path(copy, "log").open("wb") as log:
                for block in blocks:
                    log.write(block)
                    digest.update(block)
            Path(copy, "origin").write_text(json.dumps({"path": str(origin), "begin": begin}))
            name = name or f"{BACKFILL}{digest.hexdigest()}"
            if not self.is_waiting(name):
                # Others may read it, who run the processor under another name.
                Path(copy).chmod(0o755)
                Path(copy).rename(self._folder / name)
        return name

    def remove(self, name: str) -> None:
        """Remove a log that is stored."""
        shutil.rmtree(self._folder / name)


def _read(entry: Path) -> Waiting | None:
    """None where it has just been removed."""
    try:
        origin = json.loads((entry / "origin").read_text())
        size = (entry / "log").stat().st_size
    except FileNotFoundError:
        return None
    return Waiting(entry.name, entry / "log", origin["path"], origin["begin"], size)
