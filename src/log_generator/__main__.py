"""Writes request lines until it is stopped or has written MAX_LOGS_TO_GENERATE."""

import argparse
import os
import random
import select
import signal
import sys
import time
from contextlib import closing

from log_generator.log_writer import LogWriter
from log_generator.schedule import TOLERATED_SECONDS, follow, plan
from log_generator.settings import GeneratorSettings
from log_generator.traffic import Traffic
from service.logs import configure, logger
from service.private import keep_files_private
from service.settings import load

log = logger("log_generator")


def main() -> int:
    """Run the service. Returns its exit status."""
    keep_files_private()
    argparse.ArgumentParser(prog="python -m log_generator", description=__doc__).parse_args()
    settings = load(GeneratorSettings)
    configure("log_generator", settings.logging_level, settings.logging_format)
    stop = StopSignal()
    seed = random.getrandbits(32) if settings.log_seed is None else settings.log_seed
    traffic = Traffic(seed, settings.log_customers, settings.log_history_days)
    interval = settings.log_interval_seconds
    try:
        with closing(LogWriter(settings.log_file_path)) as log_file:
            log.info(
                "started",
                path=str(settings.log_file_path),
                batch_size=settings.log_batch_size,
                interval_seconds=interval,
                limit=settings.max_logs_to_generate,
                customers=settings.log_customers,
                history_days=settings.log_history_days,
                seed=seed,
            )
            written = follow(
                plan(settings.log_batch_size, interval, settings.max_logs_to_generate),
                write=lambda count: log_file.append(traffic.lines(count, time.time())),
                wait=stop.wait,
                tolerated=max(interval, TOLERATED_SECONDS),
            )
    except OSError as error:
        log.error("cannot_write", path=str(settings.log_file_path), error=error.strerror)
        return 1
    log.info("ended", lines=written, limit_reached=written == settings.max_logs_to_generate)
    return 0


class StopSignal:
    """Waits for SIGTERM and SIGINT. The signals interrupt nothing: work under way is finished first."""

    def __init__(self) -> None:
        self._wakeup, arrival = os.pipe()
        os.set_blocking(arrival, False)
        signal.set_wakeup_fd(arrival)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Without a Python handler, the signal would not reach the descriptor.
            signal.signal(number, lambda _number, _frame: None)

    def wait(self, seconds: float) -> bool:
        """Wait a number of seconds, or until a signal arrives. Returns whether one has arrived."""
        arrived, _, _ = select.select([self._wakeup], [], [], seconds)
        return bool(arrived)


if __name__ == "__main__":
    sys.exit(main())
