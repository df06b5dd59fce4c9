"""What has to be in the store, from the lines that were written. It shares no code with the project."""

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import oracle

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# The run's lines are of the last days, or far older than what is kept.
TOO_OLD = datetime(2000, 1, 1)
LONGEST_LINE = 65_536
KEPT_OF_LONG_LINE = 1_024


FiguresKey = tuple[str | None, str]
"""Whose figures, or those of all together, and of which day."""


class DeadLetter(NamedTuple):
    """A rejected line as it has to be kept."""

    reason: str
    length: int
    line: str
    blake2b: str | None


@dataclass
class Truth:
    """What has to be in the store."""

    figures: dict[FiguresKey, oracle.Figures]
    rollups: dict[tuple[str, str, str | int], oracle.Figures] = field(default_factory=dict)
    read: int = 0
    stored: int = 0
    dead_letters: list[DeadLetter] = field(default_factory=list)

    @property
    def rejected(self) -> Counter[str]:
        """Reason -> lines."""
        return Counter(letter.reason for letter in self.dead_letters)


def truth_of(files: list[Path]) -> Truth:
    """Of all lines that were written: to each file what is in one of these."""
    truth = Truth({})
    valid = []
    for path in files:
        for line in lines_of(path.read_bytes()):
            truth.read += 1
            reason = reason_of(line)
            if reason is None:
                truth.stored += 1
                valid.append(line)
            else:
                truth.dead_letters.append(_dead_letter(reason, line))
    truth.figures = oracle.days_of(b"\n".join(valid))
    truth.rollups = oracle.rollups_of(b"\n".join(valid))
    return truth


def lines_of(data: bytes) -> list[bytes]:
    """The lines of a file; the last one may lack its newline."""
    lines = data.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def reason_of(line: bytes) -> str | None:
    """Why a line is no request; None for one that is."""
    if len(line) > LONGEST_LINE:
        return "too_long"
    try:
        text = line.decode().removesuffix("\r")
    except UnicodeDecodeError:
        return "not_utf8"
    if not text:
        return "empty"
    if CONTROL.search(text):
        return "control_character"
    fields = text.split(" ")
    if len(fields) != 6 or "" in fields:
        return "fields"
    date, clock, customer, _, status, duration = fields
    try:
        timestamp = datetime.fromisoformat(f"{date} {clock}")
    except ValueError:
        return "time"
    if not re.fullmatch(r"[1-5]\d\d", status, re.ASCII):
        return "status"
    if not re.fullmatch(r"\d+(\.\d+)?", duration, re.ASCII) or float(duration) > 86_400:
        return "duration"
    if len(customer.encode()) > 256:
        return "customer"
    return "too_old" if timestamp < TOO_OLD else None


def _dead_letter(reason: str, line: bytes) -> DeadLetter:
    digest = blake2b(line, digest_size=16).hexdigest() if len(line) > LONGEST_LINE else None
    kept = line[:KEPT_OF_LONG_LINE] if digest else line
    return DeadLetter(reason, len(line), kept.decode(errors="surrogateescape"), digest)
