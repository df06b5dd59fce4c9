"""The log shipper: sends the lines of a host's logs to a Kafka topic, each once.

run     follow the logs and send their lines (the default)
verify  compare the files of the logs with the records that the topic has of them
health  exit with status 0 if a shipper runs here and the broker answers it
"""

import argparse
import sys

from log_processor.heartbeat import is_alive
from log_shipper.settings import ShipperHeartbeat, ShipperSettings
from service.printable import sentence
from service.private import keep_files_private
from service.settings import load


def main() -> None:
    keep_files_private()
    parser = argparse.ArgumentParser(
        prog="python -m log_shipper", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", choices=["run", "verify", "health"], default="run", metavar="COMMAND")
    command = parser.parse_args().command
    if command == "health":
        sys.exit(0 if is_alive(load(ShipperHeartbeat).shipper_heartbeat_path) else 1)
    settings = load(ShipperSettings)
    # The health check needs nothing of this.
    if command == "verify":
        from log_shipper.verify import verify

        sys.exit(verify(settings))
    from log_shipper.run import run
    from service import logs

    logs.configure("log_shipper", settings.logging_level, settings.logging_format)
    try:
        run(settings)
    except OSError as error:
        print(sentence(error), file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
