"""The memory of processor and influxd over time, while catching up."""

import time
from functools import partial
from typing import Any

from bench.catching_up import catch_up
from bench.fresh_stores import FreshStore, fresh_store
from bench.logs import write_at_random
from bench.processes import memory
from bench.report import Results, Row, draw_lines
from bench.run import CUSTOMERS, Run

DAYS = 30


class Watch:
    """Notes the memory of processor and server whenever it is called; MB, and seconds since its beginning."""

    def __init__(self, processor: str, fresh: FreshStore) -> None:
        """`processor`: its name in the results."""
        self.curves: dict[str, list[tuple[float, float]]] = {}
        self.peaks: dict[str, float] = {}
        self._processor = processor
        self._fresh = fresh
        self._began = time.monotonic()

    def __call__(self, pid: int) -> None:
        pids = {self._processor: pid}
        if self._fresh.server is not None and self._fresh.server.pid is not None:
            pids["influxd"] = self._fresh.server.pid
        for name, of_process in pids.items():
            now = time.monotonic() - self._began
            self.curves.setdefault(name, []).append((now, memory(of_process)))
            self.peaks[name] = memory(of_process, "VmHWM")


def measure(run: Run) -> Results:
    """Both stores."""
    results = Results()
    curves: dict[str, list[tuple[float, float]]] = {}
    lines = run.sizes.lines
    log = run.folder / "memory.log"
    run.show(f"writes a log of {lines:,} lines")
    write_at_random(log, lines, CUSTOMERS, DAYS)
    for kind in run.stores:
        run.show(f"{kind} catches up")
        with fresh_store(kind, run.folder) as fresh:
            watch = Watch(f"processor on {kind}", fresh)
            catch_up(fresh, log, lines, watch)
        curves |= watch.curves
        for name, peak in watch.peaks.items():
            results.rows.append(Row(f"peak memory of {name}", kind, f"{peak:,.0f} MB", lines, CUSTOMERS, DAYS))
    log.unlink()
    results.draw = partial(_draw, curves=curves, lines=lines)
    return results


def _draw(axes: Any, curves: dict[str, list[tuple[float, float]]], lines: int) -> None:
    title = f"Memory while catching up on {lines:,} lines of {CUSTOMERS} customers and {DAYS} days"
    draw_lines(axes, title, "s", "MB", curves)
