"""A real Kafka broker for tests: from Maven's jars, where `java` and `mvn` are on PATH."""

import fcntl
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from influxd import free_port
from maven import classpath

START_SECONDS = 90
POM = Path(__file__).with_suffix(".xml")
CLUSTER = "5L6g3nShT-eMCtK--X86sw"
SETTINGS = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
auto.create.topics.enable=false
log.dirs={data}
"""
# A test needs little of a virtual machine, and its start is most of what it costs.
JAVA = [
    *("java", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]


_STARTED: list["Broker"] = []
"""Shared brokers that this process has started: one may outlive it."""


class Broker:
    """A broker, which may be killed and started again."""

    def __init__(self, folder: Path, classpath: str) -> None:
        self._folder = folder
        self._java = [*JAVA, "-cp", classpath]
        self._settings = folder / "server.properties"
        port = free_port()
        self.servers = f"127.0.0.1:{port}"
        self._settings.write_text(SETTINGS.format(port=port, controller=free_port(), data=folder / "data"))
        self._process: subprocess.Popen[bytes] | None = None
        self._run("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self._settings), "--standalone")

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self._folder / "broker.log").open("ab") as log:
            command = [*self._java, "kafka.Kafka", str(self._settings)]
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process.poll() is None, (self._folder / "broker.log").read_text()[-3000:]
            try:
                admin.list_topics(timeout=1)
                return
            except KafkaException:
                assert time.monotonic() < deadline, "the broker does not answer"

    def kill(self) -> None:
        """Send SIGKILL, and wait until it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self, seconds: float) -> None:
        """Send SIGSTOP, and go on after so many seconds."""
        os.kill(self.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self.pid, signal.SIGCONT)

    def _run(self, *command: str) -> None:
        subprocess.run([*self._java, *command], check=True, capture_output=True, timeout=START_SECONDS)


class Topic:
    """A topic of a broker."""

    def __init__(self, servers: str, partitions: int) -> None:
        self.name = f"requests-{uuid.uuid4().hex[:8]}"
        self.servers = servers
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        self.create(partitions)

    def create(self, partitions: int) -> None:
        """Make the topic."""
        new = NewTopic(self.name, partitions, 1)
        self._admin.create_topics([new])[self.name].result(30)
        # A producer goes on with the numbers of its records, which a topic that was made anew does not know.
        self._producer = self._new_producer()

    def _new_producer(self) -> Producer:
        # A record that is sent again, because the broker was killed, is one record.
        settings = {"bootstrap.servers": self.servers, "linger.ms": 2, "enable.idempotence": True, "log_level": 0}
        return Producer(settings)

    def delete(self) -> None:
        """Delete the topic."""
        self._admin.delete_topics([self.name])[self.name].result(30)

    def grow(self, partitions: int) -> None:
        """Have so many partitions, if there are fewer."""
        if len(self._admin.list_topics(self.name).topics[self.name].partitions) >= partitions:
            return
        self._admin.create_partitions([NewPartitions(self.name, partitions)])[self.name].result(30)
        # The producer would know of them minutes later.
        self._producer = self._new_producer()

    def delete_records(self, partition: int, before: int) -> None:
        """Have a partition begin with the record at an offset."""
        at = TopicPartition(self.name, partition, before)
        self._admin.delete_records([at])[at].result(30)

    def send(self, values: Iterable[bytes | None], partition: int = -1) -> None:
        """Send records and wait until the broker has them. Without a partition, the producer chooses."""
        failed: list[object] = []

        def delivered(error: object, _message: object) -> None:
            if error is not None:
                failed.append(error)

        for value in values:
            self._producer.poll(0)
            while True:
                try:
                    self._producer.produce(self.name, value, partition=partition, on_delivery=delivered)
                    break
                except BufferError:
                    self._producer.poll(0.1)
        assert self._producer.flush(60) == 0
        assert not failed

    def send_inflated(self, size: int, partition: int) -> None:
        """Send a record of so many newlines, which is small as it travels."""
        settings = {
            "bootstrap.servers": self.servers,
            "compression.type": "zstd",
            "message.max.bytes": 1_000_000_000,
            "log_level": 0,
        }
        producer = Producer(settings)
        producer.produce(self.name, b"\n" * size, partition=partition)
        assert producer.flush(60) == 0

    def send_in_transactions(self, transactions: Iterable[tuple[Iterable[bytes], bool]], partition: int) -> None:
        """Send records in a transaction each, which is committed or aborted."""
        producer = Producer({"bootstrap.servers": self.servers, "transactional.id": uuid.uuid4().hex, "log_level": 0})
        producer.init_transactions(60)
        for values, commits in transactions:
            producer.begin_transaction()
            for value in values:
                producer.produce(self.name, value, partition=partition)
            producer.flush(60)
            if commits:
                producer.commit_transaction(60)
            else:
                producer.abort_transaction(60)


@contextmanager
def broker_of(folder: Path, jars: str) -> Iterator[Broker]:
    """A broker of one's own, with its data in `folder`."""
    broker = Broker(folder, jars)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@contextmanager
def shared_broker(folder: Path, cache: pytest.Cache) -> Iterator[str]:
    """The address of a broker that all processes of a test session share: `folder` is theirs. The first one starts it,
    and the last one ends it."""
    notes = folder / "kafka.json"
    with _locked(folder):
        noted = json.loads(notes.read_text()) if notes.exists() else None
        if noted is None or not noted["users"]:
            data = folder / f"kafka-{uuid.uuid4().hex[:8]}"
            data.mkdir()
            broker = Broker(data, classpath(cache, POM))
            broker.start()
            _STARTED.append(broker)
            noted = {"servers": broker.servers, "pid": broker.pid, "users": 0}
        noted["users"] += 1
        notes.write_text(json.dumps(noted))
    try:
        yield noted["servers"]
    finally:
        with _locked(folder):
            noted = json.loads(notes.read_text())
            noted["users"] -= 1
            notes.write_text(json.dumps(noted))
            if not noted["users"]:
                with suppress(ProcessLookupError):
                    os.kill(noted["pid"], signal.SIGKILL)
                for broker in _STARTED:
                    broker.kill()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
