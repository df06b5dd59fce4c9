"""What a start does: it finds out how far the writer is, and redoes a commit that was broken off."""

from functools import partial
from typing import NamedTuple

from log_processor.counting.daily import Counts
from log_processor.counting.limits import LIMITS, Limits
from log_processor.counting.logs import Logs, read_logs
from log_processor.counting.rollups import Rollups
from log_processor.process.retry import until_stored
from rollups.rules import DEFAULT, Rules
from storage.contract import Storage
from storage.errors import StorageRefused
from storage.ledger import Intent, decode_intent, decode_ledger, decode_rollup_intent, decode_rollup_ledger
from storage.rules import decode_rules


class Counting(NamedTuple):
    """Everything that counts for one writer."""

    logs: Logs
    counts: Counts
    rollups: Rollups


def start(
    storage: Storage,
    token: int,
    settings: str,
    limits: Limits = LIMITS,
    rules: Rules | None = DEFAULT,
    has_journal: bool = False,
    may_be_retired: bool = False,
) -> Counting:
    """Start to count, with the lease. `token`: its fencing token. `settings`: see Intent.settings. `rules`: hold for
    what is not counted yet; None: the latest that are stored. `has_journal`: see Counts. `may_be_retired`: else the
    program ends where the writer was retired."""
    if not may_be_retired:
        until_stored(partial(_refuse_retired, storage))
    # A predecessor that was paused may go on meanwhile, and finish the commits that it has begun. So the ledgers are
    # read before the intents, and the intents before the rows of the logs. A commit then either is in the ledger, with
    # all its rows stored, or it is redone, which gives the logs the rows of its intent.
    ledger = until_stored(lambda: decode_ledger(storage.read_state("counts")))
    rollup_ledger = until_stored(lambda: decode_rollup_ledger(storage.read_state("rollups")))
    broken_off: list[Intent] = []
    # There is more than one where the store was put back to an older ledger.
    while text := until_stored(partial(storage.read_intent, ledger.number + len(broken_off) + 1)):
        broken_off.append(until_stored(partial(decode_intent, text)))
    rollup_intent = until_stored(partial(storage.read_state, "rollups_intent"))
    history = until_stored(lambda: decode_rules(storage.read_state("rules")))
    logs = read_logs(storage, settings)
    # So nothing of this was written by a successor, which may be in the middle of a commit.
    until_stored(storage.check_lease)

    counts = Counts(storage, logs, ledger, token, settings, limits, has_journal)
    for intent_of_counts in broken_off:
        counts.redo(intent_of_counts)
    rollups = Rollups(storage, logs, counts, rollup_ledger, token, limits, history)
    if rollup_intent:
        intent_of_rollups = until_stored(partial(decode_rollup_intent, rollup_intent))
        if intent_of_rollups.number == rollup_ledger.number + 1:
            rollups.redo(intent_of_rollups)
    rollups.read_backlog()
    if rules is not None:
        rollups.begin_rules(rules)
    return Counting(logs, counts, rollups)


def _refuse_retired(storage: Storage) -> None:
    if storage.read_state("retired"):
        raise StorageRefused("This writer was retired: its counts are the archive's now. Choose another name, WRITER.")
