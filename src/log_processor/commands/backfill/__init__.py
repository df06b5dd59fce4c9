"""The command `backfill`: reads old logs into the store, by the same rules as the logs that are followed.

Only one process writes to a store. So the files are copied into the spool, from which the processor reads them while it
follows its logs. If no processor runs, the command runs one until the spool is empty.

unread  the ranges of a file that the store does not have yet
known   finds known bytes in a text
sample  samples the lines that are to be read
"""

import asyncio
import io
import logging
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

from log_processor.commands.backfill.known import ByteRange
from log_processor.commands.backfill.sample import are_known, sample
from log_processor.commands.backfill.unread import InputFile, unread_of
from log_processor.commands.progress_bar import ProgressBar
from log_processor.commands.terminal import by_kind, say
from log_processor.counting.forget import forget
from log_processor.counting.start import Counting, start
from log_processor.following.compressed import NoLog, decompressed
from log_processor.process.time_bounds import TimeBounds
from log_processor.run import run
from log_processor.settings import ProcessorSettings
from log_processor.spool import Spool, SpooledLog
from log_processor.storing import log_handler
from request_log.formats import w3c
from request_log.framing.protocol import Contexts
from service import logs
from service.printable import sentence
from storage.backend import open_storage
from storage.contract import Storage
from storage.errors import LeaseHeld, StorageError, StorageUnavailable
from storage.kept import decode_kept
from storage.logs import BACKFILL, FileRow, LedgerRow

_LOOK_SECONDS = 0.2
"""Time between two looks at the progress of the processor."""
_SILENT_SECONDS = 60.0
"""A processor without a commit for this long is taken for dead."""

Answer = TypeVar("Answer")


def backfill(settings: ProcessorSettings, paths: list[Path], anyway: bool = False) -> int:
    """Read files into the store, show the progress, and print the result. `anyway`: also read files whose sampled lines
    are all stored. Returns the exit status: 0 if everything is in the store."""
    try:
        spool = Spool(settings.backfill_folder)
        if _is_held(settings) and spool.format() != settings.described():
            say(f"The running processor reads {spool.format()}, and not {settings.described()}: stop it first.")
            return 1
        copied: dict[Path, list[str]] = {}
        status = 0
        not_understood: dict[Path, NotUnderstood] = {}
        for path in dict.fromkeys(path.absolute() for path in paths):
            try:
                copied[path] = _hand_in(settings, spool, path, anyway)
            except NotUnderstood as error:
                not_understood[path] = error
            except NoLog as error:
                say(str(error))
                status = 1
        for path, reason in not_understood.items():
            if any(copied.values()):
                # Other files have the format, so the lines of this one are rejected and counted.
                copied[path] = _hand_in(settings, spool, path, anyway, is_rejected=True)
            else:
                say(f"{reason}, so nothing is read.")
                status = 1
        _wait_until_stored(settings, spool)
        now, _ = _ask(settings, partial(_stored, of_writer=settings.writer))
        for path, names in copied.items():
            if names:
                say(_result(path, [now[name] for name in names]))
        return status
    except StorageError as error:
        say(str(error))
    except OSError as error:
        say(sentence(error))
    except KeyboardInterrupt:
        say("Stopped. The next processor or backfill reads what was copied.")
    return 1


def forget_files(settings: ProcessorSettings, files: list[str]) -> int:
    """Remove files from the store, by their paths or by the names of their logs. Returns the exit status: 0 if none of
    them is in the store any more."""
    logs.configure("log_processor", "WARNING", settings.logging_format)
    storage = open_storage(settings, settings.writer)
    try:
        token = storage.acquire()
        counting = start(storage, token, settings.described(), rules=None)
        if decode_kept(storage.read_state("requests")):
            say("Not all requests are, or were, stored (STORE_REQUESTS), so their counts cannot be taken back.")
            return 1
        try:
            status = max(_forget_file(settings, storage, counting, file) for file in files)
        finally:
            counting.counts.close()
    except LeaseHeld:
        say("A processor is running. Stop it first: nothing can be removed meanwhile.")
        return 1
    except StorageError as error:
        say(str(error))
        return 1
    finally:
        storage.close()
    return status


def _forget_file(settings: ProcessorSettings, storage: Storage, counting: Counting, file: str) -> int:
    """Remove one file. Returns the exit status."""
    rows = counting.logs.committed
    found = [row for row in rows.values() if row.log.startswith(BACKFILL) and file in (row.log, row.path)]
    found = found or [
        row for row in rows.values() if row.log.startswith(BACKFILL) and row.path == str(Path(file).absolute())
    ]
    if not found:
        say(f"{file} is neither the path nor the name of a backfilled file; /status lists both.")
        return 1
    time_bounds = TimeBounds(max(row.newest for row in rows.values()), 0)
    for row in found:
        if Spool(settings.backfill_folder).is_waiting(row.log):
            say(f"{row.path}: {row.log} is still in the spool: let a processor, or backfill, read it first.")
            return 1
        progress = ProgressBar()
        with progress.of(row.bytes):
            oldest_day = time_bounds.oldest_day(settings.retention_days)
            requests = forget(storage, *counting, row.log, oldest_day, progress.advance)
        say(f"{row.path}: {requests:,} requests of {row.log} were removed.")
    return 0


class NotUnderstood(NoLog):
    """No sampled line of a file is a request in the format."""


