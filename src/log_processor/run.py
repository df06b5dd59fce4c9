"""Builds the processor from its parts, and runs it."""

import threading
import time
from datetime import timedelta
from functools import partial

from bytewax._bytewax import cli_main
from bytewax.dataflow import Dataflow

from log_processor import dataflow
from log_processor.following.collector import Collector
from log_processor.following.followed_logs import MOST_OPEN_FILES, FollowedLogs
from log_processor.following.log_files import LogFiles
from log_processor.following.waiting import LONGEST_WAIT_SECONDS, LOOK_SECONDS, waiter
from log_processor.format_settings import WITH_COLUMNS
from log_processor.parsing.batch import Batch, parse_chunk
from log_processor.parsing.chunk import Chunk
from log_processor.process import metrics
from log_processor.process.idle_workers import do_not_oversleep, let_threads_oversleep
from log_processor.process.reporter import Reporter
from log_processor.process.retry import until_stored
from log_processor.process.shutdown import stop_on_signals
from log_processor.settings import ProcessorSettings
from log_processor.source import LogSource, LogSourcePartition
from log_processor.spool import Spool
from log_processor.storing.dead_letters import DeadLetters
from log_processor.storing.kept_lines import KeptLines
from log_processor.storing.log_handler import LogHandler
from log_processor.storing.starting import Started, start_writer
from service.access.keys import Keys, keys_file
from service.access.private_files import PrivateFile
from service.access.settings import require_keys, warn_of_none
from service.logs import logger
from service.memory import collect_cycles_rarely
from service.open_files import allow_open_files
from service.settings import refuse
from storage.backend import open_storage
from storage.contract import Storage
from storage.errors import StorageUnavailable
from storage.logs import BACKFILL

EPOCH = timedelta(days=1)
"""Length of Bytewax's epochs. Nothing depends on their ends, and each end wakes all workers."""
LONGEST_WAIT_SECONDS_BUSY = 0.01
"""The source's longest wait for lines while a commit is pending, so that the commit is not late."""
SHORTEST_WAIT_SECONDS = 0.001
"""The source's shortest wait between two looks, so that other threads of this process get to work."""

log = logger(__name__)


def run(settings: ProcessorSettings, only_backfill: bool = False) -> None:
    """Follow the logs until a signal asks for a shutdown. `only_backfill`: follow no logs, and return when all logs in
    the spool are stored."""
    if time.time() < 0:
        # Bytewax ends with a traceback.
        refuse("The clock of this machine is before 1970. Set it right, and start again.")
    stop = stop_on_signals(late_status=1 if only_backfill else 0)
    allow_open_files(MOST_OPEN_FILES)
    if settings.metrics_port and not only_backfill:
        metrics.serve(settings.metrics_host, settings.metrics_port, _keys_for_metrics(settings))
    if settings.source == "kafka" and not only_backfill:
        # Its client takes 10 MB.
        from log_processor.kafka.run import run_kafka

        run_kafka(settings, stop)
        return
    storage = open_storage(settings, settings.writer)
    flow = _flow(settings, storage, stop, only_backfill)
    collect_cycles_rarely()
    log.info(
        "started", store=settings.storage, workers=settings.workers, follow=settings.follow, writer=settings.writer
    )
    let_threads_oversleep()
    cli_main(flow, workers_per_process=settings.workers, epoch_interval=EPOCH)  # type: ignore[no-untyped-call]
    try:
        storage.close()
    except StorageUnavailable as error:
        # All requests are stored. The next processor only has to wait some seconds for this one's lease to expire.
        log.warning("store_not_released", reason=str(error))
    log.info("stopped", lines_lost=0)


