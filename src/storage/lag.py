"""How far the store is behind a log."""

from storage.contract import LedgerRow, Sighting


def bytes_behind(row: LedgerRow, seen: Sighting) -> int:
    """Bytes that the log had when it was seen and that are not stored now."""
    stored, read = row.position, seen.position
    if stored.generation == read.generation:
        return max(0, read.offset + seen.bytes_behind - stored.offset)
    if stored.generation < read.generation:
        return read.offset + seen.bytes_behind
    # The store has gone on to the next file. Where more than one had to come then, their sizes are not known apart.
    return 0 if read.offset + seen.bytes_behind == seen.size else seen.bytes_behind
