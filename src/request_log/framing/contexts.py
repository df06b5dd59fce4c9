"""The contexts of a file, found by reading it."""

from request_log.framing.protocol import Framing, Read

_BLOCK_BYTES = 1 << 20
"""Bytes that are read at once."""


class Contexts:
    """The contexts at offsets at which lines begin. If the offsets ascend, the file is read only once."""

    def __init__(self, framing: Framing, read: Read) -> None:
        self._framing = framing
        self._read = read
        self._offset = 0
        self._context = ""

    def at(self, offset: int) -> str:
        framing = self._framing
        if not framing.has_context:
            return ""
        if framing.has_parts or offset < self._offset:
            return framing.context_at(self._read, offset)
        rest = b""
        place = self._offset
        while place < offset and (block := self._read(min(_BLOCK_BYTES, offset - place), place)):
            place += len(block)
            lines, newline, rest = (rest + block).rpartition(b"\n")
            self._context = framing.after(lines + newline, self._context)
        self._offset = offset
        return self._context

    def note(self, offset: int, context: str) -> None:
        """Remember the context at an offset, which the caller has found."""
        if offset > self._offset:
            self._offset, self._context = offset, context
