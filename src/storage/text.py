"""How counts and the ledger's details are written down: as text, the same in both backends."""

import json
import sys
from array import array
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping, Sequence

from request_log.line import Reason
from storage.contract import Gap
from storage.counts import Position

_SIZES = ("H", "I", "Q")


def encode_counter(counter: Counter[int]) -> str:
    """The values in ascending order, then their counts, as unsigned integers of the least size that holds them all.

    Little-endian in base64, behind the letter of the size: `H` 2 bytes, `I` 4, `Q` 8. Numbers in decimal would take 30
    times as long to read, and an answer reads a month of rows.
    """
    values = sorted(counter)
    numbers = [*values, *map(counter.__getitem__, values)]
    size = next(size for size in _SIZES if max(numbers, default=0) < 1 << 8 * array(size).itemsize)
    return size + b64encode(_little_endian(array(size, numbers)).tobytes()).decode()


def decode_counter(text: str) -> Counter[int]:
    """The reverse of `encode_counter`."""
    numbers = array(text[0], b64decode(text[1:]))
    half = len(_little_endian(numbers)) // 2
    return Counter(dict(zip(numbers[:half], numbers[half:], strict=True)))


def _little_endian(numbers: "array[int]") -> "array[int]":
    """Swaps the bytes in place where the machine has the other order."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def encode_applied(applied: Mapping[str, Position]) -> str:
    """Log -> position, as JSON."""
    return json.dumps(applied)


def decode_applied(text: str) -> dict[str, Position]:
    """The reverse of `encode_applied`."""
    return {log: Position(*position) for log, position in json.loads(text).items()}


def encode_rejected(rejected: Mapping[Reason, int]) -> str:
    """Reason -> lines, as JSON."""
    return json.dumps(rejected)


def decode_rejected(text: str) -> Counter[Reason]:
    """The reverse of `encode_rejected`."""
    return Counter({Reason(reason): lines for reason, lines in json.loads(text).items()})


def encode_gaps(gaps: Sequence[Gap]) -> str:
    """`[[generation, offset, reason], ...]`."""
    return json.dumps([(*gap.position, gap.reason) for gap in gaps])


def decode_gaps(text: str) -> tuple[Gap, ...]:
    """The reverse of `encode_gaps`."""
    return tuple(Gap(Position(generation, offset), reason) for generation, offset, reason in json.loads(text))