def _flow(settings: ProcessorSettings, storage: Storage, stop: threading.Event, only_backfill: bool) -> Dataflow:
    """The dataflow from the logs to the store, which goes on where the ledger is. Waits for the lease of the writer."""
    token = until_stored(storage.acquire)
    patterns = [] if only_backfill else settings.patterns()
    files = LogFiles(patterns, settings.named_logs(), settings.outputs(), settings.roots())
    started = start_writer(settings, storage, token, files.latest_modification)
    (logs, counts, rollups), time_bounds, oldest_day, prepare = started
    spool = Spool(settings.backfill_folder)
    spool.say_format(settings.described())
    look_seconds = LOOK_SECONDS[settings.follow]
    parser = settings.parser()
    followed = FollowedLogs(
        files, spool, logs.committed, logs.files, settings.backfill_folder, look_seconds, framing=parser.framing
    )
    max_wait = settings.stream_max_wait_time_in_seconds
    collector = Collector(followed, settings.stream_max_size, max_wait, lambda file: file in logs.files)
    reporter = Reporter(
        storage, followed.observed_ends, settings.heartbeat_path, time_bounds.latest_second, time_bounds.carried
    )
    new = followed.begin(settings.start_position)
    if new:
        for row in new:
            logs.begin(row)
        for part in parse_chunk(collector.news(), parser, 0, logs.file, prepare).parts:
            logs.take(part)
        counts.commit(None, 0, reporter.complete_through, rollups.ledger.through, oldest_day())
    followed.say_begun()
    metrics.begin(name for name in logs.committed if not name.startswith(BACKFILL))

    dead_letters = _dead_letters(settings, storage, started)
    further_days = settings.days_of_counts - settings.retention_days
    handler = LogHandler(
        storage, logs, counts, rollups, dead_letters, reporter, oldest_day, stop, further_days=further_days
    )

    def parse(chunk: Chunk) -> Batch:
        return parse_chunk(
            chunk,
            parser,
            oldest_day(),
            logs.file,
            prepare,
            latest_second=time_bounds.latest_second(),
            too_new=dead_letters.too_new,
            mark=dead_letters.kept.mark,
            template_of=rollups.rules.template_of,
        )

    return dataflow.build(_source(settings, followed, collector, handler, stop, only_backfill), parse, handler)


def _dead_letters(settings: ProcessorSettings, storage: Storage, started: Started) -> DeadLetters:
    return DeadLetters(
        settings.dead_letters_path,
        settings.dead_letters_max_bytes,
        started.counting.logs.files,
        partial(until_stored, storage.check_lease),
        KeptLines(settings.dead_letters_keep, settings.drops_query, settings.log_format in WITH_COLUMNS),
        partial(started.time_bounds.oldest_day, settings.dead_letters_days),
        started.time_bounds.latest,
    )


def _source(
    settings: ProcessorSettings,
    followed: FollowedLogs,
    collector: Collector,
    handler: LogHandler,
    stop: threading.Event,
    only_backfill: bool,
) -> LogSource:
    def longest_wait() -> float:
        if stop.is_set():
            return 0.0
        longest = LONGEST_WAIT_SECONDS_BUSY if handler.is_busy() else LONGEST_WAIT_SECONDS
        return max(SHORTEST_WAIT_SECONDS, min(collector.due_in(), followed.look_in(), longest))

    def stopping() -> bool:
        if only_backfill and followed.are_done:
            stop.set()
        return stop.is_set()

    def partition() -> LogSourcePartition:
        do_not_oversleep()
        waits = waiter(settings.follow, followed, settings.poll_interval_ms / 1000, longest_wait)
        return LogSourcePartition(followed, collector, waits, stopping, handler)

    return LogSource(partition)


def _keys_for_metrics(settings: ProcessorSettings) -> PrivateFile[Keys] | None:
    """The keys, one of which the metrics need; None: everyone sees them. Where the file cannot be used, the program
    exits with status 78."""
    if settings.auth == "none":
        warn_of_none(settings.metrics_host)
    if not settings.asks_for_keys:
        return None
    try:
        require_keys(settings.api_keys_file)
    except ValueError as error:
        refuse(f"AUTH={settings.auth}: {error}")
    return keys_file(settings.api_keys_file)
