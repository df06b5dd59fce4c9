"""The processor under torture, with the store it writes to."""

import copy
import json
import random
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from faulty_proxy import Decision, Fault, FaultyProxy, Request, faulty_proxy
from influxd import InfluxServer
from log_processor.following.identity import Identity
from pipeline import Pipeline
from storage.contract import Storage
from storage.errors import StorageUnavailable
from storage.keys import FileKey
from storage.ledger import decode_ledger
from storage.logs import FileRow, LedgerRow, decode_file, decode_log
from stores import Store, influxdb_store, sqlite_store
from torture.log import Stored
from torture.truth import DeadLetter, Truth

FAULTS: list[Fault | int] = [500, 503, Fault.RESET_REQUEST, Fault.LOSE_ANSWER, Fault.CUT_ANSWER]
# What the bodies of a commit's writes begin with: a journal, intents, rows and ledgers.
OF_LEDGERS = (b"state,state=counts", b"state,state=roll")
COMMIT = (b"journal", b"intents", b"logs", b"files", b"daily", b"rollups", b"rolled_up", *OF_LEDGERS)
# Shares of the requests of a kind. A held one keeps the process from going on until it gives up or is killed. A restart
# asks for much, and asks again for all of it when one question fails.
FAULTY = {"query": 0.02, "write": 0.15, "commit": 0.15}
HELD = {"query": 0.002, "write": 0.02, "commit": 0.12}
LATEST_SECONDS = 20.0
STORE_ANSWERS_SECONDS = 10.0


class Victim(ABC):
    """The processor's pipeline, and what is done to its store."""

    def __init__(self, pipeline: Pipeline, store: Store) -> None:
        self.pipeline = pipeline
        """With the processor that was started last, or that is left of two."""
        self.store_environment = store.environment
        """Names its store to those who ask."""
        self._folder = pipeline.output.parent
        self._stores_change = False
        self._started: list[Pipeline] = []

    def start(self) -> None:
        """Start a processor, whose output has a file of its own. One that runs already is the predecessor's to end."""
        self.pipeline = copy.copy(self.pipeline)
        self._started.append(self.pipeline)
        if self._stores_change:
            kept = random.Random(len(self._started)).choice(["all", "failed", "none"])
            self.pipeline.environment = {**self.pipeline.environment, "STORE_REQUESTS": kept}
        self.pipeline.output = self._folder / f"log_processor_{len(self._started)}.out"
        self.pipeline.start()

    def close(self) -> None:
        """End what runs."""
        for pipeline in self._started:
            pipeline.close()

    def until_following(self, seconds: float) -> bool:
        """Wait until the processor follows the log or has ended, but not for longer than so many seconds; whether it
        follows."""
        deadline = time.monotonic() + seconds
        is_following = False
        while not is_following and self.pipeline.status() is None and time.monotonic() < deadline:
            time.sleep(0.01)
            is_following = "event=following" in self.pipeline.said()
        return is_following

    def until_one_is_left(self, predecessor: Pipeline, seconds: float) -> Pipeline | None:
        """Wait until one of two processors has ended by itself, and go on with the other; the one that ended, None
        where none did within so many seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for ended, left in ((predecessor, self.pipeline), (self.pipeline, predecessor)):
                if ended.status() is not None:
                    self.pipeline = left
                    return ended
            time.sleep(0.01)
        return None

    @abstractmethod
    def until_commit(self, seconds: float) -> None:
        """Return in the middle of a commit, or when none came for so long."""

    @abstractmethod
    def stored_requests(self) -> int:
        """How many requests are stored one by one."""

    @abstractmethod
    def pass_time(self, seconds: float, pick: random.Random) -> None:
        """Wait; the store may be away meanwhile."""

    @abstractmethod
    def calm(self) -> None:
        """From here on, no faults."""

    @abstractmethod
    def settle(self) -> None:
        """Let through what is on its way to the store."""

    @abstractmethod
    def faults(self) -> Counter[str]:
        """What happened to the store, how often."""

    def store(self, kept: str) -> None:
        """Which requests the processor is to store, as STORE_REQUESTS has it; or "mixed": other ones at each start."""
        self._stores_change = kept == "mixed"
        if not self._stores_change:
            self.pipeline.environment["STORE_REQUESTS"] = kept

    def to_be_stored(self, truth: Truth) -> tuple[int, int]:
        """How many of the log's requests have to be stored: at least, and at most."""
        failed = sum(figures[2] for (name, _), figures in truth.figures.items() if name is None)
        stored = {"all": truth.stored, "failed": failed, "none": 0}
        if self._stores_change:
            return 0, truth.stored
        of_all = stored[self.pipeline.environment.get("STORE_REQUESTS", "all")]
        return of_all, of_all

    def follow(self, logs: list[Path]) -> None:
        """What the processor is to follow."""
        self.pipeline.environment["LOG_FILES"] = ",".join(map(str, logs))

    def stored(self, storage: Storage) -> dict[Path, Stored] | None:
        """What is committed of each log, by its path; None while a commit is under way, or the store is away."""
        try:
            logs, files, _ = storage.read_logs()
            number = decode_ledger(storage.read_state("counts")).number
            if storage.read_intent(number + 1):
                return None
        except StorageUnavailable:
            # SQLite is locked while a processor's death is mended.
            return None
        live: dict[str, dict[int, int]] = {log: {} for log in logs}
        others: dict[str, dict[int, int]] = {log: {} for log in logs}
        for key, text in files.items():
            row = decode_file(*key, text)
            inode = Identity.decode(row.identity).inode
            found = (live if row.state == "live" else others)[row.log]
            found[inode] = max(row.offset, found.get(inode, 0))
        rows = [decode_log(log, text) for log, text in logs.items()]
        return {Path(row.path): Stored(row.read, live[row.log], others[row.log]) for row in rows}

    def ledger(self) -> list[LedgerRow]:
        """The ledger, a row per log."""
        deadline = time.monotonic() + STORE_ANSWERS_SECONDS
        while True:
            try:
                return self.pipeline.ledger()
            except StorageUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def file_rows(self) -> dict[FileKey, FileRow]:
        """The files of all logs."""
        storage = self.pipeline.open_storage()
        try:
            return {key: decode_file(*key, row) for key, row in storage.read_logs()[1].items()}
        finally:
            storage.close()

    def dead_letters(self) -> list[DeadLetter]:
        """What the processor has kept of rejected lines, as far as the ledger is: of a file that was replaced while
        nobody followed the lines may have been read again under another number."""
        through = {key: row.offset for key, row in self.file_rows().items()}
        files = self.pipeline.log.parent.glob("dead_letters.jsonl*")
        entries = [json.loads(line) for path in files for line in path.read_bytes().splitlines()]
        return [
            DeadLetter(entry["reason"], entry["length"], entry["line"], entry.get("blake2b"))
            for entry in entries
            if entry["offset"] < through[FileKey(entry["log"], entry["generation"])]
        ]


