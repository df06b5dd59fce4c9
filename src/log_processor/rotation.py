"""The names of rotated files."""

import re
from pathlib import Path

# `log.1`, `log-20261123`, `log.2026-11-23_08`.
_NUMBER_OR_DATE = r"(\.[0-9]{1,4}|[.-][0-9]{4}-?[0-9]{2}-?[0-9]{2}[0-9T_.:-]*)"


def rotated(path: Path) -> list[Path]:
    """The rotated files of the log at `path`, oldest first: `log.2`, `log.1`, or `log-20261123`, `log-20261124`.

    Compressed ones are not among them: their bytes are not the log's.
    """
    name = re.compile(re.escape(path.name) + r"[.-]([0-9][0-9T_.:-]*)")

    def age(found: Path) -> tuple[int, str]:
        number = found.name[len(path.name) + 1 :]
        # A short number counts rotations, and 1 is the latest; a longer one is a date.
        return (-int(number), "") if number.isdigit() and len(number) <= 4 else (0, number)

    return sorted((found for found in path.parent.iterdir() if name.fullmatch(found.name)), key=age)


def is_rotated_name(path: Path) -> bool:
    """Whether a file is by its name a rotated one, compressed or not."""
    return re.search(rf"{_NUMBER_OR_DATE}(\.(gz|bz2|xz|zst))?$", path.name) is not None
