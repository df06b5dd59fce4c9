"""The processor on a log that is there already, until all of it is stored."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.fresh_stores import FreshStore, fresh_store
from bench.processes import Service
from bench.run import Run
from storage.logs import Position

LOOK_SECONDS = 0.05
LINES_A_SECOND_AT_LEAST = 2_000


def processor(fresh: FreshStore, log: Path, **settings: str) -> Service:
    """A processor that reads the log from its beginning into the store."""
    return Service(
        "log_processor",
        fresh.folder,
        {
            "LOG_FILE_PATH": str(log),
            "HEARTBEAT_PATH": str(fresh.folder / "heartbeat"),
            "DEAD_LETTERS_PATH": str(fresh.folder / "dead_letters.jsonl"),
            "BACKFILL_FOLDER": str(fresh.folder / "backfill"),
            "START_POSITION": "beginning",
            **fresh.store.environment,
            **settings,
        },
    )


def catch_up(
    fresh: FreshStore, log: Path, lines: int, watch: Callable[[int], None] = lambda pid: None, **settings: str
) -> float:
    """Seconds from when the processor begins with the log until the ledger is at its end.

    `watch` gets the process's number many times a second. Raises RuntimeError unless each line is stored.
    """
    with processor(fresh, log, **settings) as service:
        began = service.until_event("following")
        ended = asyncio.run(until_stored(fresh, service, log.stat().st_size, lines, watch))
    return ended - began


@contextmanager
def filled_store(run: Run, kind: str, log: Path, lines: int) -> Iterator[FreshStore]:
    """A fresh store with all lines of the log, to be asked."""
    run.show(f"fills {kind} with {lines:,} lines")
    with fresh_store(kind, run.folder) as fresh:
        catch_up(fresh, log, lines)
        run.show(f"asks {kind} with {lines:,} lines")
        yield fresh


async def until_stored(
    fresh: FreshStore, service: Service, size: int, lines: int, watch: Callable[[int], None] = lambda pid: None
) -> float:
    """Wait until the ledger is at the log's end, `size` bytes; when that was (Unix time, s)."""
    storage = fresh.store.open()
    end = Position(0, size)
    deadline = time.monotonic() + 60 + lines / LINES_A_SECOND_AT_LEAST
    while True:
        service.must_run()
        ledger = [row for _, row in await storage.logs()]
        now = time.time()
        if ledger and ledger[0].position == end:
            break
        if time.monotonic() > deadline:
            raise TimeoutError(f"{lines:,} lines are not stored: {ledger}")
        watch(service.pid)
        await asyncio.sleep(LOOK_SECONDS)
    await storage.aclose()
    if not ledger[0].read == ledger[0].stored == lines:
        raise RuntimeError(f"{lines:,} lines, but the ledger says {ledger[0]}")
    return now