class SqliteVictim(Victim):
    """It has no network that could fail."""

    def __init__(self, pipeline: Pipeline, store: Store) -> None:
        super().__init__(pipeline, store)
        self._path = Path(store.environment["SQLITE_PATH"])

    def until_commit(self, seconds: float) -> None:
        wal = self._path.with_name(f"{self._path.name}-wal")
        deadline = time.monotonic() + seconds
        before = _written(wal)
        while _written(wal) == before and time.monotonic() < deadline:
            time.sleep(0.0005)

    def stored_requests(self) -> int:
        with closing(sqlite3.connect(self._path)) as connection:
            count: int = connection.execute("SELECT count(*) FROM requests").fetchone()[0]
            return count

    def pass_time(self, seconds: float, pick: random.Random) -> None:
        time.sleep(seconds)

    def calm(self) -> None:
        return

    def settle(self) -> None:
        return

    def faults(self) -> Counter[str]:
        return Counter()


class InfluxVictim(Victim):
    """Between it and the real server is a proxy that fails at random."""

    def __init__(self, pipeline: Pipeline, store: Store, server: InfluxServer, proxy: FaultyProxy, seed: int) -> None:
        super().__init__(pipeline, store)
        self._server = server
        self._bucket = store.environment["INFLUXDB_BUCKET"]
        self._proxy = proxy
        self._commit = threading.Event()
        self._pick = random.Random(seed)
        self._faults: Counter[str] = Counter()
        proxy.decide = self._decide

    def until_commit(self, seconds: float) -> None:
        self._commit.clear()
        self._commit.wait(seconds)

    def stored_requests(self) -> int:
        query = {"db": self._bucket, "q": "SELECT count(status_code) FROM api_requests"}
        with self._server.client() as client:
            answer = client.get("/query", params=query).raise_for_status().json()
        series = answer["results"][0].get("series")
        return int(series[0]["values"][0][1]) if series else 0

    def pass_time(self, seconds: float, pick: random.Random) -> None:
        if pick.random() > 0.15:
            time.sleep(seconds)
            return
        self._faults["store away for a while"] += 1
        start, end = sorted([pick.uniform(0, seconds), pick.uniform(0, seconds)])
        time.sleep(start)
        self._proxy.go_away()
        time.sleep(end - start)
        self._proxy.come_back()
        time.sleep(seconds - end)

    def calm(self) -> None:
        self._proxy.decide = lambda request: None

    def settle(self) -> None:
        self._proxy.release()

    def faults(self) -> Counter[str]:
        return self._faults

    def _decide(self, request: Request) -> Decision:
        kind = "write" if request.is_write else "query"
        if request.body.startswith(COMMIT):
            kind = "commit"
            self._commit.set()
        fault: Decision = None
        if self._pick.random() < HELD[kind]:
            fault = Fault.HOLD
        elif self._pick.random() < FAULTY[kind]:
            fault = self._pick.choice(FAULTS)
        if fault is not None:
            self._faults[f"{kind} {fault.value if isinstance(fault, Fault) else fault}"] += 1
        return fault


@contextmanager
def sqlite_victim(folder: Path, settings: dict[str, str]) -> Iterator[Victim]:
    """On a fresh SQLite store in the folder."""
    with sqlite_store(folder) as store, closing(SqliteVictim(_pipeline(folder, store, settings), store)) as victim:
        yield victim


@contextmanager
def influxdb_victim(folder: Path, settings: dict[str, str], server: InfluxServer, seed: int) -> Iterator[Victim]:
    """On a fresh bucket of the server, which it reaches through a faulty proxy."""
    pick = random.Random(seed)
    with (
        influxdb_store(server) as store,
        faulty_proxy(server.url, late=lambda: pick.uniform(0, LATEST_SECONDS)) as proxy,
    ):
        # Two seconds: so that it gives up what is held before it is killed, now and then.
        through_proxy = {**settings, "INFLUXDB_URL": proxy.url, "INFLUXDB_TIMEOUT_SECONDS": "2"}
        pipeline = _pipeline(folder, store, through_proxy)
        with closing(InfluxVictim(pipeline, store, server, proxy, seed)) as victim:
            yield victim


def _pipeline(folder: Path, store: Store, settings: dict[str, str]) -> Pipeline:
    return Pipeline(folder, {**store.environment, **settings}, store.open)


def _written(path: Path) -> int:
    """When a file was last written; 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
