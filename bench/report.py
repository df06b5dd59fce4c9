"""The results: one table in Markdown, and a plot of each part.

Each part's rows are kept as JSON beside the table, so that a part that is measured again replaces only its own.
"""

import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib

from bench.processes import CpuTimes, cpu_times

matplotlib.use("svg")
from matplotlib import pyplot

COLUMNS = ("what", "store", "result", "lines", "customers", "days", "settings")


@dataclass(frozen=True)
class Row:
    """One result, and what it was measured on."""

    what: str
    store: str
    result: str
    lines: int | None
    customers: int
    days: int
    settings: str = ""


@dataclass
class Results:
    """What a part has measured."""

    rows: list[Row] = field(default_factory=list)
    draw: Callable[[Any], None] | None = None
    """Draws the part's plot on these axes of matplotlib."""


class Report:
    """`folder`: where table and plots go. `parts`: in the order of the table."""

    def __init__(self, folder: Path, parts: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.table = folder / "results.md"
        self._folder = folder
        self._parts = parts
        self._before = cpu_times()

    def add(self, part: str, results: Results) -> None:
        """Take a part's results in, and write the table anew."""
        kept = {"measured": _measured(self._before), "rows": [asdict(row) for row in results.rows]}
        (self._folder / f"{part}.json").write_text(json.dumps(kept, indent=1))
        if results.draw is not None:
            figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
            results.draw(axes)
            figure.savefig(self._folder / f"{part}.svg", metadata={"Date": None})
            pyplot.close(figure)
        self.table.write_text(self._markdown())
        self._before = cpu_times()

    def _markdown(self) -> str:
        parts = {part: self._folder / f"{part}.json" for part in self._parts}
        kept = {part: json.loads(path.read_text()) for part, path in parts.items() if path.exists()}
        table = [("part", *COLUMNS), ("---",) * (1 + len(COLUMNS))]
        table += [(part, *(_cell(row[name]) for name in COLUMNS)) for part in kept for row in kept[part]["rows"]]
        return "\n".join(
            [
                *(f"| {' | '.join(cells)} |" for cells in table),
                "",
                "Several values: the median, in brackets the least and the greatest. Settings that are not named have "
                "the defaults of `.env.local`.",
                "",
                *(f"- {part}: {kept[part]['measured']}" for part in kept),
                "",
            ]
        )


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """The median, and the least and the greatest where there are several."""
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}} to {max(values):{form}})"


def p50_p99(seconds: Sequence[float]) -> str:
    """Median and 99th percentile, nearest rank, of durations in seconds; in milliseconds."""
    in_order = sorted(seconds)
    p99 = in_order[max(0, -(-99 * len(in_order) // 100) - 1)]
    return f"p50 {1000 * statistics.median(in_order):.3g} ms, p99 {1000 * p99:.3g} ms of {len(in_order):,}"


def draw_bars(axes: Any, title: str, unit: str, bars: Mapping[str, Sequence[float]]) -> None:
    """A bar a name, as long as the median; a dot a value."""
    names = list(bars)
    axes.barh(names, [statistics.median(bars[name]) for name in names], color="#7a9cc6")
    for name in names:
        axes.plot(bars[name], [name] * len(bars[name]), ".", color="#1f3a5f")
        middle = statistics.median(bars[name])
        axes.annotate(f" {middle:,.0f}" if middle >= 100 else f" {middle:.3g}", (max(bars[name]), name), va="center")
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.set_xlim(0, 1.15 * max(map(max, bars.values())))
    _label(axes, title, unit, "")


def draw_lines(axes: Any, title: str, x: str, y: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """A line a name, through points."""
    for name, points in lines.items():
        axes.plot(*zip(*points, strict=True), label=name)
    axes.set_ylim(bottom=0)
    axes.legend()
    _label(axes, title, x, y)


def draw_shares(axes: Any, title: str, unit: str, values: Mapping[str, Sequence[float]]) -> None:
    """Which share of the values is at most so large."""
    for name, of_name in values.items():
        axes.ecdf(of_name, label=name)
    axes.legend()
    _label(axes, title, unit, "share")


def _label(axes: Any, title: str, x: str, y: str) -> None:
    axes.figure.suptitle(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)


def _cell(value: object) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")


def _measured(before: CpuTimes) -> str:
    """When, on what machine, with which versions, and how much else it had to do since `before`."""
    now = cpu_times()
    others = (now.busy - before.busy - (now.ours - before.ours)) / (now.all - before.all)
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC on {os.cpu_count()} cores of {_cpu()}, {gibibytes:.0f} GiB, "
        f"{platform.system()} {platform.release()}; Python {platform.python_version()}, Bytewax {version('bytewax')}, "
        f"influxd {_influxd()}, SQLite {sqlite3.sqlite_version}; "
        f"load average {', '.join(f'{value:.2f}' for value in os.getloadavg())}, "
        f"other processes took {others:.0%} of the CPU"
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _influxd() -> str:
    command = shutil.which("influxd")
    if command is None:
        return "not on PATH"
    said = subprocess.run([command, "version"], capture_output=True, text=True, check=True).stdout.split()
    return said[1]
