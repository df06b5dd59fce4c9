"""Forgets a backfilled log: takes it out of the store again.

The counts of its files are taken back from the end on, a step at a time. Each step is a commit of counts and a commit
of roll-ups of weight -1, whose requests are read back from the store. The next start redoes a broken-off step, like any
commit. The row of a file says how much is left, so another run continues there. When no row has counts of the log
any more, its requests are removed, an empty commit tells readers of the change feed, and its rows are removed.

At the beginning the roll-ups have all that is counted, and their position in the log is stored with the offsets of all
files. Without these, the position would move back with the rows of the files.
"""

import math
from collections.abc import Callable
from functools import partial

from log_processor.counting.daily import Counts
from log_processor.counting.logs import Logs
from log_processor.counting.rollups import Rollups
from log_processor.process.retry import until_stored
from storage.contract import Storage
from storage.keys import RolledUpKey
from storage.ledger import encode_rolled_up

# Bytes of a log in one step: their requests, a million or two, are held in memory.
STEP_BYTES = 64 << 20


def forget(
    storage: Storage,
    logs: Logs,
    counts: Counts,
    rollups: Rollups,
    log: str,
    oldest_day: int,
    advance: Callable[[int], None] = lambda count: None,
    step_bytes: int = STEP_BYTES,
) -> int:
    """Take a log out of the store, and return how many requests were taken back.

    `oldest_day`: the first day that is kept (since 1970-01-01). `advance`: called with the bytes of each step.
    """
    rollups.finish(math.inf)
    keys = sorted(key for key in logs.files if key.log == log)
    if keys:
        rolled_up = logs.with_offsets(log)
        until_stored(partial(storage.write, {RolledUpKey(log): encode_rolled_up(rolled_up)}))
        logs.roll_up({log: rolled_up})
    requests = 0
    for key in keys:
        while (row := logs.files[key]).offset > row.start:
            start = max(row.start, row.offset - step_bytes)
            requests += counts.take_back(key, start, oldest_day)
            rollups.take_back()
            advance(row.offset - start)
    rollups.finish(math.inf)
    files = [logs.file(*key) for key in keys]
    # From here on nothing is checked: a successor may have read the same log again.
    until_stored(storage.check_lease)
    until_stored(partial(storage.remove_requests, log, files))
    counts.invalidate_all(oldest_day)
    until_stored(partial(storage.remove_log, log, files))
    logs.forget_log(log)
    return requests
