"""Tortures two processors of a topic: they are killed, paused and ended at random, and so is the broker, while records
of all shapes are sent and partitions added. Then the store is compared with what was sent."""

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import oracle
from kafka_broker import Broker, Topic
from lines import valid_lines
from pipeline import Pipeline
from stores import Store
from topic_processors import Processors, processors

PARTITIONS = 3
MOST_PARTITIONS = 8
MEMBER = "message"
LONGEST_AT_WORK_SECONDS = 4.0
PAUSED_SECONDS = 6.0
"""Longer than the group waits for a processor."""
BETWEEN_RECORDS_SECONDS = 0.05
SETTLED_SECONDS = 180.0


@dataclass
class TopicReport:
    """What was done, and what came of it."""

    done: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    rejected: int = 0
    differences: list[str] = field(default_factory=list)
    """Empty: the store equals what was sent."""

    def text(self) -> str:
        """For people."""
        done = ", ".join(f"{what} {times}" for what, times in sorted(self.done.items()))
        rows = [f"lines:      {self.lines:,}, rejected {self.rejected:,}", f"done:       {done}"]
        return "\n".join([*rows, *(self.differences or ["The store equals the topic."])])


class _Sender:
    """Sends records of all shapes, and keeps what was sent."""

    def __init__(self, topic: Topic, rate: int, seed: int) -> None:
        self.lines: list[bytes] = []
        self.rejected = 0
        self._topic = topic
        self._rate = rate
        self._seed = seed
        self._pick = random.Random(seed)

    def send_until(self, stop: threading.Event) -> None:
        """Send until `stop` is set."""
        while not stop.wait(BETWEEN_RECORDS_SECONDS):
            self._seed += 1
            lines = valid_lines(max(1, int(self._rate * BETWEEN_RECORDS_SECONDS)), seed=self._seed)
            self.lines.append(lines)
            self._topic.send(self._records(lines))

    def _records(self, lines: bytes) -> list[bytes | None]:
        left = lines.splitlines()
        records: list[bytes | None] = []
        while left:
            count = self._pick.choice([1, 1, 1, 7, 50, 1_500])
            some, left = left[:count], left[count:]
            records.append(json.dumps({"host": "a", MEMBER: b"\n".join(some).decode()}).encode())
            if not self._pick.randrange(50):
                self.rejected += 1
                records.append(self._pick.choice([b"", b"no json", b'{"message": 1}', None]))
        return records


def drawn_deeds(kills: int, seed: int) -> list[str]:
    """So many things to do, at random."""
    return random.Random(seed).choices(
        ["SIGKILL", "SIGSTOP", "SIGTERM", "broker", "partition"], [10, 3, 4, 2, 2], k=kills
    )


def torture_topic(
    broker: Broker,
    store: Store,
    folder: Path,
    deeds: Sequence[str],
    rate: int,
    seed: int,
    progress: Callable[[str], None],
) -> TopicReport:
    """Do these things to the processors and the broker while `rate` lines a second are sent; then compare.

    `deeds`: a signal to one of the processors, `broker` to kill and start it, or `partition` to add one.
    """
    report, pick, stop = TopicReport(), random.Random(seed), threading.Event()
    topic = Topic(broker.servers, PARTITIONS)
    sender = _Sender(topic, rate, seed * 1_000)
    with processors(topic, store, folder) as running, ThreadPoolExecutor(1) as executor:
        sending = executor.submit(sender.send_until, stop)
        at_work = [_started(running), _started(running)]
        try:
            partitions = PARTITIONS
            for deed in deeds:
                time.sleep(pick.uniform(0.5, LONGEST_AT_WORK_SECONDS))
                if deed == "broker":
                    broker.kill()
                    broker.start()
                elif deed == "partition":
                    partitions = min(partitions + 1, MOST_PARTITIONS)
                    topic.grow(partitions)
                else:
                    _replace(running, at_work, deed, pick, report)
                report.done[deed] += 1
                progress(f"{report.done.total()} of {len(deeds)}")
        finally:
            stop.set()
            sending.result()
        _compare(running, sender, report)
    return report


def _started(running: Processors) -> Pipeline:
    return running.start(KAFKA_MEMBER=MEMBER, STREAM_MAX_WAIT_TIME_IN_SECONDS="0.05")


def _replace(running: Processors, at_work: list[Pipeline], how: str, pick: random.Random, report: TopicReport) -> None:
    """End one of the processors, or pause it until the other one has its partitions, and have two at work again."""
    place = pick.randrange(len(at_work))
    ended = at_work[place]
    if how == "SIGSTOP":
        ended.send(signal.SIGSTOP)
        time.sleep(PAUSED_SECONDS)
        ended.send(signal.SIGCONT)
        if ended.status() is None:
            return
    elif ended.status() is None:
        status = ended.end(signal.Signals[how])
        if how == "SIGTERM" and status not in (0, -signal.SIGTERM):
            report.differences.append(f"ended with status {status}:\n{ended.said()[-2_000:]}")
    at_work[place] = _started(running)


def _compare(running: Processors, sender: _Sender, report: TopicReport) -> None:
    lines = b"".join(sender.lines)
    report.lines, report.rejected = lines.count(b"\n"), sender.rejected
    # One may have found its lease taken over, and ended.
    last = _started(running)
    expected, deadline = oracle.days_of(lines), time.monotonic() + SETTLED_SECONDS
    while True:
        rows = last.ledger()
        read = sum(row.read for row in rows)
        stored = last.stored()
        if (stored == expected and read == report.lines + report.rejected) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if read != report.lines + report.rejected:
        report.differences.append(f"lines read: {read} in the store, {report.lines + report.rejected} in the topic")
    for row in rows:
        if row.gaps or row.read != row.stored + sum(row.rejected.values()) + row.skipped:
            report.differences.append(f"a gap, or no balance: {row}")
    for key in sorted(stored.keys() | expected.keys(), key=str):
        if stored.get(key) != expected.get(key):
            report.differences.append(f"{key}: {stored.get(key)} in the store, {expected.get(key)} in the topic")
    report.differences = report.differences[:20]
