"""How a log is rotated: what its rotated files are called, and what is done to them."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

FIRST = datetime(2026, 1, 1)
DATES_A_DAY = 12

# Each gives the name of the rotated file with a number, from 0 on. Dates and times pass with the numbers.
NAMINGS: dict[str, Callable[[Path, int], str]] = {
    # logrotate: the newest is .1, and all others move on.
    "numbered": lambda path, number: f"{path.name}.{number + 1}",
    # log4j2 without a maximum.
    "growing": lambda path, number: f"{path.stem}-{number + 1}{path.suffix}",
    # log4j2 with a maximum: when the oldest is deleted, all others move down.
    "sliding": lambda path, number: f"{path.stem}.{number + 1}{path.suffix}",
    # logrotate's dateext.
    "dated": lambda path, number: f"{path.name}-{FIRST + timedelta(days=number):%Y%m%d}",
    "logback": lambda path, number: (
        f"{path.stem}.{FIRST + timedelta(days=number // DATES_A_DAY):%Y-%m-%d}.{number % DATES_A_DAY}{path.suffix}"
    ),
    "lumberjack": lambda path, number: (
        f"{path.stem}-{FIRST + timedelta(hours=number):%Y-%m-%dT%H-%M-%S}.{number:03}{path.suffix}"
    ),
    "pm2": lambda path, number: f"{path.stem}__{FIRST + timedelta(minutes=number):%Y-%m-%d_%H-%M-%S}{path.suffix}",
}
COPIES = ("copytruncate", "holes")
COMPRESSION = ("gzip", "delayed")


@dataclass(frozen=True)
class Scheme:
    """How one log is rotated."""

    naming: str
    copies: bool = False
    """It is copied and truncated, not renamed."""
    has_holes: bool = False
    """And its writer does not append: it goes on where it was."""
    is_compressed: bool = False
    is_delayed: bool = False
    """At the next rotation, not at once."""
    has_folder: bool = False
    """Rotated files have a folder of their own."""

    def __str__(self) -> str:
        words = [self.naming]
        words += [COPIES[self.has_holes]] * self.copies
        words += [COMPRESSION[self.is_delayed]] * self.is_compressed
        words += ["olddir"] * self.has_folder
        return "+".join(words)

    @property
    def may_be_late(self) -> bool:
        """Whether a writer may go on with a rotated file: nothing that it writes is lost."""
        return not self.copies and not (self.is_compressed and not self.is_delayed)

    def path(self, log: Path, number: int) -> Path:
        """The path of the rotated file with this number."""
        folder = log.parent / f"old_{log.name}" if self.has_folder else log.parent
        return folder / NAMINGS[self.naming](log, number)


def scheme_of(text: str) -> Scheme:
    """The reverse of `str()`. ValueError where it is none."""
    naming, *words = text.split("+")
    allowed = {*COPIES, *COMPRESSION, "olddir"}
    if naming not in NAMINGS or not allowed.issuperset(words):
        raise ValueError(f"{text!r} is no scheme: one of {', '.join(NAMINGS)}, and of {', '.join(sorted(allowed))}")
    return Scheme(
        naming,
        copies=not {*COPIES}.isdisjoint(words),
        has_holes="holes" in words,
        is_compressed=not {*COMPRESSION}.isdisjoint(words),
        is_delayed="delayed" in words,
        has_folder="olddir" in words,
    )


def drawn(seed: int) -> list[Scheme]:
    """The schemes of one to four logs."""
    pick = random.Random(seed)
    return [_drawn(pick) for _ in range(pick.randint(1, 4))]


def _drawn(pick: random.Random) -> Scheme:
    words = [pick.choice(list(NAMINGS))]
    words += pick.choices([[], ["copytruncate"], ["holes"]], [4, 1, 1])[0]
    words += pick.choices([[], ["gzip"], ["delayed"]], [2, 1, 1])[0]
    words += pick.choices([[], ["olddir"]], [3, 1])[0]
    return scheme_of("+".join(words))
