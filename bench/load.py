"""Answers a second to 64 connections, beside an endpoint that returns a constant; also while lines come in."""

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.asking import api, customer_path
from bench.catching_up import filled_store, processor
from bench.fresh_stores import FreshStore
from bench.freshness import generator
from bench.logs import write_at_random
from bench.processes import ROOT, Service
from bench.report import Results, Row, draw_bars, p50_p99, spread
from bench.run import ASKED_CUSTOMERS, KEPT_DAYS, Run
from influxd import free_port

CONNECTIONS = 64
INCOMING = 20_000
LATE_SECONDS = 60.0


@dataclass
class Found:
    """Of all rounds."""

    rates: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def measure(run: Run) -> Results:
    """The api and the constant in turn."""
    results = Results()
    bars: dict[str, list[float]] = {}
    lines = run.sizes.stored[0]
    log = run.folder / "load.log"
    run.show(f"writes a log of {lines:,} lines")
    write_at_random(log, lines, ASKED_CUSTOMERS, KEPT_DAYS)
    for kind in run.stores:
        with filled_store(run, kind, log, lines) as fresh:
            for meanwhile, (ours, constant) in _at_rest_and_busy(fresh, run).items():
                ratio = spread([a / b for a, b in zip(ours.rates, constant.rates, strict=True)], ".2f")
                for what, found, compared in (
                    ("GET /customers/{id}/stats", ours, f"; {ratio} of the constant"),
                    ("a constant of the same size", constant, ""),
                ):
                    result = f"{spread(found.rates)} answers/s{compared}; {p50_p99(found.seconds)}"
                    settings = f"{CONNECTIONS} connections"
                    rows = Row(f"{what}, {meanwhile}", kind, result, lines, ASKED_CUSTOMERS, KEPT_DAYS, settings)
                    results.rows.append(rows)
                    bars[f"{what}\n{kind}, {meanwhile}"] = found.rates
    log.unlink()
    results.draw = partial(_draw, bars=bars)
    return results


def _at_rest_and_busy(fresh: FreshStore, run: Run) -> dict[str, tuple[Found, Found]]:
    """The api's and the constant's, by what happens meanwhile."""
    paths = [customer_path(f"cust_{number}") for number in range(1, ASKED_CUSTOMERS + 1)]
    log = fresh.folder / "incoming.log"
    log.touch()
    with ExitStack() as stack:
        client = stack.enter_context(api(fresh))
        sizes = sorted(len(client.ask(path)[1]) for path in paths)
        port = free_port()
        environment = {"API_PORT": str(port), "BODY_BYTES": str(sizes[len(sizes) // 2])}
        stack.enter_context(Service("bench.constant", fresh.folder, environment)).until_event("listening")

        def in_turn() -> tuple[Found, Found]:
            ours, constant = Found(), Found()
            for _ in range(run.sizes.rounds):
                _load(fresh.folder, client.port, run.sizes.load_seconds, paths, ours)
                _load(fresh.folder, port, run.sizes.load_seconds, ["/constant"], constant)
            return ours, constant

        found = {"at rest": in_turn()}
        following = stack.enter_context(processor(fresh, log, LOG_NAME="incoming"))
        stack.enter_context(generator(fresh, log, INCOMING, ASKED_CUSTOMERS))
        following.until_event("stored")
        return {**found, f"while {INCOMING:,} lines/s come in": in_turn()}


def _load(folder: Path, port: int, seconds: float, paths: list[str], found: Found) -> None:
    file = folder / "load.json"
    command = [sys.executable, "-m", "bench.load_client", str(file), str(port), str(CONNECTIONS), str(seconds), *paths]
    subprocess.run(command, cwd=ROOT, check=True, timeout=seconds + LATE_SECONDS)
    said = json.loads(file.read_text())
    found.rates.append(said["rate"])
    found.seconds += said["seconds"]


def _draw(axes: Any, bars: dict[str, list[float]]) -> None:
    draw_bars(axes, f"{CONNECTIONS} connections", "answers/s", bars)
