"""Finds the lines of a record: it is a line, a chunk of lines, or a JSON object with either in a member. A record with
a header `shipped` is a shipment."""

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from log_processor.kafka.shipment import HEADER

PASSING = (KafkaError._PARTITION_EOF, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)
"""Errors of a consumer that pass by themselves."""
_RECORDS_AT_ONCE = 10_000
_SILENT_SECONDS = 30.0
"""Silence of the broker after which it is not waited for."""

Record = tuple[bytes | None, bytes]
"""The header of a shipment, None where the record is none, and the value."""
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
    # A shipment has a key. To ask for headers takes longer.
    if message.key() is None:
        return None
    headers = cast("list[tuple[str, bytes | None]] | None", message.headers())
    return next((value or b"" for name, value in headers or () if name == HEADER), None)


def read_records(consumer: Consumer, topic: str, partition: int, first: int, end: int) -> Iterator[list[Record]]:
    """A partition's records from the offset `first` until before `end`, in its order. Raises KafkaException."""
    if first >= end:
        return
    consumer.assign([TopicPartition(topic, partition, first)])
    heard = time.monotonic()
    reached = first
    while reached < end:
        records = []
        messages = consumer.consume(_RECORDS_AT_ONCE, 0.1)
        for message in messages:
            error, offset = message.error(), message.offset()
            if error is not None and error.code() not in PASSING:
                raise KafkaException(error)
            if offset is None or offset < reached:
                continue
            if error is None and offset < end:
                records.append((header_of(message), message.value() or b""))
            reached = max(reached, offset + (error is None))
        if records:
            yield records
        if messages:
            heard = time.monotonic()
        elif time.monotonic() > heard + _SILENT_SECONDS:
            reason = f"nothing comes from partition {partition} of topic {topic}"
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, reason))
