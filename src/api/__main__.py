"""Serves the statistics of the stored requests over HTTP, until SIGTERM or SIGINT.

keys  make, list and revoke the keys that AUTH=keys asks for
"""

import argparse
import sys

from api import keys_command
from api.settings import ApiSettings
from service.access.keys import keys_file
from service.access.settings import warn_of_none
from service.logs import configure
from service.memory import return_large
from service.private import keep_files_private
from service.settings import load


def main() -> None:
    keep_files_private()
    parser = argparse.ArgumentParser(
        prog="python -m api", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    keys_command.add_arguments(commands.add_parser("keys"))
    arguments = parser.parse_args()
    if arguments.command == "keys":
        sys.exit(keys_command.run(arguments))
    _serve(load(ApiSettings))


def _serve(settings: ApiSettings) -> None:
    """Build the application and serve it. The command does without its imports, which take a second."""
    from api.access.access import KeyAccess
    from api.access.limits import Limits
    from api.access.proxy import Proxy
    from api.access.sessions import Sessions
    from api.app import build_app
    from api.http.server import listen, serve
    from storage.backend import open_storage

    configure("api", settings.logging_level, settings.logging_format)
    # The columns of the list of customers are made anew after each commit.
    return_large()
    access = None
    if settings.asks_for_keys:
        keys = keys_file(settings.api_keys_file)
        # Or else the first request waits for it: with very many keys, for seconds.
        keys.content()
        access = KeyAccess(
            keys,
            Sessions(settings.session_secret_file),
            Limits(settings.key_requests_per_second),
            Proxy(settings.proxies(), settings.api_host.startswith("unix:")) if settings.auth == "proxy" else None,
        )
    elif settings.auth == "none":
        warn_of_none(settings.api_host)
    listener = listen(settings.api_host, settings.api_port)
    # A page of a rebound name has no key. But it could say whom a proxy on this machine names.
    hosts = settings.hosts() if settings.auth != "keys" else None
    app = build_app(
        open_storage(settings),
        settings.retention_days,
        settings.origins(),
        hosts,
        access,
        settings.days_of_counts,
        settings.time_zone,
    )
    serve(app, listener, settings.logging_level, app.state.events.end)


if __name__ == "__main__":
    main()
