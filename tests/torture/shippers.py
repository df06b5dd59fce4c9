"""Tortures the whole way from files to answers: two shippers, a broker, three processors and a store.

Each is killed, paused, ended or taken away at random, while logs are rotated and partitions are added. A guest joins
the consumer group and leaves it all the time, so partitions move every few seconds. Then the store, the answers of an
api, and `verify` of processors and shippers are compared with what was written.
"""

import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

import oracle
from faulty_proxy import FaultyProxy
from kafka_broker import Broker, Topic
from log_processor.following.identity import Identity
from pipeline import Pipeline
from shippers import Shipper, shipper
from storage.contract import Storage
from storage.errors import StorageUnavailable
from stores import Store, ask
from topic_processors import Processors, processors
from torture.asked_api import asked_api
from torture.log import SELDOM_CUSTOMERS, Stored, TortureLog
from torture.scheme import Scheme
from torture.truth import FiguresKey, Truth, truth_of

PARTITIONS = 6
"""More than there are processors, so that the guest is given one, too."""
MOST_PARTITIONS = 12
PROCESSORS = 3
LONGEST_AT_WORK_SECONDS = 4.0
PAUSED_SECONDS = 16.0
"""Longest pause of a processor. The group waits 1.5 s for it, and other processors ten for its leases."""
AWAY_SECONDS = 3.0
LONG_AWAY_SECONDS = 14.0
"""Longest time for which the store is away, now and then: longer than a lease lasts."""
BROKER_PAUSED_SECONDS = 8.0
GUEST_SECONDS = 3.0
"""Longest stay of the guest in the group, and longest time until its next one."""
BETWEEN_LOOKS_SECONDS = 0.3
TAKEN_OVER_SECONDS = 90.0
SETTLED_SECONDS = 240.0
SHOWN_DIFFERENCES = 20
NAMES = ["api_requests.log", "orders.access.log", "shop-8080.log", "requests"]
DEEDS = {
    "processor SIGKILL": 10,
    "processor SIGSTOP": 3,
    "processor SIGTERM": 4,
    "shipper SIGKILL": 10,
    "shipper SIGSTOP": 3,
    "shipper SIGTERM": 3,
    "broker SIGKILL": 2,
    "broker SIGSTOP": 1,
    "partition": 2,
    "store": 3,
}
"""What is done -> how often, in proportion."""
KILLS = ("SIGKILL", "SIGSTOP")


@dataclass
class WayReport:
    """What was done, and what came of it."""

    done: Counter[str] = field(default_factory=Counter)
    rotations: Counter[str] = field(default_factory=Counter)
    visits: int = 0
    """How often the guest was a member of the group. Each is two rebalances."""
    moves: int = 0
    """How often a processor has taken up a partition."""
    lines: int = 0
    requests: int = 0
    rejected: int = 0
    gaps: int = 0
    lost: int = 0
    doubled: int = 0
    differences: list[str] = field(default_factory=list)
    """Empty: the store and the answers equal the files."""

    def text(self) -> str:
        """For people."""
        kills = sum(times for deed, times in self.done.items() if deed.endswith(KILLS))
        rows = [
            f"lines:      {self.lines:,}, requests {self.requests:,}, rejected {self.rejected:,}",
            f"done:       {kills} kills: {_listed(self.done)}",
            f"rebalances: {2 * self.visits:,} by the guest; {self.moves:,} times a processor took up a partition",
            f"rotations:  {_listed(self.rotations)}",
            f"gaps:       {self.gaps}, where what was read went away",
            f"lost:       {self.lost}, doubled {self.doubled}",
        ]
        shown = self.differences[:SHOWN_DIFFERENCES]
        return "\n".join([*rows, *(shown or ["The store, the api and verify agree with the files."])])


def drawn_deeds_of_way(kills: int, seed: int) -> list[str]:
    """Things to do, at random. So many of them are a SIGKILL or a SIGSTOP."""
    pick = random.Random(seed)
    deeds: list[str] = []
    while sum(deed.endswith(KILLS) for deed in deeds) < kills:
        deeds += pick.choices(list(DEEDS), list(DEEDS.values()))
    return deeds


