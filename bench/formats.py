"""How fast logs in each format are read: beside GoAccess, and their lines alone."""

import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench.catching_up import catch_up
from bench.fresh_stores import fresh_store
from bench.logs import FORMATS, write_formats
from bench.report import Results, Row, draw_bars, spread
from bench.run import Run
from log_processor.format_settings import LogFormat
from log_processor.parsing.batch import PIECE_BYTES
from service.memory import collect_cycles_rarely

CUSTOMERS = 1_000
GOACCESS = "GoAccess, combined"
# What nginx's combined format has, as an expression.
PATTERN = (
    r'\S+ - (?P<customer>.+) \[(?P<time>[^\]]+)\] "(?P<request>[^"]*)" (?P<status>\d+) (?P<bytes>\d+) "[^"]*" "[^"]*"'
)
SETTINGS = {
    "combined": {"LOG_FORMAT": "combined"},
    "json": {"LOG_FORMAT": "json"},
    "regex": {"LOG_FORMAT": "regex", "LOG_PATTERN": PATTERN},
    "simple": {"LOG_FORMAT": "simple"},
}
STORED = ("combined", "json")
"""The formats of which it is measured how fast a log is stored; the lines of all of them are parsed."""


def measure(run: Run) -> Results:
    """Rates of storing, each in turn with GoAccess's; and how long parsing takes."""
    lines = run.sizes.formats_lines
    run.show(f"writes logs of {lines:,} lines")
    logs = {name: run.folder / f"formats.{name}.log" for name in FORMATS}
    write_formats(logs, lines, CUSTOMERS)
    logs["regex"] = logs["combined"]
    results = Results()
    command = shutil.which("goaccess")
    rates: dict[str, list[float]] = {f"processor, {name}": [] for name in STORED}
    seconds: dict[str, list[float]] = {name: [] for name in SETTINGS}
    if command is None:
        run.show("SKIPPED: GoAccess, because it is not on PATH", lasting=True)
        results.rows.append(Row(GOACCESS, "", "not measured: not on PATH", lines, CUSTOMERS, 1))
    else:
        rates[GOACCESS] = []
    for turn in range(run.sizes.rounds):
        for name in STORED:
            run.show(f"{turn + 1} of {run.sizes.rounds}: stores {name}")
            with fresh_store("sqlite", run.folder) as fresh:
                taken = catch_up(fresh, logs[name], lines, lambda _pid: None, **SETTINGS[name])
            rates[f"processor, {name}"].append(lines / taken)
            if command is not None and name == "combined":
                run.show(f"{turn + 1} of {run.sizes.rounds}: {GOACCESS}")
                rates[GOACCESS].append(lines / _goaccess(command, logs[name]))
        for name in SETTINGS:
            run.show(f"{turn + 1} of {run.sizes.rounds}: parses {name}")
            seconds[name].append(_parse(logs[name], lines, name))
    for name, found in rates.items():
        result = f"{spread(found)} lines/s"
        if name != GOACCESS and command is not None:
            ratios = [rate / other for rate, other in zip(found, rates[GOACCESS], strict=True)]
            result += f"; {spread(ratios, '.2f')} of GoAccess's on the combined log"
        results.rows.append(Row(name, "" if name == GOACCESS else "sqlite", result, lines, CUSTOMERS, 1))
    for name, taken_each in seconds.items():
        size = logs[name].stat().st_size / lines
        microseconds = [1e6 * taken / lines for taken in taken_each]
        result = f"{spread(microseconds, '.2f')} us of CPU a line, {1e6 / statistics.median(microseconds):,.0f} lines/s"
        settings = f"{size:.0f} bytes a line"
        results.rows.append(Row(f"parsing alone, {name}", "", result, lines, CUSTOMERS, 1, settings))
    results.draw = partial(_draw, bars=rates, lines=lines)
    return results


def _goaccess(command: str, log: Path) -> float:
    """Seconds until it has written its report."""
    options = ["--log-format=COMBINED", "--no-global-config", "--no-progress", "-o", str(log.with_suffix(".json"))]
    began = time.monotonic()
    subprocess.run([command, str(log), *options], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - began


def _parse(log: Path, lines: int, name: str) -> float:
    """Seconds of CPU to parse a log, as the processor does; RuntimeError unless each line is a request."""
    settings = {key.lower(): value for key, value in SETTINGS[name].items()}
    collect_cycles_rarely()
    parse = LogFormat(**settings).parser()  # type: ignore[arg-type]
    pieces = list(_pieces(log))
    began = time.process_time()
    found = sum(len(parse(piece).requests) for piece in pieces)
    taken = time.process_time() - began
    if found != lines:
        raise RuntimeError(f"{lines:,} lines of {name}, and {found:,} requests")
    return taken


def _pieces(log: Path) -> Iterator[bytes]:
    with log.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            yield piece + file.readline()


def _draw(axes: Any, bars: dict[str, list[float]], lines: int) -> None:
    draw_bars(axes, f"Reading {lines:,} lines of {CUSTOMERS:,} customers", "lines/s", bars)
