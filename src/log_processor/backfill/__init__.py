"""Reads old logs into the store, by the rules and under identities like those of the logs that are followed.

Only one process writes to a store. So the files are copied into a folder, log_processor.spool, from which the processor
takes them while it follows its logs; where none runs, one is run here for as long as there are any.

news   what of a file is not in the store yet
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from log_processor import log_handler
from log_processor.backfill.news import News, head_of, news_of
from log_processor.progress import Progress
from log_processor.run import run
from log_processor.settings import ProcessorSettings
from log_processor.spool import Spool, Waiting
from log_processor.unpacked import NoLog, unpacked
from service import logs
from storage.backend import open_storage
from storage.contract import MAIN, FileRow, LedgerRow, Storage, StorageError, StorageHeld, StorageUnavailable

_BLOCK_BYTES = 1 << 20
_LOOK_SECONDS = 0.2
# Longer than a processor that works may be without a commit.
_SILENT_SECONDS = 60.0


def backfill(settings: ProcessorSettings, paths: list[Path]) -> int:
    """Read the files, show how far that is, and say what came of it. The exit status: 0 where all is in the store."""
    try:
        spool = Spool(settings.backfill_folder)
        before, _ = _stored(settings)
        copied = {}
        status = 0
        for path in dict.fromkeys(path.absolute() for path in paths):
            try:
                if spool.has_one_like(head_of(path)):
                    # What is new in this one depends on what the store has of that.
                    _wait_until_stored(settings, spool)
                news = news_of(path, *_stored(settings))
                if news is None:
                    _say(f"{path}: nothing is new in it.")
                else:
                    _say(f"{path}: {news.end - news.begin:,} bytes are new.")
                    copied[spool.add(path, news.begin, _blocks(path, news), news.name)] = path
            except NoLog as error:
                _say(str(error))
                status = 1
        _wait_until_stored(settings, spool)
        now, _ = _stored(settings)
        for name, path in copied.items():
            _say(_what_came_of(path, now[name], before.get(name)))
        return status
    except StorageError as error:
        _say(str(error))
    except OSError as error:
        _say(f"{error.filename} cannot be written: {error.strerror}.")
    except KeyboardInterrupt:
        _say("Stopped. What was copied is read by the next processor, or backfill, that runs.")
    return 1


def _stored(settings: ProcessorSettings) -> tuple[dict[str, LedgerRow], list[FileRow]]:
    """The ledger, a row a log, and the files of the logs."""

    async def ask(storage: Storage) -> tuple[dict[str, LedgerRow], list[FileRow]]:
        try:
            # The logs later: each file is one of a log that is found then.
            files = [row for writer, row in await storage.files() if writer == MAIN]
            return {row.log: row for writer, row in await storage.logs() if writer == MAIN}, files
        finally:
            await storage.aclose()
            storage.close()

    return asyncio.run(ask(open_storage(settings)))


def _blocks(path: Path, news: News) -> Iterator[bytes]:
    """The file up to where what is new ends."""
    with unpacked(path) as file:
        left = news.end
        while left and (block := file.read(min(_BLOCK_BYTES, left))):
            left -= len(block)
            yield block


def _wait_until_stored(settings: ProcessorSettings, spool: Spool) -> None:
    """Until the processor has stored all that waits; where none runs, it is run here."""
    while waiting := spool.waiting():
        if _is_held(settings):
            _show_progress(settings, spool, waiting)
        else:
            logs.configure("log_processor", "WARNING", settings.logging_format)
            # Of each rejected line there is a dead letter, and a count in the end.
            logging.getLogger(log_handler.__name__).setLevel(logging.ERROR)
            watching = threading.Thread(target=_show_progress, args=(settings, spool, waiting), daemon=True)
            watching.start()
            run(settings, only_backfill=True)
            if spool.waiting():
                # By a signal.
                raise KeyboardInterrupt
            watching.join()


def _show_progress(settings: ProcessorSettings, spool: Spool, logs: Sequence[Waiting]) -> None:
    """Show how far these logs are read, until all are, or none has come further for some time."""
    progress = Progress()
    begins = {log.name: log.begin for log in logs}
    moved, through = time.monotonic(), 0
    with progress.of(sum(log.size - log.begin for log in logs)):
        while any(map(spool.is_waiting, begins)) and time.monotonic() < moved + _SILENT_SECONDS:
            try:
                ledger, _ = _stored(settings)
            except StorageUnavailable:
                # The processor waits for it, too.
                ledger = {}
            now = sum(ledger[name].position.offset - begin for name, begin in begins.items() if name in ledger)
            if now > through:
                progress.advance(now - through)
                moved, through = time.monotonic(), now
            time.sleep(_LOOK_SECONDS)


def _is_held(settings: ProcessorSettings) -> bool:
    """Whether a processor runs that writes to this store."""
    storage = open_storage(settings)
    try:
        storage.acquire()
    except StorageHeld:
        return True
    finally:
        storage.close()
    return False


def _what_came_of(path: Path, row: LedgerRow, before: LedgerRow | None) -> str:
    read, stored = row.read, row.stored
    rejected = Counter({reason.value: lines for reason, lines in row.rejected.items()})
    if before is not None:
        read, stored = read - before.read, stored - before.stored
        rejected -= Counter({reason.value: lines for reason, lines in before.rejected.items()})
    reasons = f" ({', '.join(f'{reason} {lines:,}' for reason, lines in sorted(rejected.items()))})" if rejected else ""
    return f"{path}: {read:,} lines read, {stored:,} stored, {read - stored:,} rejected{reasons}."


def _say(text: str) -> None:
    print(text)  # noqa: T201
