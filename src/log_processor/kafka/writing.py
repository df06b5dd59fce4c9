"""What counts and stores for one partition, while this process has the lease of its writer."""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from log_processor.counting.daily import Counts
from log_processor.counting.logs import Logs
from log_processor.counting.rollups import Rollups
from log_processor.kafka.beginning import Beginning
from log_processor.parsing.batch import Prepare
from log_processor.process.reporter import Reporter
from log_processor.process.time_bounds import TimeBounds
from log_processor.settings import ProcessorSettings
from log_processor.storing.dead_letters import DeadLetters
from log_processor.storing.log_handler import LogHandler
from log_processor.storing.starting import start_writer
from storage.contract import Storage
from storage.observed import ObservedEnd

LAST_ROLLUPS_SECONDS = 0.2
"""Time for each writer's roll-ups during a shutdown. The next start reads back what is left."""


class Writing(NamedTuple):
    """The parts of a processor that a writer has for itself."""

    storage: Storage
    logs: Logs
    counts: Counts
    rollups: Rollups
    reporter: Reporter
    handler: LogHandler
    time_bounds: TimeBounds
    oldest_day: Callable[[], int]
    prepare: Prepare
    """Makes the requests ready that are stored."""

    def begin(self, beginning: Beginning) -> None:
        """Commit where reading begins, if that is news."""
        if not beginning.before:
            return
        for part in beginning.before:
            self.logs.take(part)
        self.counts.commit(None, 0, self.reporter.complete_through, self.rollups.ledger.through, self.oldest_day())


def begin_writing(
    settings: ProcessorSettings,
    storage: Storage,
    token: int,
    log: str,
    dead_letters: DeadLetters,
    observed_ends: Callable[[], Sequence[ObservedEnd]],
    stop: threading.Event,
) -> Writing:
    """Continue where the writer's ledger says, with its lease. `token`: the fencing token of the lease."""
    (logs, counts, rollups), time_bounds, oldest_day, prepare = start_writer(settings, storage, token)
    dead_letters.note_beyond(logs.files, {log, *logs.committed})
    reporter = Reporter(storage, observed_ends, settings.heartbeat_path, time_bounds.latest_second, time_bounds.carried)
    handler = LogHandler(
        storage,
        logs,
        counts,
        rollups,
        dead_letters,
        reporter,
        oldest_day,
        stop,
        further_days=settings.days_of_counts - settings.retention_days,
        last_rollups_seconds=LAST_ROLLUPS_SECONDS,
    )
    return Writing(storage, logs, counts, rollups, reporter, handler, time_bounds, oldest_day, prepare)
