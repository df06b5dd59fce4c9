"""Bytes on the disk for a million requests, for few and for many customers, of one day and of many."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.catching_up import processor, until_stored
from bench.fresh_stores import FreshStore, fresh_store
from bench.logs import write_at_random, write_in_order
from bench.processes import Service
from bench.report import Results, Row, draw_bars
from bench.run import Run
from storage.ledger import decode_ledger, decode_rollup_ledger, is_rolled_up

LOOK_SECONDS = 0.5
BLOCK_BYTES = 512
"""Of `st_blocks`, see stat(2)."""
STEADY_SECONDS_AT_MOST = 300.0
MERGED_EARLY = {
    "INFLUXD_STORAGE_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "1s",
    "INFLUXD_STORAGE_COMPACT_FULL_WRITE_COLD_DURATION": "1s",
}
"""influxd merges the files of a shard that nobody writes to: by itself after hours, here at once."""


def measure(run: Run) -> Results:
    """Logs of one day in order of time, and one of many days in random order."""
    results = Results()
    bars: dict[str, list[float]] = {}
    log = run.folder / "disk.log"
    for customers, days in run.sizes.disk_customers_days:
        run.show(f"writes a log of {customers:,} customers and {days} days")
        if days == 1:
            write_in_order(log, run.sizes.disk_lines, customers)
        else:
            write_at_random(log, run.sizes.disk_lines, customers, days)
        for kind in run.stores:
            run.show(f"{customers:,} customers, {days} days, {kind}")
            megabytes = _stored(run, kind, log)
            result = f"{megabytes:,.0f} MB; the log has {log.stat().st_size / 1e6:,.0f} MB"
            results.rows.append(Row("on the disk", kind, result, run.sizes.disk_lines, customers, days))
            bars[f"{kind}, {customers:,} customers, {days} days"] = [megabytes]
        log.unlink()
    results.draw = partial(_draw, bars=bars, lines=run.sizes.disk_lines)
    return results


def _stored(run: Run, kind: str, log: Path) -> float:
    """How much a store has on the disk (MB) when it has all lines and their roll-ups, and its files are merged."""
    with _environment(MERGED_EARLY), fresh_store(kind, run.folder) as fresh:
        with processor(fresh, log) as service:
            asyncio.run(until_stored(fresh, service, log.stat().st_size, run.sizes.disk_lines))
            asyncio.run(_until_rolled_up(fresh, service))
        # SQLite's write-ahead log is in the database when the processor has ended.
        return _until_steady(fresh, run.sizes.disk_steady_seconds)


async def _until_rolled_up(fresh: FreshStore, service: Service) -> None:
    storage = fresh.store.open()
    rolled_up = False
    while not rolled_up:
        service.must_run()
        await asyncio.sleep(LOOK_SECONDS)
        (state,) = await storage.states()
        rolled_up = is_rolled_up(decode_ledger(state.counts), decode_rollup_ledger(state.rollups))
    await storage.aclose()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = os.environ.copy()
    os.environ.update(variables)
    yield
    os.environ.clear()
    os.environ.update(before)


def _until_steady(fresh: FreshStore, seconds: float) -> float:
    """The size of the store's files (MB) once it did not change for so many seconds."""
    began = changed = time.monotonic()
    size = _size(fresh)
    while time.monotonic() - changed < seconds:
        if time.monotonic() - began > STEADY_SECONDS_AT_MOST:
            raise TimeoutError(f"the files of the store still change after {STEADY_SECONDS_AT_MOST} s")
        time.sleep(LOOK_SECONDS)
        if (now := _size(fresh)) != size:
            size, changed = now, time.monotonic()
    return size / 1e6


def _size(fresh: FreshStore) -> int:
    """Bytes on the disk, for InfluxDB makes files longer than what it has written: those of its engine, or of SQLite's
    database with its write-ahead log."""
    files = (fresh.folder / "engine").rglob("*") if fresh.server else fresh.folder.glob("*.sqlite*")
    total = 0
    for file in files:
        # A merge replaces files meanwhile.
        try:
            total += BLOCK_BYTES * file.stat().st_blocks if file.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def _draw(axes: Any, bars: dict[str, list[float]], lines: int) -> None:
    draw_bars(axes, f"{lines:,} requests on the disk", "MB", bars)
