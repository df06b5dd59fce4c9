"""Finds the lines of a record: it is a line, a chunk of lines, or a JSON object with either in a member. A record with
a header `shipped` is a shipment."""

from collections.abc import Callable
from typing import Any, cast

import msgspec
from confluent_kafka import Message

from log_processor.kafka.shipment import HEADER

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


def header_of(message: Message) -> bytes | None:
    """The header of a shipment; None where the record is none."""
    headers = cast("list[tuple[str, bytes | None]] | None", message.headers())
    return next((value or b"" for name, value in headers or () if name == HEADER), None)
