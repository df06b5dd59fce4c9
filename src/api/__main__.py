"""Serves the statistics of the stored requests over HTTP, until SIGTERM or SIGINT."""

import argparse

from api.app import build_app
from api.http.server import listen, serve
from api.settings import ApiSettings
from service.logs import configure
from service.private import keep_files_private
from service.settings import load
from storage.backend import open_storage


def main() -> None:
    """Load and check the settings, build the application, serve it."""
    keep_files_private()
    argparse.ArgumentParser(prog="python -m api", description=__doc__).parse_args()
    settings = load(ApiSettings)
    configure("api", settings.logging_level, settings.logging_format)
    listener = listen(settings.api_host, settings.api_port)
    app = build_app(open_storage(settings), settings.retention_days, settings.origins(), settings.hosts())
    serve(app, listener, settings.logging_level, app.state.events.end)


if __name__ == "__main__":
    main()
