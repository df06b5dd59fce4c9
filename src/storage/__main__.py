"""`python -m storage`: makes what the store needs before its first use, copies and restores a SQLite store, retires a
writer, and replaces the secrets of InfluxDB's admin."""

import argparse
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

from service.logs import configure, logger
from service.printable import printable, sentence
from service.private import keep_files_private
from service.settings import load
from storage.backend import set_up
from storage.errors import StorageError
from storage.settings import AdminSettings, BackupSettings, SetupSettings
from storage.sqlite.backup import back_up, restore

log = logger(__name__)


def main() -> None:
    """Run a command. Ends with status 1 and a sentence on standard error when it fails."""
    keep_files_private()
    parser = argparse.ArgumentParser(prog="python -m storage", description="The store of the request statistics.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, about in (
        ("setup", "make what the store needs before its first use; again, it does no harm"),
        ("backup", "copy the SQLite store to a new file, also while a processor runs"),
        ("restore", "put such a copy in the place of the SQLite store; the processor has to be stopped"),
        ("retire", "add the rows of a writer that ended to those of the archive, and refuse its name afterwards"),
        ("replace-admin", "give InfluxDB's first user a new token and password, and delete the old token"),
    ):
        command = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        if name == "replace-admin":
            command.add_argument("token", type=Path, metavar="TOKEN_FILE", help="where the new token is written")
            command.add_argument("password", type=Path, metavar="PASSWORD_FILE", help="and the new password")
        elif name == "retire":
            command.add_argument("writer", metavar="WRITER", help="the name of the writer")
        elif name != "setup":
            command.add_argument("file", type=Path, metavar="FILE", help="the copy")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "setup":
                _set_up()
            case "retire":
                # A commit that was broken off is redone first. The store knows nothing of counting.
                os.execv(sys.executable, [sys.executable, "-m", "log_processor", "retire", arguments.writer])
            case "replace-admin":
                _replace_admin(arguments.token, arguments.password)
            case command:
                _copy(command, arguments.file)
    except StorageError as error:
        sys.exit(printable(str(error)))
    except OSError as error:
        sys.exit(sentence(error))


def _set_up() -> None:
    settings = load(SetupSettings)
    configure("setup", settings.logging_level, settings.logging_format)
    set_up(settings)


def _replace_admin(token: Path, password: Path) -> None:
    from storage.influxdb.admin import replace_admin

    settings = load(AdminSettings)
    configure("storage", settings.logging_level, settings.logging_format)
    replace_admin(settings, token, password)


def _copy(command: str, copy: Path) -> None:
    settings = load(BackupSettings)
    configure("storage", settings.logging_level, settings.logging_format)
    store = settings.sqlite_path
    if command == "backup":
        log.info("backed_up", path=str(store), copy=str(copy), bytes=back_up(store, copy))
        return
    replaced = store.with_name(f"{store.name}.replaced-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}")
    was_there = restore(copy, store, replaced)
    log.info("restored", path=str(store), copy=str(copy), replaced=str(replaced) if was_there else None)


if __name__ == "__main__":
    main()
