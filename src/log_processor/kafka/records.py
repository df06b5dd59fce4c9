"""Finds the lines of a record: it is a line, a chunk of lines, or a JSON object with either in a member."""

from collections.abc import Callable
from typing import Any

import msgspec

Text = Callable[[bytes], bytes | None]
"""The lines of a record's value, without the last newline; None where it has none."""


def plain_text(value: bytes) -> bytes:
    """The lines of a value that is nothing else."""
    return value[:-1] if value.endswith(b"\n") else value


def text_in(member: str) -> Text:
    """A function that takes the lines out of a member of a JSON object."""
    record: Any = msgspec.defstruct("Record", [("text", str)], rename={"text": member})
    decode = msgspec.json.Decoder(record).decode

    def text(value: bytes) -> bytes | None:
        try:
            found: str = decode(value).text
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return plain_text(found.encode())

    return text
