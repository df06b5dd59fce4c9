"""What every part gets: sizes, a folder to work in, the stores that can be had, and a line that says how far it is."""

import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    lines: int
    """Of a log that is caught up on."""
    rounds: int
    """How often a rate is measured; the median counts."""
    naive_lines: int
    marks: int
    """Lines whose way into an answer is timed."""
    at_work_seconds: float
    """How long a processor's use of the CPU is watched."""
    settle_seconds: float
    """Before that."""
    stored: tuple[int, ...]
    """Lines in the stores that are asked."""
    repetitions: int
    """How often a question is repeated."""
    list_customers: int
    """In the store whose list of customers is asked for."""
    list_orders: int
    """In how many of its orders."""
    load_seconds: float
    customers_lines: int
    customers: tuple[int, ...]
    customers_rounds: int
    formats_lines: int
    """Of a log of which it is measured how fast its format is read."""
    disk_lines: int
    disk_customers_days: tuple[tuple[int, int], ...]
    """Of logs of which it is measured how much the disk has."""
    disk_steady_seconds: float
    """How long a store's size must not change."""
    writers: tuple[int, ...]
    """Processors that catch up together on the same number of lines."""
    answering_writers: tuple[int, ...]
    """Writers whose rows an answer adds up."""


FULL = Sizes(
    lines=2_000_000,
    rounds=5,
    naive_lines=2_000,
    marks=300,
    at_work_seconds=15.0,
    settle_seconds=2.0,
    stored=(1_000_000, 10_000_000),
    repetitions=20,
    list_customers=10_000,
    list_orders=7,
    load_seconds=3.0,
    customers_lines=1_000_000,
    customers=(10, 1_000, 100_000),
    customers_rounds=3,
    formats_lines=1_000_000,
    disk_lines=1_000_000,
    disk_customers_days=((50, 1), (10_000, 1), (50, 30), (10_000, 30)),
    disk_steady_seconds=35.0,
    writers=(1, 2, 4),
    answering_writers=(1, 4, 16),
)
SHORT = Sizes(
    lines=5_000,
    rounds=1,
    naive_lines=50,
    marks=5,
    at_work_seconds=0.5,
    settle_seconds=0.1,
    stored=(2_000,),
    repetitions=2,
    list_customers=50,
    list_orders=1,
    load_seconds=0.3,
    customers_lines=2_000,
    customers=(500,),
    customers_rounds=1,
    formats_lines=2_000,
    disk_lines=2_000,
    disk_customers_days=((50, 30),),
    disk_steady_seconds=1.0,
    writers=(2,),
    answering_writers=(2,),
)
CUSTOMERS = 50
"""Of a log, where nothing else is said."""
ASKED_CUSTOMERS = 100
"""Of a store that is asked for single customers."""
KEPT_DAYS = 45


class Run:
    """A run of some parts."""

    def __init__(self, sizes: Sizes, folder: Path) -> None:
        """`folder`: for logs and stores; each part uses folders of its own in it."""
        self.sizes = sizes
        self.folder = folder
        self.stores = ["influxdb", "sqlite"] if shutil.which("influxd") else ["sqlite"]
        self._part = ""
        self._began = time.monotonic()
        if "influxdb" not in self.stores:
            self.show("SKIPPED: everything with InfluxDB, because there is no influxd on PATH", lasting=True)

    def begin(self, part: str) -> None:
        """Say that a part begins."""
        self._part = part
        self.show("begins", lasting=True)

    def show(self, doing: str, lasting: bool = False) -> None:
        """Say what is done now: on one line, over and over, where someone looks; what is `lasting` stays."""
        text = f"[{time.monotonic() - self._began:5.0f} s] {self._part} {doing}"
        if sys.stderr.isatty():
            print(f"\r{text}\x1b[K", end="\n" if lasting else "", file=sys.stderr, flush=True)
        elif lasting:
            print(text, file=sys.stderr, flush=True)
