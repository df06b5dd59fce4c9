"""How counts and the ledger's details are written down: as text, the same in both backends."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from request_log.line import Reason
from storage.contract import Gap
from storage.counts import Position


def encode_counter(counter: Counter[int]) -> str:
    """`{200: 12, 404: 1}` -> `200:12,404:1`, in the order of the keys."""
    return ",".join([f"{value}:{count}" for value, count in sorted(counter.items())])


def decode_counter(text: str) -> Counter[int]:
    """The reverse of `encode_counter`."""
    if not text:
        return Counter()
    numbers = list(map(int, text.replace(":", ",").split(",")))
    return Counter(dict(zip(numbers[::2], numbers[1::2], strict=True)))


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
