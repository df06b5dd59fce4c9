"""Real processors of a topic, which share a store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import oracle
from kafka_broker import Topic
from pipeline import Pipeline
from storage.ledger import decode_ledger, decode_rollup_ledger, is_rolled_up
from storage.logs import FileRow, LedgerRow
from stores import Store
from until import wait_until


class TopicPipeline(Pipeline):
    """A processor of a topic: its partitions are writers of their own."""

    def ledger(self) -> list[LedgerRow]:
        """The ledgers of all writers."""
        return [row for _, row in self.ask(lambda storage: storage.logs())]

    def files(self) -> list[FileRow]:
        """How far the files of all writers are read."""
        return [row for _, row in self.ask(lambda storage: storage.files())]

    def is_rolled_up(self) -> bool:
        """Whether the roll-ups of all writers have all that their ledgers have."""
        states = self.ask(lambda storage: storage.states())
        return all(is_rolled_up(decode_ledger(one.counts), decode_rollup_ledger(one.rollups)) for one in states)


class Processors:
    """Processors of one topic and one store, each with files of its own."""

    def __init__(self, topic: Topic, store: Store, folder: Path) -> None:
        self._topic = topic
        self._store = store
        self._folder = folder
        self._started: list[Pipeline] = []
        settings = folder / "kafka.properties"
        # A test cannot wait long until the group takes a processor for dead.
        settings.write_text(
            "session.timeout.ms=1500\nheartbeat.interval.ms=300\ntopic.metadata.refresh.interval.ms=500\n"
        )
        self._environment = {
            **store.environment,
            "SOURCE": "kafka",
            "KAFKA_BOOTSTRAP_SERVERS": topic.servers,
            "KAFKA_TOPIC": topic.name,
            "KAFKA_GROUP": topic.name,
            "KAFKA_SETTINGS_FILE": str(settings),
        }

    def start(self, **environment: str) -> Pipeline:
        """Start another processor."""
        folder = self._folder / f"processor_{len(self._started)}"
        folder.mkdir()
        self._started.append(TopicPipeline(folder, {**self._environment, **environment}, self._store.open))
        self._started[-1].start()
        return self._started[-1]

    def any(self) -> Pipeline:
        """The processor that was started first, for questions to the store."""
        return self._started[0]

    def until_counted(self, lines: bytes, rejected: int = 0) -> None:
        """Wait until exactly these lines are counted, and so many others rejected."""
        expected = oracle.days_of(lines)
        some = self._started[0]

        def is_counted() -> bool:
            rows = some.ledger()
            return sum(row.read for row in rows) >= lines.count(b"\n") + rejected and some.stored() == expected

        wait_until(is_counted, f"{lines.count(10)} lines are counted", self.said)
        rows = some.ledger()
        assert sum(row.stored for row in rows) == lines.count(b"\n")
        assert sum(sum(row.rejected.values()) for row in rows) == rejected
        assert sum(row.read for row in rows) == lines.count(b"\n") + rejected

    def agrees(self, verdict: str) -> None:
        """Assert that `verify` finds no difference, and says so."""
        ended = self._started[0].run("verify")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert verdict in ended.stdout

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until the condition holds."""
        wait_until(condition, what, self.said)

    def said(self) -> str:
        """What all have printed, and where they are."""
        rows = self._started[0].ledger()
        return "\n".join([*(one.said()[-6000:] for one in self._started), *map(str, rows)])

    def times_said(self, text: str) -> int:
        """How often they have printed a text."""
        return sum(one.said().count(text) for one in self._started)

    def close(self) -> None:
        """End them."""
        for one in self._started:
            one.close()


@contextmanager
def processors(topic: Topic, store: Store, folder: Path) -> Iterator[Processors]:
    """Processors, ended after."""
    some = Processors(topic, store, folder)
    try:
        yield some
    finally:
        some.close()
