"""Files that nobody else may read or write: the keys, and the secrets of sessions."""

import fcntl
import math
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Generic, TypeVar

from service.logs import logger

# A group may read: Kubernetes gives a pod its secrets that way.
_FORBIDDEN = stat.S_IWGRP | stat.S_IRWXO
MAX_BYTES = 16 << 20
"""Bytes of a private file: some 70,000 keys."""
_RETRY_SECONDS = 1.0
"""Until a file that has changed, or could not be read, is read again, in seconds: longer than a tick of any kernel."""

Content = TypeVar("Content")

log = logger(__name__)


class PrivateFile(Generic[Content]):
    """A private file that a service reads, and reads again when it has changed."""

    def __init__(self, path: Path, decode: Callable[[bytes], Content], nothing: Content) -> None:
        """`decode` raises ValueError where the file is damaged. `nothing`: what holds while the file is unusable."""
        self._path = path
        self._decode = decode
        self._nothing = nothing
        self._content = nothing
        self._digest = b""
        """The hash of the bytes that `_content` was decoded from, if the file was usable the last time."""
        self._seen: tuple[int, ...] | None = None
        self._retry_at = math.inf
        """When to read it again though it has not changed (s, monotonic)."""
        self._fault = ""
        """Why it was unusable the last time; empty where it was not."""

    def content(self) -> Content:
        """What the file has now; `nothing` while it is missing, damaged, or open to others."""
        try:
            # Each request comes here, and Path.stat takes twice as long.
            found = os.stat(self._path)  # noqa: PTH116
            # The last one changes with content and mode, and nobody can set it.
            seen: tuple[int, ...] = (found.st_ino, found.st_ctime_ns)
        except OSError:
            seen = ()
        if seen != self._seen:
            self._seen = seen
            self._content = self._read()
            # A further change within the same tick of the kernel's clock has the same ctime.
            self._retry_at = time.monotonic() + _RETRY_SECONDS
        elif time.monotonic() >= self._retry_at:
            self._content = self._read()
        return self._content

    def _read(self) -> Content:
        self._retry_at = math.inf
        digest, self._digest = self._digest, b""
        try:
            content = read_private(self._path)
            found = blake2b(content).digest()
            decoded = self._content if found == digest else self._decode(content)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                # The process may have had too many files open, or a disk of the network was away.
                self._retry_at = time.monotonic() + _RETRY_SECONDS
            before, self._fault = self._fault, _reason(error)
            if self._fault != before:
                log.error("private_file_unusable", path=str(self._path), reason=self._fault)
            return self._nothing
        self._fault, self._digest = "", found
        return decoded


def read_private(path: Path) -> bytes:
    """The content of a private file. OSError if it cannot be read, ValueError if others may read or write it, or if it
    is too large."""
    # Without O_NONBLOCK a pipe would wait for a writer.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a regular file")
        if found.st_mode & _FORBIDDEN:
            raise ValueError(f"others may use it, its mode is {stat.S_IMODE(found.st_mode):04o}: chmod 600")
        content = file.read(MAX_BYTES + 1)
        _refuse_large(content)
        return content


def _refuse_large(content: bytes) -> None:
    # Without a bound a wrong path could take all memory.
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")


def check_private(path: Path, decode: Callable[[bytes], object]) -> None:
    """ValueError, with the reason, where a private file cannot be used."""
    try:
        decode(read_private(path))
    except (OSError, ValueError) as error:
        raise ValueError(_reason(error)) from None


@contextmanager
def changing(path: Path) -> Iterator[list[bytes]]:
    """The lines of a private file, which are written back, all at once, when they have changed.

    The file need not be there. Other processes that change it wait meanwhile. ValueError if it would be too large.
    """
    # Or else a link to it would become a file, and whoever reads the other one would see no change.
    path = Path(os.path.realpath(path))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            before = read_private(path).splitlines()
        except FileNotFoundError:
            before = []
        lines = list(before)
        yield lines
        if lines != before:
            content = b"".join(line + b"\n" for line in lines)
            _refuse_large(content)
            _replace(path, content)
            os.fsync(folder)
    finally:
        os.close(folder)


def _replace(path: Path, content: bytes) -> None:
    """Put a file with this content in the place of another, which is whole until then."""
    made = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        made.unlink()
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with suppress(FileNotFoundError):
            # An administrator who changes it need not be its owner, as whom, or in whose group, services read it.
            before = path.stat()
            os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    made.replace(path)


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
