"""Lines a second, and influxd's memory, for few and for very many customers."""

from functools import partial
from typing import Any

from bench.catching_up import catch_up
from bench.fresh_stores import fresh_store
from bench.logs import write_in_order
from bench.processes import memory
from bench.report import Results, Row, draw_bars, spread
from bench.run import Run


def measure(run: Run) -> Results:
    """Logs in the order of time."""
    results = Results()
    bars: dict[str, list[float]] = {}
    lines = run.sizes.customers_lines
    log = run.folder / "customers.log"
    for customers in run.sizes.customers:
        run.show(f"writes a log of {customers:,} customers")
        write_in_order(log, lines, customers)
        for kind in run.stores:
            rates, peaks = [], []
            for turn in range(run.sizes.customers_rounds):
                run.show(f"{customers:,} customers, {kind}, {turn + 1} of {run.sizes.customers_rounds}")
                with fresh_store(kind, run.folder) as fresh:
                    rates.append(lines / catch_up(fresh, log, lines))
                    if fresh.server is not None and fresh.server.pid is not None:
                        peaks.append(memory(fresh.server.pid, "VmHWM"))
            bars[f"{kind}, {customers:,} customers"] = rates
            result = f"{spread(rates)} lines/s" + (f"; influxd's peak {spread(peaks)} MB" if peaks else "")
            results.rows.append(Row("catching up, in order of time", kind, result, lines, customers, 1))
        log.unlink()
    results.draw = partial(_draw, bars=bars, lines=lines)
    return results


def _draw(axes: Any, bars: dict[str, list[float]], lines: int) -> None:
    draw_bars(axes, f"Catching up on {lines:,} lines in order of time", "lines/s", bars)
