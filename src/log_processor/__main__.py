"""The log processor.

run     follows the logs and stores their requests (the default)
verify  checks the store's numbers against the logs' files
health  says by its exit status whether a processor runs here and moves on
"""

import argparse
import sys

from log_processor.reporting import is_alive
from log_processor.settings import ProcessorSettings
from service import logs
from service.settings import load


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m log_processor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", choices=["run", "verify", "health"], default="run")
    command = parser.parse_args().command
    settings = load(ProcessorSettings)
    # Each command imports what it needs: the health check is asked every few seconds.
    if command == "health":
        sys.exit(0 if is_alive(settings.heartbeat_path) else 1)
    if command == "verify":
        from log_processor.verify import verify

        sys.exit(verify(settings))
    from log_processor.run import run

    logs.configure("log_processor", settings.logging_level, settings.logging_format)
    try:
        run(settings)
    except OSError as error:
        sys.exit(f"{error.filename} cannot be used: {error.strerror}.")


if __name__ == "__main__":
    main()
