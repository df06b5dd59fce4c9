"""A wall clock that is wrong, for real processes: wrong_clock.c, preloaded."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")
DAY = 86_400
YEAR = 365 * DAY


class WrongClock:
    """That of processes which have its `environment`; right at first. Skips the test where none can be had."""

    def __init__(self, folder: Path) -> None:
        if sys.platform != "linux" or shutil.which("gcc") is None:
            pytest.skip("a wrong clock needs Linux and gcc")
        library = folder / "wrong_clock.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-nostdlib", "-o", str(library), str(SOURCE)], check=True)
        self._file = folder / "wrong_clock"
        self._file.write_bytes(_long(0))
        self.environment = {"LD_PRELOAD": str(library), "WRONG_CLOCK": str(self._file)}

    def set(self, seconds: int) -> None:
        """So many seconds ahead of the right time, from here on."""
        with self._file.open("r+b") as file:
            file.write(_long(seconds))


def _long(value: int) -> bytes:
    return struct.pack("l", value)
