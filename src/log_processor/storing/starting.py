"""Starts a writer after its lease is acquired.

It reads how far the counts are. It sets the bounds of request times from the clocks.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from log_processor.counting.limits import LIMITS
from log_processor.counting.start import Counting, start
from log_processor.parsing.batch import Prepare
from log_processor.process.retry import until_stored
from log_processor.process.time_bounds import TimeBounds
from log_processor.settings import ProcessorSettings
from log_processor.storing.kept_requests import note_kept, preparing
from request_log.line import SECONDS_A_DAY
from storage.contract import Storage
from storage.damage import or_default
from storage.ledger import decode_report


class Started(NamedTuple):
    counting: Counting
    time_bounds: TimeBounds
    oldest_day: Callable[[], int]
    """The first day whose requests are kept (since 1970-01-01)."""
    prepare: Prepare
    """Makes the requests ready that are stored."""


def start_writer(
    settings: ProcessorSettings, storage: Storage, token: int, latest_modification: Callable[[], float] = float
) -> Started:
    """Continue where the writer's ledger says. `token`: the fencing token of its lease. `latest_modification`: tells
    the latest modification of a log (Unix time, s); 0: not known."""
    counting = start(
        storage,
        token,
        settings.described(),
        LIMITS._replace(new_customers=settings.new_customers_a_day),
        settings.rules(),
        has_journal=settings.store_requests != "all",
    )
    report = or_default(decode_report, until_stored(partial(storage.read_state, "report")), None)
    time_bounds = TimeBounds(
        newest=max((row.newest for row in counting.logs.committed.values()), default=0),
        modified=latest_modification(),
        latest_second=report.latest_second if report is not None else 0,
        carried=report.carried if report is not None else 0,
    )
    oldest_day = partial(time_bounds.oldest_day, settings.retention_days)
    note_kept(storage, settings.store_requests, time.time(), oldest_day() * SECONDS_A_DAY)
    return Started(counting, time_bounds, oldest_day, preparing(settings.store_requests, storage.prepare))
