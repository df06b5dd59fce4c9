"""Sends records, and tells when the broker has them.

The client sends each record once and in its order, and tries for as long as the broker is away. An error that does not
pass by itself ends the program: the next start reads from the topic how far it came.
"""

import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from log_processor.kafka.shipment import HEADER, Shipment, encode
from log_processor.process.shutdown import exit_now
from service.logs import logger

_BETWEEN_ERRORS_SECONDS = 10.0
# Seconds between two log lines about errors of the client.
OnStored = Callable[[int], None]
"""Is called with the offset of a record when the broker has it."""

log = logger(__name__)


class RecordProducer:
    def __init__(self, topic: str, settings: dict[str, Any]) -> None:
        """`settings`: of librdkafka. Raises KafkaException where it refuses one."""
        self.bytes = 0
        """Bytes of records that the broker may not have yet."""
        self._topic = topic
        self._next_error = 0.0
        self._producer = Producer({**settings, "error_cb": self._on_error})

    def ship(self, partition: int, shipment: Shipment, value: bytes, on_stored: OnStored) -> None:
        key = shipment.name if shipment.log else shipment.shipper
        self._send(self._topic, partition, key.encode(), value, {HEADER: encode(shipment)}, on_stored)

    def note(self, topic: str, record: tuple[bytes, bytes | None], on_stored: OnStored = lambda _: None) -> None:
        key, value = record
        self._send(topic, 0, key, value, {}, on_stored)

    def poll(self, seconds: float = 0.0) -> None:
        """Learn which records the broker has, and wait for news for so long."""
        self._producer.poll(seconds)

    def flush(self, seconds: float) -> bool:
        """Wait until the broker has all records, for so long; whether it has."""
        return bool(self._producer.flush(seconds) == 0)

    def _send(
        self,
        topic: str,
        partition: int,
        key: bytes,
        value: bytes | None,
        headers: dict[str, bytes],
        on_stored: OnStored,
    ) -> None:
        size = len(value or b"") + sum(map(len, headers.values()))

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                log.error("broker_refused", topic=topic, reason=str(error))
                exit_now(1)
            self.bytes -= size
            offset = message.offset()
            assert offset is not None, "a record that the broker has has an offset"
            on_stored(offset)

        self.bytes += size
        while True:
            try:
                self._producer.produce(
                    topic, value, key, partition, on_delivery=delivered, headers=dict[str, str | bytes | None](headers)
                )
                return
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                log.error("broker_refused", topic=topic, reason=str(error))
                exit_now(1)

    def _on_error(self, error: KafkaError) -> None:
        if time.monotonic() >= self._next_error:
            self._next_error = time.monotonic() + _BETWEEN_ERRORS_SECONDS
            log.warning("broker_unavailable", reason=str(error))
        if error.fatal():
            log.error("broker_refused", reason=str(error))
            exit_now(1)