def schemes_without_folders(schemes: Sequence[Scheme]) -> list[Scheme]:
    """These schemes, with rotated files beside their logs: a folder is known only once a file has moved there."""
    return [replace(scheme, has_folder=False) for scheme in schemes]


class _Way:
    """All that is at work."""

    def __init__(
        self, broker: Broker, topic: Topic, running: Processors, proxy: FaultyProxy | None, shippers: list[Shipper]
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._running = running
        self._proxy = proxy
        self._shippers = shippers
        self._partitions = PARTITIONS
        self._processors = [self._started() for _ in range(PROCESSORS)]
        self._sessions: dict[str, int] = {}
        """Shipper -> how many sessions its name had begun when it was started last."""
        for one in shippers:
            self._start_shipper(one)

    def do(self, deed: str, pick: random.Random, report: WayReport) -> None:
        """Do one of the DEEDS."""
        what, _, how = deed.partition(" ")
        if what == "processor":
            self._end_processor(how, pick, report)
        elif what == "shipper":
            self._end_shipper(how, pick, report)
        elif how == "SIGKILL":
            self._broker.kill()
            time.sleep(pick.uniform(0, AWAY_SECONDS))
            self._broker.start()
        elif how == "SIGSTOP":
            self._broker.pause(pick.uniform(0, BROKER_PAUSED_SECONDS))
        elif what == "partition":
            self._partitions = min(self._partitions + 1, MOST_PARTITIONS)
            self._topic.grow(self._partitions)
        elif self._proxy is not None:
            self._proxy.go_away()
            time.sleep(pick.uniform(0, pick.choice([AWAY_SECONDS, AWAY_SECONDS, LONG_AWAY_SECONDS])))
            self._proxy.come_back()
        report.done[deed] += 1

    def revive(self) -> None:
        """Start again what has ended by itself: a processor whose lease was taken over, or that waited too long."""
        for place, one in enumerate(self._processors):
            if one.status() is not None:
                self._processors[place] = self._started()
        for shipping in self._shippers:
            if shipping.process.poll() is not None:
                self._start_shipper(shipping)

    def _started(self) -> Pipeline:
        return self._running.start(STREAM_MAX_WAIT_TIME_IN_SECONDS="0.05")

    def _start_shipper(self, one: Shipper) -> None:
        self._sessions[one.name] = _sessions(one)
        one.start()

    def _until_begun(self, one: Shipper) -> None:
        """Wait until the shipper has begun a session, or has ended."""
        deadline = time.monotonic() + TAKEN_OVER_SECONDS
        while _sessions(one) <= self._sessions[one.name] and one.process.poll() is None:
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)

    def _end_processor(self, how: str, pick: random.Random, report: WayReport) -> None:
        place = pick.randrange(PROCESSORS)
        ended = self._processors[place]
        if how == "SIGSTOP":
            ended.send(signal.SIGSTOP)
            time.sleep(pick.uniform(0, PAUSED_SECONDS))
            ended.send(signal.SIGCONT)
            return
        if ended.status() is None:
            status = ended.end(signal.Signals[how])
            if how == "SIGTERM" and status not in (0, -signal.SIGTERM):
                report.differences.append(f"a processor ended with status {status}:\n{ended.said()[-2_000:]}")
        self._processors[place] = self._started()

    def _end_shipper(self, how: str, pick: random.Random, report: WayReport) -> None:
        one = pick.choice(self._shippers)
        if how != "SIGSTOP":
            if one.process.poll() is None:
                status = one.end(signal.Signals[how])
                if how == "SIGTERM" and status not in (0, -signal.SIGTERM):
                    report.differences.append(f"a shipper ended with status {status}:\n{one.said()[-2_000:]}")
            self._start_shipper(one)
            return
        # One that has not begun would wait for its successor, instead of being superseded.
        self._until_begun(one)
        # As a machine that is suspended does; it goes on beside its successor.
        predecessor = one.process
        predecessor.send_signal(signal.SIGSTOP)
        self._start_shipper(one)
        self._until_begun(one)
        time.sleep(pick.uniform(0, LONGEST_AT_WORK_SECONDS))
        predecessor.send_signal(signal.SIGCONT)
        try:
            status = predecessor.wait(timeout=TAKEN_OVER_SECONDS)
        except subprocess.TimeoutExpired:
            predecessor.kill()
            report.differences.append(f"a superseded shipper did not end:\n{one.said()[-2_000:]}")
            return
        if status not in (0, 1):
            report.differences.append(f"a superseded shipper ended with status {status}:\n{one.said()[-2_000:]}")


