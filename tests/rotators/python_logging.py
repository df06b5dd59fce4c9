"""Writes the lines of its input to a log that a handler of the standard library rotates. An empty line asks whether all
before are written."""

import gzip
import logging
import shutil
import sys
from logging.handlers import BaseRotatingHandler, RotatingFileHandler, TimedRotatingFileHandler
from pathlib import Path


def main() -> None:
    path, kind = sys.argv[1:]
    handler: BaseRotatingHandler
    if kind == "timed":
        handler = TimedRotatingFileHandler(path, when="S")
    else:
        handler = RotatingFileHandler(path, maxBytes=20_000, backupCount=99)
    if kind == "gzip":
        handler.namer = lambda name: f"{name}.gz"
        handler.rotator = compress
    log = logging.Logger("access")
    log.addHandler(handler)
    for line in sys.stdin:
        if line == "\n":
            print("written", flush=True)
        else:
            log.info("%s", line.removesuffix("\n"))


def compress(source: str, target: str) -> None:
    """As the library's documentation has it."""
    with Path(source).open("rb") as file, gzip.open(target, "wb") as packed:
        shutil.copyfileobj(file, packed)
    Path(source).unlink()


main()
