"""How the ledger's details are written down: as text, the same in both backends."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from request_log.line import Reason
from rollups.counts import Position
from storage.contract import Gap, LedgerRow, Sighting, Stretch


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


def encode_stretch(stretch: Stretch | None) -> str:
    """`[[generation, offset], oldest, newest, [[generation, offset], ...]]`; nothing for None."""
    return json.dumps([stretch.start, stretch.oldest, stretch.newest, stretch.ends]) if stretch is not None else ""


def decode_stretch(text: str) -> Stretch | None:
    """The reverse of `encode_stretch`."""
    if not text:
        return None
    start, oldest, newest, ends = json.loads(text)
    return Stretch(Position(*start), oldest, newest, tuple(Position(*end) for end in ends))


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
            "pending": encode_stretch(row.pending),
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
        # Those of before there were breakdowns have none.
        pending=decode_stretch(row.get("pending", "")),
    )


def encode_sighting(row: Sighting) -> str:
    """A sighting, as JSON; without the log's name."""
    return json.dumps([row.time, row.position, row.size, row.bytes_behind])


def decode_sighting(log: str, text: str) -> Sighting:
    """The reverse of `encode_sighting`."""
    time, position, size, bytes_behind = json.loads(text)
    return Sighting(log, time, Position(*position), size, bytes_behind)