def _sessions(one: Shipper) -> int:
    return one.said().count("event=session_begun")


def torture_way(
    broker: Broker,
    store: Store,
    proxy: FaultyProxy | None,
    folder: Path,
    schemes: Sequence[Scheme],
    deeds: Sequence[str],
    rate: int,
    seed: int,
    progress: Callable[[str], None],
    seldom_customers: int = SELDOM_CUSTOMERS,
) -> WayReport:
    """Do these things while logs that are rotated by these schemes grow by `rate` lines a second; then compare.

    `proxy`: between the processors and the store; None: the store does not go away. The first shipper has the first
    half of the logs.
    """
    report, pick, stop = WayReport(), random.Random(seed), threading.Event()
    topic = Topic(broker.servers, PARTITIONS)
    paths = [folder / "logs" / name for name in NAMES[: len(schemes)]]
    (folder / "logs").mkdir()
    seen: dict[Path, Stored] = {path: Stored() for path in paths}
    logs = [
        TortureLog(
            path,
            scheme,
            rate // len(schemes),
            partial(seen.__getitem__, path),
            random.Random(seed * 10 + place),
            seldom_customers,
        )
        for place, (path, scheme) in enumerate(zip(paths, schemes, strict=True))
    ]
    through_proxy = {"INFLUXDB_URL": proxy.url} if proxy is not None else {}
    faulty = replace(store, environment={**store.environment, **through_proxy})
    half = -(-len(paths) // 2)
    with ExitStack() as stack:
        running = stack.enter_context(processors(topic, faulty, folder))
        shippers = [
            stack.enter_context(shipper(topic, folder, name, own))
            for name, own in (("web-1", paths[:half]), ("web-2", paths[half:]))
            if own
        ]
        api = stack.enter_context(asked_api(folder, store.environment))
        way = _Way(broker, topic, running, proxy, shippers)
        with ThreadPoolExecutor(len(logs) + 2) as executor:
            beside = [
                executor.submit(_look, store, seen, stop),
                executor.submit(_be_guest, topic, stop, random.Random(seed), report),
            ]
            tasks = [*beside, *(executor.submit(log.write_until, stop) for log in logs)]
            try:
                for deed in deeds:
                    time.sleep(pick.uniform(0.5, LONGEST_AT_WORK_SECONDS))
                    way.do(deed, pick, report)
                    way.revive()
                    progress(f"{report.done.total()} of {len(deeds)}")
                    if any(task.done() for task in tasks):
                        break
            finally:
                stop.set()
            for task in tasks:
                task.result()
        report.rotations = sum((log.rotations for log in logs), Counter())
        truth = truth_of([path for log in logs for path in log.truth()])
        _until_counted(way, running, truth, report)
        report.moves = running.times_said("event=partition_acquired")
        _compare(running, shippers, api.answers, truth, report)
        _compare_gaps(store, logs, report)
        if report.differences:
            (folder / "said.txt").write_text("\n".join([running.said(), *(one.said() for one in shippers)]))
    return report


def _rows(store: Store) -> dict[Path, Stored]:
    """What is committed of each log, by its path."""

    async def rows(storage: Storage) -> dict[Path, Stored]:
        files = await storage.files()
        found = {}
        for writer, row in await storage.logs():
            of_log = [file for owner, file in files if (owner, file.log) == (writer, row.log)]
            live, others = dict[int, int](), dict[int, int]()
            if not row.path.startswith("kafka:"):
                for file in of_log:
                    inode = Identity.decode(file.identity).inode
                    where = live if file.state == "live" else others
                    where[inode] = max(file.offset, where.get(inode, 0))
                found[Path(row.path)] = Stored(row.read, live, others)
        return found

    storage = store.open()
    try:
        return ask(storage, rows)
    finally:
        storage.close()


def _look(store: Store, seen: dict[Path, Stored], stop: threading.Event) -> None:
    """Keep up with what is committed."""
    while not stop.wait(BETWEEN_LOOKS_SECONDS):
        try:
            seen.update(_rows(store))
        except StorageUnavailable:
            continue


def _be_guest(topic: Topic, stop: threading.Event, pick: random.Random, report: WayReport) -> None:
    """Join the consumer group and leave it, again and again. What the guest is given moves twice."""
    settings = {
        "bootstrap.servers": topic.servers,
        "group.id": topic.name,
        "partition.assignment.strategy": "cooperative-sticky",
        "enable.auto.commit": False,
        "session.timeout.ms": 1_500,
        "heartbeat.interval.ms": 300,
        "log_level": 0,
    }
    is_member = False

    def assigned(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        nonlocal is_member
        is_member = True
        consumer.incremental_assign(partitions)
        consumer.pause(partitions)

    while not stop.wait(pick.uniform(0, GUEST_SECONDS)):
        is_member = False
        guest = Consumer(settings)
        # A broker that is away is no matter of the guest's.
        with suppress(KafkaException):
            guest.subscribe([topic.name], on_assign=assigned)
            deadline = time.monotonic() + pick.uniform(0, GUEST_SECONDS)
            while time.monotonic() < deadline:
                guest.poll(0.1)
            guest.close()
        report.visits += is_member


def _until_counted(way: _Way, running: Processors, truth: Truth, report: WayReport) -> None:
    """Wait until all is counted. What waits for a lease or for a predecessor may take its time."""
    some = running.any()
    deadline = time.monotonic() + SETTLED_SECONDS
    while time.monotonic() < deadline:
        way.revive()
        if sum(row.read for row in some.ledger()) >= truth.read and some.stored() == truth.figures:
            return
        time.sleep(0.5)
    report.differences.append(f"stuck: {sum(row.read for row in some.ledger())} lines read of {truth.read}")


def _compare(
    running: Processors,
    shippers: Sequence[Shipper],
    answers: Callable[[], Mapping[FiguresKey, oracle.Figures]],
    truth: Truth,
    report: WayReport,
) -> None:
    some = running.any()
    report.lines, report.requests, report.rejected = truth.read, truth.stored, truth.rejected.total()
    stored = some.stored()
    for where, found in (("the store", stored), ("the api", answers())):
        for key in sorted(found.keys() | truth.figures.keys(), key=str):
            if found.get(key) != truth.figures.get(key):
                report.differences.append(
                    f"{key[0] or 'all'} on {key[1]}: {found.get(key)} in {where}, {truth.figures.get(key)} in the files"
                )
    for key in stored.keys() | truth.figures.keys():
        if key[0] is None:
            in_store, in_files = (one[key][0] if key in one else 0 for one in (stored, truth.figures))
            report.lost += max(0, in_files - in_store)
            report.doubled += max(0, in_store - in_files)
    rows = some.ledger()
    rejected: Counter[str] = Counter()
    for row in rows:
        rejected.update({reason.value: lines for reason, lines in row.rejected.items()})
    ledger = sum(row.read for row in rows), sum(row.stored for row in rows), rejected
    if ledger != (truth.read, truth.stored, truth.rejected):
        report.differences.append(f"ledger: {ledger}, files: {(truth.read, truth.stored, truth.rejected)}")
    for ended in (some.run("verify"), *(one.verify() for one in shippers)):
        if ended.returncode or "All agree" not in ended.stdout:
            report.differences.append(f"verify: {ended.stdout[-2_000:]}{ended.stderr[-500:]}")


def _compare_gaps(store: Store, logs: Sequence[TortureLog], report: WayReport) -> None:
    """There may be gaps where what was read went away."""
    may_have = {str(log.path): log.may_have_gaps for log in logs}
    storage = store.open()
    try:
        rows = [row for _, row in ask(storage, lambda asked: asked.logs())]
    finally:
        storage.close()
    for row in rows:
        report.gaps += len(row.gaps)
        if len(row.gaps) > may_have.get(row.path, 0):
            report.differences.append(f"{row.path}: {may_have.get(row.path, 0)} gaps may be there, not {row.gaps}")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
