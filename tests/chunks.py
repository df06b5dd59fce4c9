"""Chunks of a test's own."""

from log_processor.parsing.chunk import Chunk, Overlong, Part
from storage.logs import Position

Lines = bytes | Overlong
"""Whole lines, or one that is too long."""


def part_of(log: str, start: Position, lines: Lines) -> Part:
    """A part of a log with these lines, at `start`."""
    overlong = lines if isinstance(lines, Overlong) else None
    length = len(lines) if isinstance(lines, bytes) else 0
    read = overlong.length + 1 if overlong is not None else length
    end = Position(start.generation, start.offset + read)
    return Part(log, f"/logs/{log}", start, end, "identity", length, (), overlong)


def chunk_of(lines: Lines, start: int = 0, log: str = "log", generation: int = 0) -> Chunk:
    """Lines of one log, at the offset `start`."""
    part = part_of(log, Position(generation, start), lines)
    return Chunk((part,), lines if isinstance(lines, bytes) else b"")
