"""A real log processor on a log of a test's own, and what it has stored."""

import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import oracle
import programs
from programs import Program
from rollups.counts import RollupKind, RollupRow
from rollups.figures import figures, figures_of_counts
from rollups.groups import group_of, histograms_of_endpoints, histograms_of_hours
from rollups.histogram import Histogram
from running_api import peak_memory
from storage.contract import Storage
from storage.ledger import decode_ledger, decode_rollup_ledger, is_rolled_up
from storage.logs import FileRow, LedgerRow
from storage.writers import MAIN
from stores import Answer, ask, days_of, everyone
from until import WAIT_SECONDS, wait_until

HISTOGRAMS: dict[tuple[RollupKind, ...], Callable[[list[RollupRow], str], Mapping[Any, Histogram]]] = {
    ("parts", "hours"): histograms_of_hours,
    ("endpoints",): histograms_of_endpoints,
}
FIRST_DAY, LAST_DAY = 0, 100_000
# A command reads all that is stored, while other tests have the cores.
COMMAND_SECONDS = 900.0


class Pipeline:
    """`open_storage` opens the store that `environment` names."""

    def __init__(self, folder: Path, environment: dict[str, str], open_storage: Callable[[], Storage]) -> None:
        self.log = folder / "api_requests.log"
        self.output = folder / "log_processor.out"
        self.environment = {
            **os.environ,
            "LOG_FILE_PATH": str(self.log),
            "HEARTBEAT_PATH": str(folder / "heartbeat"),
            "DEAD_LETTERS_PATH": str(folder / "dead_letters.jsonl"),
            "BACKFILL_FOLDER": str(folder / "backfill"),
            "STREAM_MAX_WAIT_TIME_IN_SECONDS": "0.1",
            "START_POSITION": "beginning",
            **environment,
        }
        self.open_storage = open_storage
        self.obeys_permissions = False
        """Whether the permissions of files hold for the processor, see `programs.start`."""
        self._process: Program | None = None

    def start(self, **environment: str) -> None:
        """Start the processor; it need not follow yet when this returns."""
        self._process = self.begin(**environment)

    def begin(self, *arguments: str, **environment: str) -> Program:
        """Start a command of the processor; its output goes to that of the processor."""
        with self.output.open("ab") as output:
            return programs.start(
                "log_processor",
                *arguments,
                env={**self.environment, **environment},
                stdout=output,
                obeys_permissions=self.obeys_permissions,
            )

    def run(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run another command of the processor to its end, beside the one that follows."""
        return programs.run(
            "log_processor", *arguments, env={**self.environment, **environment}, timeout=COMMAND_SECONDS
        )

    def send(self, number: signal.Signals) -> None:
        """Send the processor a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = WAIT_SECONDS) -> int:
        """End the processor by a signal, within so many seconds; its exit status."""
        self.send(number)
        return self.wait(seconds)

    def wait(self, seconds: float = WAIT_SECONDS) -> int:
        """The processor's exit status, when it has ended."""
        assert self._process is not None
        status = self._process.wait(timeout=seconds)
        self._process = None
        return status

    def status(self) -> int | None:
        """The processor's exit status; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def peak_memory(self) -> int:
        """The most memory that the processor has had, in bytes."""
        assert self._process is not None
        return peak_memory(self._process.pid)

    def close(self) -> None:
        """End what runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def append(self, lines: bytes) -> None:
        """Append to the log."""
        with self.log.open("ab") as log:
            log.write(lines)

    def until_said(self, text: str, times: int) -> None:
        """Wait until the processor has written a text to its log this often."""
        self.until(lambda: self.said().count(text) >= times, f"{text.strip()}, {times} times")

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until the condition holds."""

        def holds() -> bool:
            if condition():
                return True
            is_there = self._process is None or self._process.poll() is None
            assert is_there, f"the processor ended before {what}:\n{self.said()[-3000:]}"
            return False

        wait_until(holds, what, self.said)

    def until_stored(self, offset: int | None = None) -> None:
        """Wait until all files of the log are read to their ends and committed; or the log only, to the offset."""
        self.until(lambda: self._is_read(offset), f"all is read{f' to {offset}' if offset is not None else ''}")
        self.until(self.is_committed, "the commit has ended")

    def _is_read(self, offset: int | None) -> bool:
        rows = {int(row.identity.partition("-")[0] or 0): row for row in self.files() if row.log == self.log_name}
        if offset is not None:
            return rows[self.log.stat().st_ino].offset == offset if self.log.stat().st_ino in rows else False
        for path in self.log.parent.glob(f"{self.log.name}*"):
            found = path.stat()
            row = rows.get(found.st_ino)
            if found.st_size and (row is None or (row.state != "copy" and row.offset < found.st_size)):
                return False
        return bool(rows) or not self.log.exists() or not self.log.stat().st_size

    def said(self) -> str:
        """What the processor has printed."""
        return self.output.read_text(errors="replace")

    @property
    def writer(self) -> str:
        """The processor's writer."""
        return self.environment.get("WRITER", MAIN)

    @property
    def log_name(self) -> str:
        """What the log is called in the store."""
        return self.environment.get("LOG_NAME", "api_requests")

    def files(self) -> list[FileRow]:
        """How far the files of all logs of the writer are read."""
        return [row for writer, row in self.ask(lambda storage: storage.files()) if writer == self.writer]

    def ledger(self) -> list[LedgerRow]:
        """The writer's ledger, a row per log."""
        return [row for writer, row in self.ask(lambda storage: storage.logs()) if writer == self.writer]

    def is_committed(self) -> bool:
        """Whether no commit is under way: its rows of logs are written before its ledger is."""

        async def is_committed(storage: Storage) -> bool:
            intents = await storage.intents({self.writer: None})
            states = [state for state in await storage.states() if state.writer == self.writer]
            # Before the first commit there is none.
            numbers = [decode_ledger(state.counts).number for state in states]
            return bool(numbers) and max((intent.number for intent in intents), default=0) <= max(numbers)

        return self.ask(is_committed)

    def until_rolled_up(self) -> None:
        """Wait until the roll-ups have all that the ledger has."""
        self.until(self.is_rolled_up, "all is rolled up")

    def is_rolled_up(self) -> bool:
        """Whether the roll-ups have all that the ledger has."""
        states = self.ask(lambda storage: storage.states())
        (state,) = (state for state in states if state.writer == self.writer)
        return is_rolled_up(decode_ledger(state.counts), decode_rollup_ledger(state.rollups))

    def rolled_up(self) -> dict[tuple[str, str, str | int], oracle.Figures]:
        """Every figure by hour and endpoint in the store, in the oracle's form."""

        async def rolled_up(storage: Storage) -> dict[tuple[str, str, str | int], oracle.Figures]:
            return {
                (name, (date(1970, 1, 1) + timedelta(days=day)).isoformat(), part): figures(histogram)
                for name in await storage.customer_names()
                for kinds, histograms in HISTOGRAMS.items()
                for day, rows in (await storage.rollups(group_of(name), kinds, FIRST_DAY, LAST_DAY)).items()
                for part, histogram in histograms(rows, name).items()
            }

        return self.ask(rolled_up)

    def stored(self) -> dict[tuple[str | None, str], oracle.Figures]:
        """Every figure in the store, in the oracle's form."""

        async def stored(storage: Storage) -> dict[tuple[str | None, str], oracle.Figures]:
            names = [*await everyone(storage, FIRST_DAY, LAST_DAY), None]
            return {
                (name, (date(1970, 1, 1) + timedelta(days=day)).isoformat()): figures_of_counts(counts)
                for name in names
                for day, counts in (await days_of(storage, name, FIRST_DAY, LAST_DAY)).items()
            }

        return self.ask(stored)

    def ask(self, question: Callable[[Storage], Awaitable[Answer]]) -> Answer:
        """Ask the store by a connection of its own."""
        storage = self.open_storage()
        try:
            return ask(storage, question)
        finally:
            storage.close()
