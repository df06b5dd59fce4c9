"""Sets of byte ranges."""

from collections.abc import Iterator


class Ranges:
    """Ranges of integers, each from a start up to an end. They do not overlap."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        """In ascending order."""

    def copy(self) -> "Ranges":
        copied = Ranges()
        copied._ranges = list(self._ranges)
        return copied

    def missing(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a range that are in none of these ranges."""
        for begin, stop in self._ranges:
            if begin >= end:
                break
            if start < begin:
                yield start, begin
            start = max(start, stop)
        if start < end:
            yield start, end

    def is_apart(self, start: int, end: int) -> bool:
        """Whether a range overlaps none of these ranges."""
        return list(self.missing(start, end)) == [(start, end)]

    def add(self, start: int, end: int) -> list[tuple[int, int]]:
        """Add a range. Returns the parts of it that are new."""
        new = list(self.missing(start, end))
        joined: list[tuple[int, int]] = []
        for begin, stop in sorted([*self._ranges, *new]):
            if joined and begin == joined[-1][1]:
                joined[-1] = (joined[-1][0], stop)
            else:
                joined.append((begin, stop))
        self._ranges = joined
        return new
