"""From a line's append until the api counts it; and what following a log costs the processor."""

import os
import random
import time
from functools import partial
from pathlib import Path
from typing import Any

from bench.asking import Client, api, customer_path
from bench.catching_up import processor
from bench.fresh_stores import FreshStore, fresh_store
from bench.processes import Service, cpu_seconds
from bench.report import Results, Row, draw_shares, p50_p99
from bench.run import Run

RATE = 10_000
CUSTOMERS = 100
BATCH_WAIT_SECONDS = 0.01
SLOW_RATE = 1_000
LONGEST_PAUSE_SECONDS = 0.1
LOOK_SECONDS = 0.002


def measure(run: Run) -> Results:
    """Both stores; the CPU with both ways to follow."""
    results = Results()
    found: dict[str, list[float]] = {}
    for kind in run.stores:
        run.show(f"lines on their way, {kind}")
        with fresh_store(kind, run.folder) as fresh:
            seconds, rate = _marks(fresh, run)
        found[kind] = [1000 * value for value in seconds]
        what = f"append to answer, beyond the batch's wait of {1000 * BATCH_WAIT_SECONDS:g} ms"
        settings = f"STREAM_MAX_WAIT_TIME_IN_SECONDS={BATCH_WAIT_SECONDS}; {rate:,.0f} lines/s stored meanwhile"
        results.rows.append(Row(what, kind, p50_p99(seconds), None, CUSTOMERS, 1, settings))
    for kind in run.stores:
        with fresh_store(kind, run.folder) as fresh:
            for follow in ("events", "poll"):
                run.show(f"CPU, {kind}, {follow}")
                for when, percent in _cpu_percents(fresh, follow, run).items():
                    what = f"CPU of the processor, {when}"
                    result = f"{percent:.1f} % of a core"
                    results.rows.append(Row(what, kind, result, None, CUSTOMERS, 1, f"FOLLOW={follow}"))
    results.draw = partial(_draw, found=found)
    return results


def generator(fresh: FreshStore, log: Path, rate: int, customers: int) -> Service:
    """Writes so many lines a second."""
    interval = 0.02
    return Service(
        "log_generator",
        fresh.folder,
        {
            "LOG_FILE_PATH": str(log),
            "LOG_BATCH_SIZE": str(round(rate * interval)),
            "LOG_INTERVAL_SECONDS": str(interval),
            "LOG_CUSTOMERS": str(customers),
            "LOG_SEED": "1",
        },
    )


def _marks(fresh: FreshStore, run: Run) -> tuple[list[float], float]:
    """Seconds until marked lines are in an answer, less the batch's wait; and the lines a second meanwhile."""
    log = fresh.folder / "api_requests.log"
    log.touch()
    settings = {"STREAM_MAX_WAIT_TIME_IN_SECONDS": str(BATCH_WAIT_SECONDS)}
    with processor(fresh, log, **settings) as following, generator(fresh, log, RATE, CUSTOMERS), api(fresh) as client:
        following.until_event("stored")
        time.sleep(run.sizes.settle_seconds)
        pick = random.Random(1)
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
        size, began = log.stat().st_size, time.monotonic()
        found = [_mark(client, descriptor, f"mark_{number}", pick) for number in range(run.sizes.marks)]
        grown, took = log.stat().st_size - size, time.monotonic() - began
        os.close(descriptor)
        following.must_run()
        lines = log.read_bytes()
    return found, grown / (len(lines) / lines.count(b"\n")) / took


def _mark(client: Client, descriptor: int, customer: str, pick: random.Random) -> float:
    time.sleep(pick.uniform(0, LONGEST_PAUSE_SECONDS))
    path = customer_path(customer)
    line = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} {customer} /mark 200 0.001\n"
    began = time.perf_counter()
    os.write(descriptor, line.encode())
    while client.ask(path)[0] != 200:
        time.sleep(LOOK_SECONDS)
    return time.perf_counter() - began - BATCH_WAIT_SECONDS


def _cpu_percents(fresh: FreshStore, follow: str, run: Run) -> dict[str, float]:
    """At rest, and then with some lines; percent of a core."""
    log = fresh.folder / "api_requests.log"
    log.touch()
    with processor(fresh, log, FOLLOW=follow) as following:
        following.until_event("following")
        at_rest = _used_percent(following, run)
        with generator(fresh, log, SLOW_RATE, CUSTOMERS):
            following.until_event("stored")
            return {"at rest": at_rest, f"at {SLOW_RATE:,} lines/s": _used_percent(following, run)}


def _used_percent(service: Service, run: Run) -> float:
    time.sleep(run.sizes.settle_seconds)
    used, began = cpu_seconds(service.pid), time.monotonic()
    time.sleep(run.sizes.at_work_seconds)
    return 100 * (cpu_seconds(service.pid) - used) / (time.monotonic() - began)


def _draw(axes: Any, found: dict[str, list[float]]) -> None:
    title = f"From a line's append to its answer, at {RATE:,} lines/s of {CUSTOMERS} customers"
    draw_shares(axes, title, f"ms beyond the batch's wait of {1000 * BATCH_WAIT_SECONDS:g} ms", found)
