"""The lease of a writer: a lock on a file beside the store. The system frees it when its process dies."""

import fcntl
import os
from pathlib import Path

from storage.contract import MAIN
from storage.errors import LeaseHeld
from storage.owner import LeaseOwner


class Lease:
    """The lease of one writer in the store at `path`."""

    def __init__(self, path: Path, writer: str) -> None:
        self._path = path
        self._suffix = ".lock" if writer == MAIN else f".{writer}.lock"
        self._file: int | None = None

    def acquire(self) -> None:
        """Acquire the lease, or keep it. Raises LeaseHeld, with the owner's name, where another process has it."""
        if self._file is not None:
            return
        path = self._path.resolve()
        lock = os.open(path.with_name(path.name + self._suffix), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # The owner writes its name a moment after it has the lock.
            name = os.read(lock, 1_000).decode()
            owner = LeaseOwner.decode(name).named() if name else "another process"
            os.close(lock)
            raise LeaseHeld(f"The store {self._path} is written by {owner}: only one can.") from None
        os.truncate(lock, 0)
        os.write(lock, str(LeaseOwner.this_process()).encode())
        self._file = lock

    def release(self) -> None:
        """Let another process acquire the lease."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
