"""What a start does: it finds out how far the writer is, and does a broken-off commit again."""

from functools import partial
from typing import NamedTuple

from log_processor.counting.counts import Counts
from log_processor.counting.limits import LIMITS, Limits
from log_processor.counting.logs import Logs, read_logs
from log_processor.counting.rollups import Rollups
from log_processor.process.retry import until_stored
from storage.contract import Storage
from storage.ledger import Intent, decode_intent, decode_ledger, decode_rollup_intent, decode_rollup_ledger


class Counting(NamedTuple):
    """Everything that counts for one writer."""

    logs: Logs
    counts: Counts
    rollups: Rollups


def start(storage: Storage, token: int, settings: str, limits: Limits = LIMITS) -> Counting:
    """Start to count, with the lease. `token`: its fencing token. `settings`: see Intent.settings."""
    # A predecessor that was paused may go on meanwhile, and finish the commits that it has begun. So the ledgers are
    # read before the intents, and the intents before the rows of the logs. A commit then either is in the ledger, with
    # all its rows stored, or it is done again, which gives the logs the rows of its intent.
    ledger = decode_ledger(until_stored(partial(storage.read_state, "counts")))
    roll_up_ledger = decode_rollup_ledger(until_stored(partial(storage.read_state, "rollups")))
    broken_off: list[Intent] = []
    # There is more than one where the store was put back to an older ledger.
    while intent := until_stored(partial(storage.read_intent, ledger.number + len(broken_off) + 1)):
        broken_off.append(decode_intent(intent))
    roll_up_intent = until_stored(partial(storage.read_state, "rollups_intent"))
    logs = read_logs(storage, settings)
    # So nothing of this was written by a successor, which may be in the middle of a commit.
    until_stored(storage.check_lease)

    counts = Counts(storage, logs, ledger, token, settings, limits)
    for of_commit in broken_off:
        counts.do_again(of_commit)
    rollups = Rollups(storage, logs, counts, roll_up_ledger, token, limits)
    if roll_up_intent:
        of_roll_up = decode_rollup_intent(roll_up_intent)
        if of_roll_up.number == roll_up_ledger.number + 1:
            rollups.do_again(of_roll_up)
    rollups.take_from_store()
    return Counting(logs, counts, rollups)
