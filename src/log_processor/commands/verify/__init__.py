"""Checks the numbers: counts every line anew that is in a log's files, and compares that with the store.

It starts from the files. Its rule of what is to be counted:

- A log's files are those whose names differ from the log's in marks of rotation alone, beside the log and beside what
  a link at its path points to; and those that the store says it has read, wherever they are. Compressed ones are read.
- Each byte of a file that the store says it has read is counted once. A file that begins with all that is in another
  one, with a request in it, is the same file further on: the other one is its copy.
- All other bytes are accounted for only if they are in a gap, are those of another file, were there before the log was
  followed, or are half a line that may become a whole one. Else they are told, and not all agrees.
- What the store has read and no file has any more is told. In its place the stored requests are counted, and only days
  are compared of which there are lines in files.

It shares nothing with the pipeline but what tells a file by its names and its bytes, the parsers of formats that are
not our own, and the dead letters, which tell what was too new when it was read; nothing of counts.

present    the files that are there
linked     which of them the store has read, and which are copies
committed  how far the commits of the store are
recount    the definitions of a request and of the figures, in SQL
counting   counts the lines of files
check      compares days row by row, while the store moves on
roll_ups   compares quarter hours and endpoints
accounted  finds bytes that nobody accounts for
"""

import asyncio
import signal
import tempfile
from pathlib import Path

from log_processor.commands.progress_bar import ProgressBar
from log_processor.commands.saying import say, say_error
from log_processor.commands.verify.check import check
from log_processor.commands.verify.text_file import FilesChanged, Unreadable
from log_processor.following.log_files import LogFiles
from log_processor.settings import ProcessorSettings
from storage.backend import open_storage
from storage.contract import MAIN, Storage
from storage.errors import StorageError

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
    except (StorageError, FilesChanged, Unreadable) as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename} cannot be read: {error.strerror}.")
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        loop.close()
        storage.close()


def _failed(reason: str) -> int:
    say_error(reason)
    return 1


async def _verify(storage: Storage, settings: ProcessorSettings) -> int:
    parse = settings.parser()
    named = {settings.log_file_path: settings.log_name}
    roots = LogFiles(settings.patterns(), named, roots=settings.roots()).roots
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    outcome = await check(
                        storage,
                        MAIN,
                        settings.retention_days,
                        parse if settings.log_format != "simple" else None,
                        settings.dead_letters_path,
                        Path(folder),
                        ProgressBar(),
                        framing=parse.framing,
                        roots=roots,
                    )
                    break
                except FilesChanged:
                    # Rotated while it was read, or too many commits came.
                    if attempt == _ATTEMPTS:
                        raise
        finally:
            await storage.aclose()
    if outcome is None:
        say("Nothing could be checked: the store has no ledger, for no log was ever followed.")
        return 1
    say(outcome.text())
    return outcome.status
