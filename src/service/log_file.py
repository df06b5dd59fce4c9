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
    """Copy what comes from a descriptor to the file at `path` until it ends."""
    file = _open(path)
    while block := os.read(descriptor, _READ_BYTES):
        # On a full disk a line is lost; otherwise the process would wait for its disk, or end.
        with suppress(OSError):
            if os.fstat(file).st_size + len(block) >= max_bytes:
                # Up to the end of a line, if there is one.
                end = block.rfind(b"\n") + 1 or len(block)
                os.write(file, block[:end])
                block = block[end:]
                os.close(file)
                _rotate(path)
                file = _open(path)
            os.write(file, block)
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
