"""`python -m storage setup`: makes what the store needs before its first use."""

import argparse
import sys

from service.logs import configure
from service.settings import load
from storage.backend import set_up
from storage.errors import StorageError
from storage.settings import SetupSettings


def main() -> None:
    """Run the command. Ends with status 1 and a sentence on standard error when it fails."""
    parser = argparse.ArgumentParser(prog="python -m storage", description="The store of the request statistics.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    about = "make what the store needs before its first use; again, it does no harm"
    commands.add_parser("setup", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.parse_args()

    settings = load(SetupSettings)
    configure("setup", settings.logging_level, settings.logging_format)
    try:
        set_up(settings)
    except StorageError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{error.filename} cannot be used: {error.strerror}.")


if __name__ == "__main__":
    main()
