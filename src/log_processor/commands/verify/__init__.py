"""The command `verify`: counts every line in the files of the logs anew, and compares the counts with the store.

It starts from the files. These rules say what is to be counted:

- The files of a log are beside the log, or beside the target of a link at its path, and their names differ from its
  name only in marks of rotation. Files that the store has read belong to it as well, wherever they are. Compressed
  files are read.
- Each byte that the store has read of a file is counted once. If a file begins with all bytes of another file, and
  those have a request, the other file is a copy.
- All other bytes must be accounted for: they are in a gap, belong to another file, were there before the log was
  followed, or are half a line that may become a whole one. Other bytes are reported, and the command fails.
- Bytes that the store has read and no file has any more are reported. The stored requests are counted instead, and only
  days with lines in files are compared.

The command shares with the processor how files are identified, the parsers of all formats but `simple`, and the dead
letters of lines that were too new. It shares nothing that counts.

present      the files that are there
text_file    a file of a log, decompressed
linked       which of them the store has read, and which are copies
committed    how far the store has counted
definitions  the definitions of a request and of the figures, in SQL
recount      counts lines by these definitions
counting     finds the lines to count in the files
daily_rows   compares days row by row, while the store moves on
rollups      compares quarter hours and endpoints
topics       compares days, quarter hours and endpoints of a topic with its records
accounted    finds bytes that are not accounted for
result       the result, for people
"""

import asyncio
import signal
import tempfile
from pathlib import Path

from log_processor.commands.progress_bar import ProgressBar
from log_processor.commands.terminal import say, say_error
from log_processor.commands.verify.daily_rows import compare
from log_processor.commands.verify.result import VerifyResult
from log_processor.commands.verify.text_file import FilesChanged, Unreadable
from log_processor.following.log_files import LogFiles
from log_processor.settings import ProcessorSettings
from storage.backend import open_storage
from storage.contract import Storage
from storage.errors import StorageError

_ATTEMPTS = 3
"""How often the check starts anew because files were rotated, or too many commits came."""
_INTERRUPTED = 128 + signal.SIGINT


def verify(settings: ProcessorSettings) -> int:
    """Print the differences between the files of the logs and the store, or that all agree.

    Returns the exit status: 0 if all that could be checked agrees, 1 if anything differs or nothing could be checked.
    """
    storage = open_storage(settings, settings.writer)
    # asyncio.run would delay Ctrl+C until the next answer of the store.
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
    if settings.source == "kafka":
        return await _verify_topic(storage, settings)
    parse = settings.parser()
    roots = LogFiles(settings.patterns(), settings.named_logs(), roots=settings.roots()).roots
    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    result = await compare(
                        storage,
                        settings.writer,
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
    return _said(result)


async def _verify_topic(storage: Storage, settings: ProcessorSettings) -> int:
    # The client of Kafka takes 10 MB.
    from confluent_kafka import KafkaException

    from log_processor.commands.verify.topics import compare_topic

    with tempfile.TemporaryDirectory(prefix="verify-") as folder:
        try:
            return _said(await compare_topic(storage, settings, Path(folder)))
        except KafkaException as error:
            return _failed(f"The broker does not answer: {error.args[0].str()}.")
        finally:
            await storage.aclose()


def _said(result: VerifyResult | None) -> int:
    """Print the result. Returns the exit status."""
    if result is None:
        say("Nothing could be checked: the store has no ledger, because no log was followed yet.")
        return 1
    say(*result.lines_to_print())
    return result.status
