"""Settings of librdkafka: those that the operator gives, and those that are decided here."""

from pathlib import Path
from typing import Any

from service.settings import read_whole

DECIDED = {
    "bootstrap.servers": "KAFKA_BOOTSTRAP_SERVERS has it",
    "metadata.broker.list": "KAFKA_BOOTSTRAP_SERVERS has it",
    "group.id": "KAFKA_GROUP has it",
    "group.protocol": "the group's protocol is `classic`",
    "group.remote.assignor": "the group's protocol is `classic`",
    "partition.assignment.strategy": "it is `cooperative-sticky`",
    "enable.auto.commit": "the ledger says what is counted",
    "auto.commit.interval.ms": "the ledger says what is counted",
    "enable.auto.offset.store": "the ledger says what is counted",
    "auto.offset.reset": "the ledger says where reading begins",
    "isolation.level": "it is `read_committed`: records of aborted transactions do not count",
    "enable.partition.eof": "the end of a partition tells how far it is read",
    "acks": "a shipper waits for all copies",
    "request.required.acks": "a shipper waits for all copies",
    "enable.idempotence": "a shipper sends each record once",
    "transactional.id": "a session's number tells which shipper of a log is the latest",
    "message.timeout.ms": "a shipper waits for the broker as long as it takes",
    "delivery.timeout.ms": "a shipper waits for the broker as long as it takes",
    "message.send.max.retries": "a shipper waits for the broker as long as it takes",
    "retries": "a shipper waits for the broker as long as it takes",
}
"""Settings that are refused, and why."""
_OF_EVERY_CLIENT = (
    "security.",
    "sasl.",
    "ssl.",
    "enable.ssl.",
    "enable.sasl.",
    "https.",
    "client.",
    "socket.",
    "broker.",
)
"""What the names of settings begin with that are not of consumers alone."""


def read_settings(path: Path) -> dict[str, str]:
    """The settings in a file, each a line `name=value`. Raises ValueError where a line is none, a setting is not to be
    given, or the file cannot be read."""
    found = {}
    for number, line in enumerate(read_whole(path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise ValueError(f"line {number} is not name=value")
        if name in DECIDED:
            raise ValueError(f"{name} cannot be given: {DECIDED[name]}")
        found[name] = value
    return found


class Client:
    """The settings of our clients of one broker."""

    def __init__(self, servers: str, path: Path | None) -> None:
        """`servers`: as in KAFKA_BOOTSTRAP_SERVERS. `path`: of the file with the operator's settings."""
        self._servers = servers
        self._given = read_settings(path) if path is not None else {}

    def consumer(self, group: str) -> dict[str, Any]:
        """Of the group's consumer."""
        return {
            # New partitions are found within this time.
            "topic.metadata.refresh.interval.ms": 10_000,
            # Bound on what is fetched ahead, KiB.
            "queued.max.messages.kbytes": 16_384,
            **self.reader(),
            **self._given,
            "group.id": group,
            "partition.assignment.strategy": "cooperative-sticky",
        }

    def reader(self) -> dict[str, Any]:
        """Of a consumer that reads given partitions from given offsets."""
        return {
            **self.administrator(),
            # librdkafka asks for a name even where the group is never joined.
            "group.id": "request_statistics_reader",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # An offset that the broker does not have is an event, and not silently another offset.
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }

    def producer(self) -> dict[str, Any]:
        """Of a shipper's producer."""
        return {
            "compression.type": "lz4",
            # What is on its way is bounded by the shipper. Milliseconds for which records wait for others.
            "linger.ms": 5,
            # Bytes of a record before compression: one says the states of all files of a log.
            "message.max.bytes": 8 << 20,
            **self.administrator(),
            **self._given,
            "acks": "all",
            "enable.idempotence": True,
            "message.timeout.ms": 0,
        }

    def administrator(self) -> dict[str, Any]:
        """Of an administrator: what the settings of every client have."""
        return {
            # It writes to standard error in a form of its own. What matters comes to the callback of errors, too.
            "log_level": self._given.get("log_level", 0),
            **{name: value for name, value in self._given.items() if name.startswith(_OF_EVERY_CLIENT)},
            "bootstrap.servers": self._servers,
        }
