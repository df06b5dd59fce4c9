"""Copies of logs leave room on their disk. The store may be there, and a full disk ends the processor.

A compressed log of some megabytes may have a text of many gigabytes.
"""

import errno
import os
from pathlib import Path

# Bytes that a copy leaves free: this many, or on a small disk this part of it.
_FREE_BYTES = 1 << 30
_FREE_PART = 20


def write_copy(file: int, block: bytes, folder: Path) -> None:
    """Write the next bytes of a copy. `file`: its descriptor. `folder`: where it is, for the message.

    OSError ENOSPC if too little of the disk would stay free.
    """
    disk = os.fstatvfs(file)
    kept = min(_FREE_BYTES, disk.f_blocks * disk.f_frsize // _FREE_PART)
    if disk.f_bavail * disk.f_frsize - len(block) < kept:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    view = memoryview(block)
    while view:
        view = view[os.write(file, view) :]
