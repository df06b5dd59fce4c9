"""`python -m log_processor` follows the log; `python -m log_processor health` says whether it does."""

import argparse
import sys
import time
from datetime import timedelta

from bytewax._bytewax import cli_main

from log_processor import dataflow
from log_processor.ending import stop_on_signals
from log_processor.heartbeat import Heartbeat, is_alive
from log_processor.log_handler import LogHandler
from log_processor.settings import ProcessorSettings
from log_processor.source import Collector, LogSource
from log_processor.start_position import ledger_row
from log_processor.tail import Tail
from request_log.line import SECONDS_A_DAY
from service import logs
from service.settings import load
from storage.backend import open_storage

# How often the counts are written. A signal to end, a crash or a slow store does not change what is stored.
EPOCH = timedelta(seconds=0.2)

log = logs.logger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m log_processor", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["run", "health"], default="run")
    command = parser.parse_args().command
    settings = load(ProcessorSettings)
    if command == "health":
        sys.exit(0 if is_alive(settings.heartbeat_path) else 1)
    logs.configure("log_processor", settings.logging_level)
    run(settings)


def run(settings: ProcessorSettings) -> None:
    """Follow the log until a signal says to end."""
    stop = stop_on_signals()

    def oldest_day() -> int:
        return int(time.time()) // SECONDS_A_DAY - settings.retention_days

    storage = open_storage(settings)
    row = ledger_row(storage, settings.log_name, settings.log_file_path, settings.start_position, stop)

    def collector() -> Collector:
        tail = Tail(settings.log_file_path, row.position, row.fingerprint)
        return Collector(settings.log_name, tail, settings.stream_max_size, settings.stream_max_wait_time_in_seconds)

    settings.heartbeat_path.parent.mkdir(parents=True, exist_ok=True)
    source = LogSource(
        collector,
        timedelta(milliseconds=settings.poll_interval_ms),
        stop.is_set,
        Heartbeat(settings.heartbeat_path).beat,
    )
    flow = dataflow.build(source, LogHandler(storage, [row], oldest_day, stop), oldest_day)
    log.info(
        "following",
        log=str(settings.log_file_path),
        store=settings.storage,
        workers=settings.workers,
        generation=row.position.generation,
        offset=row.position.offset,
    )
    cli_main(flow, workers_per_process=settings.workers, epoch_interval=EPOCH)  # type: ignore[no-untyped-call]
    storage.close()
    log.info("stopped", lines_lost=0)


if __name__ == "__main__":
    main()
