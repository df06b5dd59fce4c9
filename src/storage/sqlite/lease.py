"""The lease of a writer: a lock on a file beside the store. The system frees it when its process dies."""

import errno
import fcntl
import os
from pathlib import Path

from storage.errors import LeaseHeld, StorageRefused
from storage.owner import LeaseOwner
from storage.writers import MAIN

# Bytes that are read of a lock file, to see that it is one.
_MOST_BYTES = 1_000


class Lease:
    def __init__(self, path: Path, writer: str) -> None:
        self._path = path
        self._writer = writer
        self._suffix = ".lock" if writer == MAIN else f".{writer}.lock"
        self._file: int | None = None

    def acquire(self) -> None:
        """Acquire the lease, or keep it. Raises LeaseHeld, with the owner's name, where another process has it."""
        if self._file is not None:
            return
        # Path.resolve raises RuntimeError where a link leads to itself.
        path = Path(os.path.realpath(self._path))
        path = path.with_name(path.name + self._suffix)
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise StorageRefused(f"{path} is a link instead of a lock file: remove it.") from None
        try:
            # The owner writes its name a moment after it has the lock.
            owner = _owner(lock)
            if owner is None:
                raise StorageRefused(f"{path} is not a lock file: another file has its name.")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(lock, 0)
            os.pwrite(lock, str(LeaseOwner.this_process()).encode(), 0)
        except BlockingIOError:
            os.close(lock)
            message = f"Writer {self._writer} of the store {self._path} is written by {owner}: only one can."
            raise LeaseHeld(message) from None
        except BaseException:
            os.close(lock)
            raise
        self._file = lock

    def release(self) -> None:
        """Let another process acquire the lease."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _owner(lock: int) -> str | None:
    """The owner that a lock file names, for a message; None where it is no lock file."""
    name = os.pread(lock, _MOST_BYTES, 0)
    if not name:
        return "another process"
    try:
        return LeaseOwner.decode(name.decode()).named()
    except ValueError:
        return None
