"""The command `retire`: adds the rows of a writer that ended to those of the archive, and refuses its name then."""

from log_processor.commands.terminal import say
from log_processor.counting.retire import retire as move_rows
from service import logs
from storage.backend import open_storage
from storage.errors import LeaseHeld, StorageError
from storage.settings import CommandSettings, StorageSettings
from storage.writers import ARCHIVE


class RetireSettings(StorageSettings, CommandSettings):
    """Settings of `retire`."""


def retire(settings: RetireSettings, writer: str) -> int:
    """Retire a writer. Returns the exit status: 0 if it is retired now."""
    if writer == ARCHIVE:
        say(f"The {ARCHIVE} has the rows of retired writers: it cannot be retired itself.")
        return 1
    logs.configure("storage", settings.logging_level, settings.logging_format)
    storage, archive = open_storage(settings, writer), open_storage(settings, ARCHIVE)
    try:
        is_done = move_rows(storage, archive, writer)
    except LeaseHeld as error:
        say(f"{error} Nothing is retired.")
        return 1
    except StorageError as error:
        say(str(error))
        return 1
    finally:
        storage.close()
        archive.close()
    done = "is retired: its counts are the archive's" if is_done else "was retired before"
    say(f"Writer {writer} {done}.")
    return 0
