"""Log files that stand still, compressed by gzip or not."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"\x1f\x8b"


class NoLog(Exception):
    """A file that cannot be read as a log. Its text is a sentence for people."""


@contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """The log's bytes. NoLog where they cannot be had, also while they are read."""
    try:
        with path.open("rb") as file:
            is_gzip = file.peek(len(_MAGIC)).startswith(_MAGIC)
            if not is_gzip:
                yield file
                return
            with gzip.open(file) as text:
                yield text  # type: ignore[misc]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise NoLog(f"{path} is no whole gzip file: {error}.") from error
    except OSError as error:
        raise NoLog(f"{path} cannot be read: {error.strerror}.") from error