def _hand_in(
    settings: ProcessorSettings, spool: Spool, path: Path, anyway: bool, is_rejected: bool = False
) -> list[str]:
    """Copy the unread ranges of a file into the spool. Returns the names of the copies.

    `is_rejected`: also copy a range of which no line is understood. Raises NoLog if nothing is to be read.
    """
    with ExitStack() as stack:
        stack.enter_context(spool.adding())
        text, found = stack.enter_context(decompressed(path, spool.folder))
        file = InputFile(text, text.seek(0, io.SEEK_END), (found.st_dev, found.st_ino))
        waiting = []
        for one in spool.waiting():
            # A log that has just been removed from the spool is stored.
            with suppress(FileNotFoundError):
                waiting.append(stack.enter_context(one.path.open("rb")))
        ledger, rows = _ask(settings, partial(_stored, of_writer=settings.writer))
        time_bounds = TimeBounds(max((row.newest for row in ledger.values()), default=0), found.st_mtime)
        oldest_day = time_bounds.oldest_day(settings.retention_days)
        parse = settings.parser()
        unread = unread_of(file, waiting, ledger.values(), rows, parse.framing is w3c.FRAMING)
        contexts = Contexts(parse.framing, file.read)
        for span in unread:
            sampled = sample(file, span, parse)
            if not sampled:
                reason = f"{path}: no line {_of(file, span)}is understood as {settings.described()}"
                if not is_rejected:
                    raise NotUnderstood(reason)
                say(f"{reason}: its lines are rejected.")
                continue
            are_known_in = partial(are_known, sampled, oldest_day, waiting=waiting)
            if not anyway and _ask(settings, are_known_in):
                raise NoLog(
                    f"{path}: all lines {_of(file, span)}that were looked up are stored already, so nothing is read. "
                    "`backfill --anyway` reads the file."
                )
        count = sum(span.end - span.start for span in unread)
        say(f"{path}: {count:,} bytes are new." if unread else f"{path}: nothing is new in it.")
        return [spool.add(path, file.blocks(span), contexts.at(span.start)) for span in unread]


def _of(file: InputFile, span: ByteRange) -> str:
    """Names a range of a file, followed by a space; "" for the whole file."""
    return f"from byte {span.start:,} to {span.end:,} " if span != (0, file.size) else ""


def _ask(settings: ProcessorSettings, question: Callable[[Storage], Awaitable[Answer]]) -> Answer:
    async def ask(storage: Storage) -> Answer:
        try:
            return await question(storage)
        finally:
            await storage.aclose()
            storage.close()

    return asyncio.run(ask(open_storage(settings, settings.writer)))


async def _stored(storage: Storage, of_writer: str) -> tuple[dict[str, LedgerRow], list[FileRow]]:
    """A writer's ledger, with a row for each log, and the files of its logs."""
    # Files are read first, so that the log of each file is found.
    files = [row for writer, row in await storage.files() if writer == of_writer]
    return {row.log: row for writer, row in await storage.logs() if writer == of_writer}, files


def _wait_until_stored(settings: ProcessorSettings, spool: Spool) -> None:
    """Wait until the processor has stored the spool. If none runs, run one."""
    while waiting := spool.waiting():
        if _is_held(settings):
            _show_progress(settings, spool, waiting)
        else:
            logs.configure("log_processor", "WARNING", settings.logging_format)
            # Rejected lines are not logged: they are dead letters, and are counted in the result.
            logging.getLogger(log_handler.__name__).setLevel(logging.ERROR)
            watching = threading.Thread(target=_show_progress, args=(settings, spool, waiting), daemon=True)
            watching.start()
            run(settings, only_backfill=True)
            if spool.waiting():
                # A signal has stopped it.
                raise KeyboardInterrupt
            watching.join()


def _show_progress(settings: ProcessorSettings, spool: Spool, spooled: Sequence[SpooledLog]) -> None:
    """Show the progress of these logs, until all are read, or none has moved for some time."""
    progress = ProgressBar()
    names = [log.name for log in spooled]
    moved, through = time.monotonic(), 0
    with progress.of(sum(log.size for log in spooled)):
        while any(map(spool.is_waiting, names)) and time.monotonic() < moved + _SILENT_SECONDS:
            try:
                ledger, _ = _ask(settings, partial(_stored, of_writer=settings.writer))
            except StorageUnavailable:
                # The processor waits for the store as well.
                ledger = {}
            now = sum(ledger[name].bytes for name in names if name in ledger)
            if now > through:
                progress.advance(now - through)
                moved, through = time.monotonic(), now
            time.sleep(_LOOK_SECONDS)


def _is_held(settings: ProcessorSettings) -> bool:
    storage = open_storage(settings, settings.writer)
    try:
        storage.acquire()
    except LeaseHeld:
        return True
    finally:
        storage.close()
    return False


def _result(path: Path, rows: Sequence[LedgerRow]) -> str:
    read, stored, skipped = (sum(map(attrgetter(name), rows)) for name in ("read", "stored", "skipped"))
    rejected: Counter[str] = Counter()
    mended: Counter[str] = Counter()
    for row in rows:
        rejected.update({reason.value: lines for reason, lines in row.rejected.items()})
        mended.update({what.value: requests for what, requests in row.mended.items()})
    counts = [f"{read:,} lines read", f"{stored:,} stored", f"{rejected.total():,} rejected{by_kind(rejected)}"]
    if skipped:
        counts.append(f"{skipped:,} skipped")
    if mended:
        counts.append(f"mended{by_kind(mended)}")
    return f"{path}: {', '.join(counts)}."
