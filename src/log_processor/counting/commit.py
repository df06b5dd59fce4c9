"""The order of a commit, by which it happens exactly once.

    requests, or the journal -> intent -> the lease read back -> rows -> ledger

Each step is durable before the next one begins. The ledger is one row, which is the commit point. Every other row has
the number of the last commit that counted in it. A start that finds an intent beyond the ledger redoes exactly
that commit: it adds to the rows with a lower number, and leaves the others.

The lease is read back after the intent. So if a process has lost its lease, either its successor finds the intent, or
the process finds out and writes no row.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from log_processor.process.retry import until_stored
from storage.contract import Storage
from storage.keys import Rows


def commit(
    storage: Storage, intent: Rows, rows: Iterator[tuple[Rows, ...]], ledger: Rows, journal: Sequence[Rows] = ()
) -> None:
    """Do a commit. `rows`: an iterator of arguments of Storage.write, consumed one by one. `journal`: the rows from
    which a redo reads the requests that are not stored."""
    until_stored(storage.flush)
    until_stored(partial(storage.write, *journal, intent))
    until_stored(storage.check_lease)
    for groups in rows:
        until_stored(partial(storage.write, *groups))
    until_stored(partial(storage.write, ledger))
