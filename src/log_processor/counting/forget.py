"""Takes a log out of the store again that was read once and is not followed.

What was read of its file is taken back from the end on, some at a time: each time by a commit of counts and one of
roll-ups, of weight -1, whose requests are read back from the store. A commit that was broken off is done again by the
next start, as all are. The file's row says how much is left, so whoever goes on goes on there. When nothing is left of
it in any row, its requests are removed; a commit without requests tells readers so; and its rows are removed.

The roll-ups have all that is counted when it begins. Their position in the log is written down with the offsets of its
files before: else it would go back with the files.
"""

import math
from collections.abc import Callable
from functools import partial

from log_processor.counting.counts import Counts
from log_processor.counting.logs import Logs
from log_processor.counting.rollups import Rollups
from log_processor.process.retry import until_stored
from storage.contract import Storage
from storage.keys import RolledUpKey
from storage.ledger import encode_rolled_up

# Bytes of a log whose requests are held in memory at once: a million or two.
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
    """Take a log out of the store; how many requests were taken back. `oldest_day`: the first that is kept (days since
    1970-01-01); `advance` is told of the bytes that were taken back."""
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
    # What comes now is not found out later: a successor may have read the same log again.
    until_stored(storage.check_lease)
    until_stored(partial(storage.remove_requests, log, files))
    counts.tell_all_anew(oldest_day)
    until_stored(partial(storage.remove_log, log, files))
    logs.forget_log(log)
    return requests
