"""How counts and the ledger's details are written down: as text, the same in both backends."""

import json
import sys
import zlib
from array import array
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import sub

from request_log.line import Reason
from storage.contract import Gap, LedgerRow, Sighting
from storage.counts import DayCounts, Position

_SIZES = ("H", "I", "Q")
_WIDE = 512


def encode_counter(counter: Counter[int]) -> str:
    """The values in ascending order, then their counts, as unsigned integers of the least size that holds them all.

    Little-endian in base64, behind the letter of the size: `H` 2 bytes, `I` 4, `Q` 8. Numbers in decimal would take 30
    times as long to read, and an answer reads a month of rows. Of many values the differences are kept, compressed
    (zlib), behind the small letter: a quarter of the bytes to write and to ask for, and a database's field has a limit.
    """
    values = sorted(counter)
    counts = map(counter.__getitem__, values)
    is_wide = len(values) > _WIDE
    numbers = [*map(sub, values, [0, *values]), *counts] if is_wide else [*values, *counts]
    size = next(size for size in _SIZES if max(numbers, default=0) < 1 << 8 * array(size).itemsize)
    data = _little_endian(array(size, numbers)).tobytes()
    if is_wide:
        size, data = size.lower(), zlib.compress(data, 1)
    return size + b64encode(data).decode()


def decode_counter(text: str) -> Counter[int]:
    """The reverse of `encode_counter`."""
    size, data, is_wide = unpack_counter(text)
    numbers = _little_endian(array(size, data))
    half = len(numbers) // 2
    values = accumulate(numbers[:half]) if is_wide else numbers[:half]
    return Counter(dict(zip(values, numbers[half:], strict=True)))


def unpack_counter(text: str) -> tuple[str, bytes, bool]:
    """The size's letter, the integers, little-endian, and whether the first half of them are differences."""
    size, data = text[0], b64decode(text[1:])
    is_wide = size.islower()
    return size.upper(), zlib.decompress(data) if is_wide else data, is_wide


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


def encode_counts(counts: DayCounts) -> str:
    """Statuses, latencies and what is applied, in one text."""
    return " ".join((encode_counter(counts.statuses), encode_counter(counts.latencies), encode_applied(counts.applied)))


def decode_counts(text: str) -> DayCounts:
    """The reverse of `encode_counts`."""
    statuses, latencies, applied = text.split(" ", 2)
    return DayCounts(decode_counter(statuses), decode_counter(latencies), decode_applied(applied))


def encode_ledger(row: LedgerRow) -> str:
    """A row of the ledger, as JSON; without the log's name."""
    return json.dumps(
        {
            "path": row.path,
            "first": row.first,
            "position": row.position,
            "fingerprint": row.fingerprint,
            "read": row.read,
            "stored": row.stored,
            "rejected": encode_rejected(row.rejected),
            "gaps": encode_gaps(row.gaps),
            "newest": row.newest,
        }
    )


def decode_ledger(log: str, text: str) -> LedgerRow:
    """The reverse of `encode_ledger`."""
    row = json.loads(text)
    return LedgerRow(
        log=log,
        path=row["path"],
        first=Position(*row["first"]),
        position=Position(*row["position"]),
        fingerprint=row["fingerprint"],
        read=row["read"],
        stored=row["stored"],
        rejected=decode_rejected(row["rejected"]),
        gaps=decode_gaps(row["gaps"]),
        newest=row["newest"],
    )


def encode_sighting(row: Sighting) -> str:
    """A sighting, as JSON; without the log's name."""
    return json.dumps([row.time, row.position, row.size, row.bytes_behind])


def decode_sighting(log: str, text: str) -> Sighting:
    """The reverse of `encode_sighting`."""
    time, position, size, bytes_behind = json.loads(text)
    return Sighting(log, time, Position(*position), size, bytes_behind)
