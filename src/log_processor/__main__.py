"""The log processor.

run              follow the logs and store their requests (the default)
check FILE       find the settings for a log by its first thousand lines, or try the given settings
backfill FILE... read old logs into the store, compressed ones too
verify           compare the figures in the store with the files of the logs
retire WRITER    add the rows of a writer that ended to those of the archive; the same as python -m storage retire
health           exit with status 0 if a processor runs here and makes progress
"""

import argparse
import sys
from pathlib import Path

from log_processor.heartbeat import HeartbeatSettings, is_alive
from service.printable import sentence
from service.private import keep_files_private
from service.settings import load


def main() -> None:
    keep_files_private()
    parser = argparse.ArgumentParser(
        prog="python -m log_processor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in ("run", "verify", "health"):
        commands.add_parser(name)
    commands.add_parser("retire").add_argument("writer", metavar="WRITER")
    commands.add_parser("check").add_argument("file", type=Path, metavar="FILE")
    of_backfill = commands.add_parser("backfill")
    of_backfill.add_argument("files", type=Path, nargs="+", metavar="FILE")
    how = of_backfill.add_mutually_exclusive_group()
    how.add_argument("--anyway", action="store_true", help="also read files whose lines seem to be stored")
    how.add_argument(
        "--forget", action="store_true", help="remove files from the store, by their paths or their names in the store"
    )
    arguments = parser.parse_args()
    if arguments.command == "check":
        from log_processor.commands.check import CheckSettings, check

        sys.exit(check(load(CheckSettings), arguments.file))
    sys.exit(_run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    """Run a command. Each imports only what it needs, because the health check runs every few seconds."""
    if arguments.command == "health":
        return 0 if is_alive(load(HeartbeatSettings).heartbeat_path) else 1
    if arguments.command == "retire":
        from log_processor.commands.retire import RetireSettings, retire

        return retire(load(RetireSettings), arguments.writer)
    from log_processor.settings import ProcessorSettings

    settings = load(ProcessorSettings)
    match arguments.command:
        case "verify":
            from log_processor.commands.verify import verify

            return verify(settings)
        case "backfill":
            from log_processor.commands.backfill import backfill, forget_files

            if arguments.forget:
                return forget_files(settings, list(map(str, arguments.files)))
            return backfill(settings, arguments.files, arguments.anyway)
    from log_processor.run import run
    from service import logs
    from storage.errors import StorageRefused

    logs.configure("log_processor", settings.logging_level, settings.logging_format)
    try:
        run(settings)
    except OSError as error:
        print(sentence(error), file=sys.stderr)  # noqa: T201
        return 1
    except StorageRefused as error:
        logs.logger(__name__).error("store_refused", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    main()
