"""Files of our own are for their owner alone."""

import os
from pathlib import Path

_UMASK = 0o077
# Without O_NONBLOCK a pipe would wait for a reader.
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def keep_files_private() -> None:
    """Have all files and folders that this process makes from now on be for its owner alone. Each service begins so."""
    os.umask(_UMASK)


def open_own(path: Path | str, flags: int = 0, folder: int | None = None) -> int:
    """A descriptor of a file of our own, to write to it; it need not be there. `flags`: more of `os.open`. `folder`: a
    descriptor of the folder that a relative path is in.

    OSError where it is a link, or a pipe that nobody reads: whoever may write into the folder could have any file
    overwritten, or this process wait for ever.
    """
    return os.open(path, _FLAGS | flags, 0o600, dir_fd=folder)


def touch_own(path: Path) -> None:
    """Give a file of our own the present time, and make it where it is not there. OSError where it is a link."""
    descriptor = open_own(path)
    try:
        os.utime(descriptor)
    finally:
        os.close(descriptor)
