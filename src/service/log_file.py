"""Keeps the output of a process in files with a bound: `COMMAND 2>&1 | python -m service.log_file FILE`.

At MAX_BYTES the file becomes FILE.1, that one FILE.2, and a new one begins. It ends with the process, whatever signals
come before that, and never keeps the process from writing.
"""

import os
import signal
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from service.private import open_own

MAX_BYTES = 10 << 20
"""Size at which a file is rotated, in bytes. Size and number are those of the containers' logs."""
FILES_KEPT = 3
"""Files, the current one among them."""
_READ_BYTES = 64 << 10


def keep(descriptor: int, path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Copy what comes from a descriptor to the file at `path` until it ends. What comes while the file cannot be made
    or written, as on a full disk, is lost; otherwise the process would wait for its disk, or end."""
    file = None
    while block := os.read(descriptor, _READ_BYTES):
        with suppress(OSError):
            file = _open(path) if file is None else file
            room = max_bytes - os.fstat(file).st_size
            if len(block) >= room:
                # Up to the end of a line, if there is one. An earlier rotation may have failed, and left no room.
                end = (block.rfind(b"\n") + 1 or len(block)) if room > 0 else 0
                os.write(file, block[:end])
                block = block[end:]
                full, file = file, None
                os.close(full)
                _rotate(path)
                file = _open(path)
            os.write(file, block)
    if file is not None:
        os.close(file)


def _open(path: Path) -> int:
    return open_own(path, os.O_APPEND)


def _rotate(path: Path) -> None:
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, FILES_KEPT))]
    for newer, older in reversed(list(pairwise(names))):
        with suppress(FileNotFoundError):
            newer.replace(older)


if __name__ == "__main__":
    # Ctrl+C and a stop reach this process, too. What its process says at its end belongs in the file.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    keep(sys.stdin.fileno(), Path(sys.argv[1]))
