"""Floods a processor and an api, and measures what becomes of the real customers."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

import oracle
from asking import FIGURES
from flood.connections import Connections
from flood.log import REAL, FloodedLog
from flood.stored import DAYS, store_customers
from pipeline import Pipeline
from running_api import Api, running
from service.open_files import allow_open_files
from stores import Store
from until import wait_until

BETWEEN_ASKING_SECONDS = 0.2
MOST_FRESH_SECONDS = 3.0
MOST_READY_SECONDS = 1.0
MOST_API_BYTES = 350 << 20
MOST_PROCESSOR_BYTES = 400 << 20
# Until the api has read the customers of earlier days.
START_SECONDS = 600.0
# From the last line until all is counted.
END_SECONDS = 60.0
ALL_DAYS = "from_date=1970-01-01"
# Descriptors of files, beside those of connections.
OTHER_FILES = 200


@dataclass
class Report:
    """What was done and measured."""

    lines: int = 0
    false_customers: int = 0
    hostile: int = 0
    most_open: int = 0
    connections: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    stalest: float = 0.0
    """Seconds: the oldest line of a real customer that an answer lacked when it was asked for."""
    slowest: float = 0.0
    """Seconds: the slowest answer about a real customer."""
    slowest_ready: float = 0.0
    slowest_list: float = 0.0
    prewarmed_api_bytes: int = 0
    """Of the api, when it had read all customers, before the flood."""
    api_bytes: int = 0
    processor_bytes: int = 0
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people."""
        rows = [
            ("requests", f"{self.lines:,}, of {self.false_customers:,} false customers"),
            ("hostile lines", f"{self.hostile:,}"),
            ("connections", f"{self.most_open} at once; {', '.join(f'{n} {k}' for k, n in self.connections.items())}"),
            ("answers", f"{self.asked:,}, the slowest after {self.slowest:.2f} s"),
            ("freshness", f"no older than {self.stalest:.2f} s"),
            ("/ready", f"the slowest after {self.slowest_ready:.2f} s"),
            ("/customers", f"the slowest after {self.slowest_list:.2f} s"),
            ("api", f"{self.api_bytes >> 20} MiB at most, {self.prewarmed_api_bytes >> 20} MiB before the flood"),
            ("processor", f"{self.processor_bytes >> 20} MiB at most"),
        ]
        verdict = self.faults or ["The statistics of the real customers are exact, and everything keeps its bound."]
        return "\n".join([*(f"{name + ':':15}{value}" for name, value in rows), *verdict])


def flood(
    store: Store,
    folder: Path,
    seconds: float,
    stored_customers: int,
    false_customers: int,
    idle: int,
    half_sent: int,
    progress: Callable[[str], None],
) -> Report:
    """Flood for so long, and compare with the oracle.

    `stored_customers`: false ones of earlier days. Their lines are in no log, so `verify` is not asked then.
    """
    allow_open_files(idle + half_sent + OTHER_FILES)
    report, stop = Report(), threading.Event()
    pipeline = Pipeline(folder, store.environment, store.open)
    pipeline.environment |= {
        "LOG_FORMAT": "combined",
        "LOG_CUSTOMER_FROM": "extra1",
        "STREAM_MAX_WAIT_TIME_IN_SECONDS": "1",
    }
    log = FloodedLog(pipeline.log, false_customers, seconds, 1, stop)
    log.begin(time.time())
    if stored_customers:
        store_customers(store, stored_customers)
        # Real customers that come on the same day are told apart, too.
        pipeline.environment["NEW_CUSTOMERS_A_DAY"] = str(stored_customers // DAYS + 1_000)
    pipeline.start()
    try:
        pipeline.until_stored()
        with running(folder, store.environment) as api, ThreadPoolExecutor(3) as executor:
            wait_until(lambda: "event=prewarmed" in api.said(), "the list is read", api.said, START_SECONDS)
            report.prewarmed_api_bytes = api.peak_memory()
            connections = Connections(api.port, idle, half_sent, stop)
            try:
                tasks = [executor.submit(work) for work in (connections.hold, log.write)]
                _ask(api, log, time.monotonic() + seconds, report, progress)
            finally:
                stop.set()
            for task in tasks:
                task.result()
            _compare(api, log, report, stored_customers + log.lines)
            report.connections, report.most_open = dict(connections.counts), connections.most_open
            report.api_bytes = api.peak_memory()
        report.processor_bytes = pipeline.peak_memory()
        verified = pipeline.run("verify") if not stored_customers else None
        if verified is not None and verified.returncode:
            report.faults.append(f"verify: {verified.stdout[-2_000:]}{verified.stderr[-2_000:]}")
    finally:
        pipeline.close()
    report.lines, report.hostile = log.lines, log.hostile
    report.false_customers = stored_customers + log.false_lines
    _judge(report)
    return report


def _ask(api: Api, log: FloodedLog, until: float, report: Report, progress: Callable[[str], None]) -> None:
    """Ask about real customers in turn, whether the api is ready, and now and then for the list."""
    while (now := time.monotonic()) < until:
        name = REAL[report.asked % len(REAL)]
        found, took = _timed(api, f"/customers/{name}/stats?{ALL_DAYS}", report)
        report.slowest = max(report.slowest, took)
        written = log.written[name]
        total = found.json()["total_requests"] if found is not None and found.status_code == 200 else 0
        if total < len(written):
            report.stalest = max(report.stalest, now - written[total])
        report.slowest_ready = max(report.slowest_ready, _timed(api, "/ready", report)[1])
        if report.asked % 25 == 0:
            report.slowest_list = max(report.slowest_list, _timed(api, "/customers?limit=20", report)[1])
            progress(f"{until - now:.0f} s left, no older than {report.stalest:.2f} s")
        report.asked += 1
        time.sleep(BETWEEN_ASKING_SECONDS)


def _timed(api: Api, url: str, report: Report) -> tuple[httpx.Response | None, float]:
    began = time.monotonic()
    try:
        found = api.get(url)
    except httpx.HTTPError as error:
        report.faults.append(f"{url}: {error!r}")
        return None, time.monotonic() - began
    if found.status_code != 200:
        report.faults.append(f"{url}: {found.status_code} {found.text[:200]}")
    return found, time.monotonic() - began


def _compare(api: Api, log: FloodedLog, report: Report, requests: int) -> None:
    """Compare the statistics of all real customers with the oracle, once all `requests` are counted."""
    deadline = time.monotonic() + END_SECONDS
    while (total := api.get(f"/customers/stats?{ALL_DAYS}").json()["total_requests"]) < requests:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    if total != requests:
        report.faults.append(f"{total:,} requests are counted, and {requests:,} were written")
    truth = oracle.days_of("".join(log.truth).encode())
    for name in REAL:
        answer = api.get(f"/customers/{name}/stats?{ALL_DAYS}").json()
        found = {(name, day["date"]): tuple(day[figure] for figure in FIGURES) for day in answer["daily"]}
        expected = {key: figures for key, figures in truth.items() if key[0] == name}
        if found != expected:
            report.faults.append(f"{name}: {found} is not {expected}")


def _judge(report: Report) -> None:
    for what, measured, most in (
        ("an answer lacks lines (s)", report.stalest, MOST_FRESH_SECONDS),
        ("/ready takes too long (s)", report.slowest_ready, MOST_READY_SECONDS),
        ("the api takes too much memory (bytes)", report.api_bytes, MOST_API_BYTES),
        ("the processor takes too much memory (bytes)", report.processor_bytes, MOST_PROCESSOR_BYTES),
    ):
        if measured > most:
            report.faults.append(f"{what}: {measured:,.2f}, at most {most:,}")
