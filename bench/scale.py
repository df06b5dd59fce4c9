"""Several writers: lines a second and CPU a line of catching up together, what is gained by storing fewer requests, and
answers that are added up over the writers."""

import asyncio
import json
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bench.asking import api, customer_path
from bench.catching_up import LINES_A_SECOND_AT_LEAST, LOOK_SECONDS, processor
from bench.fresh_stores import FreshStore, fresh_store
from bench.logs import write_at_random, write_in_order
from bench.processes import cpu_seconds
from bench.report import Results, Row, draw_bars, p50_p99, spread
from bench.run import ASKED_CUSTOMERS, KEPT_DAYS, Run
from storage.ledger import decode_ledger, decode_rollup_ledger, is_rolled_up

LESS_KEPT = ("failed", "none")
"""Values of STORE_REQUESTS that are measured with two writers, beside `all`."""
CUSTOMERS = 1_000


class Used(NamedTuple):
    """What catching up took."""

    seconds: float
    """From the first start until the last ledger and the last roll-up are at the end."""
    processors: float
    """CPU, s."""
    store: float
    """CPU of influxd, s; 0 with SQLite, which runs in the processors."""


def measure(run: Run) -> Results:
    """Both stores, each number of writers in turn with the others."""
    results = Results()
    bars: dict[str, list[float]] = {}
    lines = run.sizes.lines
    cases = [(writers, "all") for writers in run.sizes.writers] + [(2, kept) for kept in LESS_KEPT]
    for kind in run.stores:
        used: dict[tuple[int, str], list[Used]] = {case: [] for case in cases}
        for turn in range(run.sizes.rounds):
            for writers, kept in cases:
                run.show(f"{turn + 1} of {run.sizes.rounds}: {writers} writers, {kind}, STORE_REQUESTS={kept}")
                with fresh_store(kind, run.folder) as fresh:
                    logs = _write_apart(fresh.folder, writers, lines)
                    used[writers, kept].append(asyncio.run(_catch_up(fresh, logs, lines, STORE_REQUESTS=kept)))
        for (writers, kept), found in used.items():
            rates = [lines / one.seconds for one in found]
            cpu = [1e6 * (one.processors + one.store) / lines for one in found]
            result = f"{spread(rates)} lines/s; {spread(cpu, '.2f')} us of CPU a line, processors and store"
            name = f"{writers} writer{'s' * (writers > 1)} catch up, customers apart"
            results.rows.append(Row(name, kind, result, lines, CUSTOMERS, 1, f"STORE_REQUESTS={kept}"))
            bars[f"{kind}, {writers}, {kept}"] = rates
        for writers in run.sizes.answering_writers:
            results.rows.append(_answers(run, kind, writers))
    results.draw = partial(_draw, bars=bars, lines=lines)
    return results


def _write_apart(folder: Path, writers: int, lines: int) -> list[Path]:
    """A log for each writer, in the order of time; no customer is in two of them."""
    logs = []
    for number in range(writers):
        log = folder / f"host{number}.log"
        write_in_order(log, lines // writers, CUSTOMERS // writers)
        if number:
            log.write_bytes(log.read_bytes().replace(b" cust_", f" host{number}_".encode()))
        logs.append(log)
    return logs


async def _catch_up(fresh: FreshStore, logs: list[Path], lines: int, **settings: str) -> Used:
    """Let a writer for each log catch up. Raises RuntimeError unless each line is counted once."""
    storage = fresh.store.open()
    server = fresh.server.pid if fresh.server is not None else None
    before = cpu_seconds(server) if server is not None else 0.0
    with ExitStack() as stack:
        began = time.monotonic()
        services = []
        for number, log in enumerate(logs):
            folder = fresh.folder / f"host{number}"
            folder.mkdir()
            own = FreshStore(fresh.store, folder, fresh.server)
            writer = {"WRITER": f"host{number}"} if len(logs) > 1 else {}
            services.append(stack.enter_context(processor(own, log, **writer, **settings)))
        deadline = began + 60 + lines / LINES_A_SECOND_AT_LEAST
        while True:
            for service in services:
                service.must_run()
            read = sum(row.read for _, row in await storage.logs())
            states = await storage.states()
            ledgers = [(decode_ledger(state.counts), decode_rollup_ledger(state.rollups)) for state in states]
            if read == lines and all(is_rolled_up(*of_writer) for of_writer in ledgers):
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"{lines:,} lines are not counted, but {read:,}")
            await asyncio.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - began
        processors = sum(cpu_seconds(service.pid) for service in services)
        store = cpu_seconds(server) - before if server is not None else 0.0
    rows = [row for _, row in await storage.logs()]
    await storage.aclose()
    if sum(row.stored for row in rows) != lines:
        raise RuntimeError(f"{lines:,} lines, but the ledgers say {rows}")
    return Used(seconds, processors, store)


def _answers(run: Run, kind: str, writers: int) -> Row:
    """Answers over all kept days about customers of whom each writer has a share."""
    lines = max(run.sizes.stored)
    with fresh_store(kind, run.folder) as fresh:
        logs = []
        for number in range(writers):
            logs.append(fresh.folder / f"host{number}.log")
            write_at_random(logs[-1], lines // writers, ASKED_CUSTOMERS, KEPT_DAYS)
        run.show(f"fills {kind} by {writers} writers")
        asyncio.run(_catch_up(fresh, logs, lines // writers * writers))
        run.show(f"asks {kind} with the rows of {writers} writers")
        with api(fresh) as client:
            customers = json.loads(client.ask(f"/customers?limit={ASKED_CUSTOMERS}")[1])["customers"]
            paths = [customer_path(customer["customer_id"]) for customer in customers]
            first = [client.seconds(path) for path in paths]
            again = [client.seconds(path) for _ in range(run.sizes.repetitions) for path in paths]
    result = f"first {p50_p99(first)}; repeated {p50_p99(again)}"
    what = f"GET /customers/{{id}}/stats, rows of {writers} writer{'s' * (writers > 1)}"
    return Row(what, kind, result, lines, ASKED_CUSTOMERS, KEPT_DAYS)


def _draw(axes: Any, bars: dict[str, list[float]], lines: int) -> None:
    draw_bars(axes, f"Writers that catch up together on {lines:,} lines", "lines/s", bars)
