"""Lines a second of catching up, beside what InfluxDB itself takes, a naive dataflow, and Telegraf."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from bench import ceiling, telegraf
from bench.catching_up import catch_up
from bench.fresh_stores import FreshStore, fresh_store
from bench.logs import write_at_random, write_in_order
from bench.processes import ROOT
from bench.report import Results, Row, draw_bars, spread
from bench.run import CUSTOMERS, Run

DAYS = 30
CEILING = "ceiling: the points alone"


@dataclass(frozen=True)
class Measurement:
    """Something that stores a log."""

    name: str
    kind: str
    """Of the store."""
    lines: int
    settings: str
    store: Callable[[FreshStore], float]
    """Stores them all; how many seconds that took."""


def measure(run: Run) -> Results:
    """The rates, each in turn with the others of the same log."""
    results = Results()
    bars: dict[str, list[float]] = {}
    lines = run.sizes.lines
    logs: dict[str, tuple[int, Callable[[Path], None]]] = {
        "in order of time": (1, lambda path: write_in_order(path, lines, CUSTOMERS)),
        "in random order": (DAYS, lambda path: write_at_random(path, lines, CUSTOMERS, DAYS)),
    }
    for order, (days, write) in logs.items():
        log = run.folder / "ingest.log"
        run.show(f"writes a log of {lines:,} lines {order}")
        write(log)
        measurements = _measurements(run, log)
        rates: dict[tuple[str, str], list[float]] = {(one.name, one.kind): [] for one in measurements}
        points: dict[str, int] = {}
        for turn in range(run.sizes.rounds):
            for one in measurements:
                run.show(f"{order}, {turn + 1} of {run.sizes.rounds}: {one.name}, {one.kind}")
                with fresh_store(one.kind, run.folder) as fresh:
                    rates[one.name, one.kind].append(one.lines / one.store(fresh))
                    if fresh.server is not None:
                        points[one.name] = fresh.points()
        for one in measurements:
            found = rates[one.name, one.kind]
            result = f"{spread(found)} lines/s"
            if one.kind == "influxdb" and one.name != CEILING:
                of_pairs = [rate / most for rate, most in zip(found, rates[CEILING, one.kind], strict=True)]
                result += f"; {spread(of_pairs, '.3f')} of the ceiling; {points[one.name]:,} points stored"
            results.rows.append(Row(f"{one.name}, {order}", one.kind, result, one.lines, CUSTOMERS, days, one.settings))
            bars[f"{one.name}, {one.kind}, {order}"] = found
        log.unlink()
    if shutil.which("telegraf") is None:
        results.rows.append(Row("Telegraf", "influxdb", "not measured: not on PATH", None, CUSTOMERS, DAYS))
    results.draw = partial(_draw, bars=bars, lines=lines)
    return results


def _measurements(run: Run, log: Path) -> list[Measurement]:
    lines = run.sizes.lines
    found = [
        Measurement("processor", kind, lines, "", lambda fresh: catch_up(fresh, log, lines)) for kind in run.stores
    ]
    if "influxdb" not in run.stores:
        return found
    bodies = ceiling.line_protocol(log)
    connections = f"{ceiling.CONNECTIONS} connections, {ceiling.LINES_A_REQUEST:,} points a request"
    # Right after the processor on InfluxDB, which it is compared with.
    found.insert(1, Measurement(CEILING, "influxdb", lines, connections, lambda fresh: _send(fresh, bodies, lines)))
    naive_log = log.with_name("naive.log")
    with log.open("rb") as whole:
        naive_log.write_bytes(b"".join(islice(whole, run.sizes.naive_lines)))
    found.append(
        Measurement(
            "naive: a line a poll, a point a write",
            "influxdb",
            run.sizes.naive_lines,
            "on fewer lines, for its rate does not depend on how many there are",
            lambda fresh: _naive(fresh, naive_log),
        )
    )
    if command := shutil.which("telegraf"):
        store = partial(telegraf.catch_up, command, log=log, lines=lines)
        found.append(Measurement("Telegraf", "influxdb", lines, telegraf.SETTINGS, store))
    return found


def _send(fresh: FreshStore, bodies: list[bytes], lines: int) -> float:
    seconds = ceiling.send(fresh, bodies)
    if (points := fresh.points()) != lines:
        raise RuntimeError(f"{lines:,} points were sent, and {points:,} are stored")
    return seconds


def _naive(fresh: FreshStore, log: Path) -> float:
    environment = {**os.environ, "LOG_FILE_PATH": str(log), **fresh.store.environment}
    command = [sys.executable, "-m", "bench.naive"]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def _draw(axes: Any, bars: dict[str, list[float]], lines: int) -> None:
    draw_bars(axes, f"Catching up on {lines:,} lines of {CUSTOMERS} customers", "lines/s", bars)
