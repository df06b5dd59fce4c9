"""Holes of sparse files: zeros that take no room on the disk, and any number of them no time to pass."""

import errno
import os


def end_of_hole(file: int, offset: int) -> int:
    """The offset at which the hole at `offset` of a file (a descriptor) ends: the size of the file where only a hole
    follows, and the offset itself where no hole is or the file system knows none."""
    try:
        return os.lseek(file, offset, os.SEEK_DATA)
    except OSError as error:
        return max(offset, os.fstat(file).st_size) if error.errno == errno.ENXIO else offset
