"""Serves the statistics of the stored requests over HTTP, until SIGTERM or SIGINT.

keys  make, list and revoke the keys that AUTH=keys asks for
"""

import argparse
import sys

from api.access import command as keys
from api.settings import ApiSettings
from service.logs import configure
from service.private import keep_files_private
from service.settings import load


def main() -> None:
    """Run the command, or the service."""
    keep_files_private()
    parser = argparse.ArgumentParser(
        prog="python -m api", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    keys.add_arguments(commands.add_parser("keys"))
    arguments = parser.parse_args()
    if arguments.command == "keys":
        sys.exit(keys.run(arguments))
    _serve(load(ApiSettings))


def _serve(settings: ApiSettings) -> None:
    """Build the application and serve it. The command does without its imports, which take a second."""
    from api.app import build_app
    from api.http.server import listen, serve
    from storage.backend import open_storage

    configure("api", settings.logging_level, settings.logging_format)
    listener = listen(settings.api_host, settings.api_port)
    app = build_app(open_storage(settings), settings.retention_days, settings.origins(), settings.hosts())
    serve(app, listener, settings.logging_level, app.state.events.end)


if __name__ == "__main__":
    main()
