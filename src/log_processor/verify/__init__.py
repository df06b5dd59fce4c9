"""Checks the numbers: recomputes every customer's every day from the log's files, and compares them with the store.

It shares nothing with the pipeline but the fingerprint, which tells what file a position is in, the parsers of formats
that are not our own, and the dead letters, which tell what was too new when it was read; nothing of counts.

committed    how far the commits of the store are
generations  the log's files, rotated and compressed ones too, by generation
recount      the definitions of a request and of the figures, in SQL
covered_log  what of the ledger is still in files, and whether the two agree
check        compares row by row, while the store moves on
"""

import asyncio
import signal
import sys
import tempfile
from pathlib import Path

from log_processor.progress import Progress
from log_processor.settings import ProcessorSettings
from log_processor.verify.check import check
from log_processor.verify.generations import FilesChanged
from storage.backend import open_storage
from storage.contract import MAIN, Storage, StorageError

_ATTEMPTS = 3
_INTERRUPTED = 128 + signal.SIGINT


def verify(settings: ProcessorSettings) -> int:
    """Print what differs between the logs' files and the store, or that all agree. The exit status: 0 where all that
    could be checked agrees, 1 where something differs or nothing could be checked."""
    storage = open_storage(settings)
    # With asyncio.run Ctrl+C would be heard at the next answer of the store alone, not while lines are counted.
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_verify(storage, settings))
    except (StorageError, FilesChanged) as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename} cannot be read: {error.strerror}.")
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        loop.close()
        storage.close()


def _failed(reason: str) -> int:
    print(reason, file=sys.stderr)  # noqa: T201
    return 1


async def _verify(storage: Storage, settings: ProcessorSettings) -> int:
    parse = settings.parser() if settings.log_format != "simple" else None
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    outcome = await check(
                        storage,
                        MAIN,
                        settings.retention_days,
                        parse,
                        settings.dead_letters_path,
                        Path(folder),
                        Progress(),
                    )
                    break
                except FilesChanged:
                    # Rotated while it was read, or too many commits came.
                    if attempt == _ATTEMPTS:
                        raise
        finally:
            await storage.aclose()
    if outcome is None:
        print("Nothing could be checked: the store has no ledger, for no log was ever followed.")  # noqa: T201
        return 1
    print(outcome.text())  # noqa: T201
    return outcome.status
