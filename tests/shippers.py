"""Real shippers of logs to a topic."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import programs
from kafka_broker import Topic
from programs import Program
from until import WAIT_SECONDS, wait_until

COMMAND_SECONDS = 900.0


class Shipper:
    """A shipper that is called `name`. It may be started again, and beside itself."""

    def __init__(self, topic: Topic, folder: Path, name: str, logs: Sequence[Path]) -> None:
        self.name = name
        self.output = folder / f"shipper_{name}.out"
        self.environment = {
            **os.environ,
            "SHIPPER": name,
            "KAFKA_BOOTSTRAP_SERVERS": topic.servers,
            "KAFKA_TOPIC": topic.name,
            "LOG_FILES": ",".join(map(str, logs)),
            "START_POSITION": "beginning",
            "SHIPPER_MAX_WAIT_SECONDS": "0.05",
            "SHIPPER_HEARTBEAT_PATH": str(folder / f"shipper_{name}.heartbeat"),
        }
        self._started: list[Program] = []

    @property
    def process(self) -> Program:
        """That of the shipper that was started last."""
        return self._started[-1]

    def start(self, **environment: str) -> Program:
        """Start the shipper; it need not follow yet when this returns."""
        with self.output.open("ab") as output:
            started = programs.start("log_shipper", env={**self.environment, **environment}, stdout=output)
        self._started.append(started)
        return started

    def verify(self) -> "subprocess.CompletedProcess[str]":
        """Compare the files with the topic."""
        return programs.run("log_shipper", "verify", env=self.environment, timeout=COMMAND_SECONDS)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the shipper that was started last by a signal; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=WAIT_SECONDS)

    def said(self) -> str:
        """What it has printed."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def until_said(self, text: str, times: int = 1) -> None:
        """Wait until it has written a text to its log this often."""
        wait_until(lambda: self.said().count(text) >= times, f"{text}, {times} times", self.said)

    def close(self) -> None:
        """End what runs."""
        for process in self._started:
            process.kill()
            process.wait()


@contextmanager
def shipper(topic: Topic, folder: Path, name: str, logs: Sequence[Path]) -> Iterator[Shipper]:
    """A shipper that was not started, ended after."""
    one = Shipper(topic, folder, name, logs)
    try:
        yield one
    finally:
        one.close()
