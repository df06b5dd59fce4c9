"""The change feed: which customers' counts the latest commits have changed, and of which days.

The intent of each commit names them. A reader keeps a cursor for each writer: the last commit that it has seen, and the
place of its intent. The reader knows what has changed only if that intent and the intents of all commits since are
there. Else everything is invalid. So a lost intent costs time and never hides a change; nor does a store that was
emptied or put back to an older state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from storage.damage import or_default
from storage.ledger import Intent, StoredIntent, decode_intent


class Cursor(NamedTuple):
    """How far a reader has seen the commits of a writer."""

    number: int
    """Of the last commit that was seen."""
    place: int
    """Of its intent, see StoredIntent; 0 where the intent was not found."""
    token: int
    """The fencing token of its process. In a store that was put back, another process does a commit of this number."""


Cursors = Mapping[str, Cursor]
"""Writer -> cursor."""

_BEFORE_ALL = Cursor(0, 0, 0)
# In the place of an intent that cannot be read: it may have changed any customer.
_DAMAGED = Intent(0, 0, (), 0, 0, 0, customers=None)


@dataclass(frozen=True, slots=True)
class Invalidations:
    """What commits after the cursors have changed."""

    cursors: Cursors
    """From which the next invalidations follow."""
    customers: frozenset[str] | None
    """Customers whose counts may have changed, beside the counts of all together; None where any may have."""
    days: frozenset[int] = frozenset()
    """Days (since 1970-01-01) of which these customers' counts, and those of all together, may have changed."""


def invalidations(intents: Sequence[StoredIntent], since: Cursors | None, through: Mapping[str, int]) -> Invalidations:
    """What has changed since the cursors (None: nothing was seen yet).

    `intents`: of each writer those from its cursor on, in the order of their places. `through`: writer -> the number of
    the last commit, as its ledger has it.
    """
    cursors: dict[str, Cursor] = {}
    customers: set[str] = set()
    days: set[int] = set()
    is_known = since is not None and since.keys() <= through.keys()
    for writer, number in through.items():
        own = [one for one in intents if one.writer == writer]
        # Of two intents with one number, the later one was committed.
        last = {one.number: one for one in own}
        cursors[writer] = _cursor(number, last)
        before = (since or {}).get(writer, _BEFORE_ALL)
        is_seen = not before.number or (before.number in last and _cursor(before.number, last) == before)
        is_known = is_known and is_seen and before.number <= number
        is_known = is_known and all(commit in last for commit in range(before.number + 1, number + 1))
        for one in own if is_known else ():
            if before.number < one.number <= number:
                intent = or_default(decode_intent, one.row, _DAMAGED)
                is_known = is_known and intent.customers is not None
                customers.update(intent.customers or ())
                days.update(intent.days)
    return Invalidations(cursors, frozenset(customers), frozenset(days)) if is_known else Invalidations(cursors, None)


def intents_since(cursors: Cursors | None, writers: Iterable[str]) -> dict[str, int | None]:
    """The argument of Storage.intents for what follows the cursors of these writers."""
    known = cursors or {}
    return {writer: (known[writer].place or None) if writer in known else None for writer in writers}


def _cursor(number: int, found: Mapping[int, StoredIntent]) -> Cursor:
    """The cursor of a commit, by the intents that were found: without its own intent the cursor matches none."""
    if number not in found:
        return Cursor(number, 0, 0)
    return Cursor(number, found[number].place, or_default(decode_intent, found[number].row, _DAMAGED).token)
