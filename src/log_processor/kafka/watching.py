"""Asks the broker for the id of the topic, and for the ends of its partitions."""

import time
from collections.abc import Collection
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import IsolationLevel, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

_ANSWER_SECONDS = 10.0


class End(NamedTuple):
    """The end of a partition as the broker said."""

    topic_id: str
    time: float
    """Unix time (s) before the broker was asked."""
    record: int
    """The offset after the last record that may be read: those of open transactions lie after it."""


class Broker:
    """An administrator's connection, which changes nothing. All methods raise KafkaException."""

    def __init__(self, settings: dict[str, Any], topic: str) -> None:
        self._client = AdminClient(settings)
        self._topic = topic

    def ends(self, partitions: Collection[int]) -> dict[int, End]:
        now = time.time()
        topic_id = self.topic_id()
        latest = self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return {number: End(topic_id, now, record) for number, record in latest.items()}

    def first_record(self, partition: int) -> int:
        """The offset of the first record that a partition still has, or would have."""
        return self._offsets([partition], OffsetSpec.earliest())[partition]  # type: ignore[no-untyped-call]

    def topic_id(self) -> str:
        asked = self._client.describe_topics(TopicCollection([self._topic]), request_timeout=_ANSWER_SECONDS)
        return str(_answer(asked[self._topic]).topic_id)

    def _offsets(self, partitions: Collection[int], which: OffsetSpec) -> dict[int, int]:
        asked = self._client.list_offsets(
            {TopicPartition(self._topic, number): which for number in partitions},
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=_ANSWER_SECONDS,
        )
        return {partition.partition: _answer(answer).offset for partition, answer in asked.items()}


def _answer(asked: "Future[Any]") -> Any:
    return asked.result(timeout=2 * _ANSWER_SECONDS)
