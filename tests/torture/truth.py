"""What has to be in the store, from the log's files. It shares no code with the project."""

import re
from collections import Counter
from collections.abc import Iterator
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

    generation: int
    offset: int
    reason: str
    length: int
    line: str
    blake2b: str | None


@dataclass
class Truth:
    """What has to be in the store."""

    figures: dict[FiguresKey, oracle.Figures]
    roll_ups: dict[tuple[str, str, str | int], oracle.Figures] = field(default_factory=dict)
    read: int = 0
    stored: int = 0
    dead_letters: list[DeadLetter] = field(default_factory=list)

    @property
    def rejected(self) -> Counter[str]:
        """Reason -> lines."""
        return Counter(letter.reason for letter in self.dead_letters)


def truth_of(files: list[Path]) -> Truth:
    """Of a log: the file of each generation, in order."""
    truth = Truth({})
    valid = []
    for generation, path in enumerate(files):
        for offset, line in lines_of(path.read_bytes()):
            truth.read += 1
            reason = reason_of(line)
            if reason is None:
                truth.stored += 1
                valid.append(line)
            else:
                truth.dead_letters.append(_dead_letter(generation, offset, reason, line))
    truth.figures = oracle.days_of(b"\n".join(valid))
    truth.roll_ups = oracle.roll_ups_of(b"\n".join(valid))
    return truth


def lines_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines of a file, and where they begin; the last one may lack its newline."""
    offset = 0
    *lines, rest = data.split(b"\n")
    for line in lines:
        yield offset, line
        offset += len(line) + 1
    if rest:
        yield offset, rest


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
        moment = datetime.fromisoformat(f"{date} {clock}")
    except ValueError:
        return "time"
    if not re.fullmatch(r"[1-5]\d\d", status, re.ASCII):
        return "status"
    if not re.fullmatch(r"\d+(\.\d+)?", duration, re.ASCII) or float(duration) > 86_400:
        return "duration"
    if len(customer.encode()) > 256:
        return "customer"
    return "too_old" if moment < TOO_OLD else None


def _dead_letter(generation: int, offset: int, reason: str, line: bytes) -> DeadLetter:
    digest = blake2b(line, digest_size=16).hexdigest() if len(line) > LONGEST_LINE else None
    kept = line[:KEPT_OF_LONG_LINE] if digest else line
    return DeadLetter(generation, offset, reason, len(line), kept.decode(errors="surrogateescape"), digest)
