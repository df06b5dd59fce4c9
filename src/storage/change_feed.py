"""Whose counts the latest commits have changed, and of which days, so that only those are read again.

Each commit has an intent, which says that. A reader keeps a mark for each writer: the last commit that it has seen, and
where its intent lies. Only where that one and the intents of all commits since then are there does it know what has
changed; else it reads all anew. So an intent that is lost or removed costs time, and never hides a change; nor does a
store that was emptied or put back to an older state.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from storage.ledger import StoredIntent, decode_intent


class Cursor(NamedTuple):
    """How far a reader has seen a writer's commits."""

    number: int
    """Of the last commit."""
    place: int
    """Of its intent, see StoredIntent; 0: it was not found."""
    token: int
    """Of the lease of the process that did it: in a store that was put back another one does a commit of this
    number."""


Cursors = Mapping[str, Cursor]
"""By writer."""

_BEFORE_ALL = Cursor(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Invalidations:
    """What commits after a mark have changed."""

    cursors: Cursors
    customers: frozenset[str] | None
    """Whose counts they may have changed, beside those of all together; None: it cannot be told, so it may be
    anyone's."""
    days: frozenset[int] = frozenset()
    """Of which days (since 1970-01-01) they may have changed these customers' counts, and those of all together."""


def invalidations(intents: Sequence[StoredIntent], since: Cursors | None, through: Mapping[str, int]) -> Invalidations:
    """The changes since the cursors, through the commit of each writer that its ledger has.

    `intents`: those of each writer from its mark on, in the order of their places. `since` None: nothing was seen.
    """
    cursors: dict[str, Cursor] = {}
    customers: set[str] = set()
    days: set[int] = set()
    is_known = since is not None and since.keys() <= through.keys()
    for writer, number in through.items():
        own = [one for one in intents if one.writer == writer]
        # Of two of a number the later one is done.
        last = {one.number: one for one in own}
        cursors[writer] = _cursor(number, last)
        before = (since or {}).get(writer, _BEFORE_ALL)
        is_seen = not before.number or (before.number in last and _cursor(before.number, last) == before)
        is_known = is_known and is_seen and before.number <= number
        is_known = is_known and last.keys() >= {*range(before.number + 1, number + 1)}
        for one in own if is_known else ():
            if before.number < one.number <= number:
                intent = decode_intent(one.row)
                is_known = is_known and intent.customers is not None
                customers.update(intent.customers or ())
                days.update(intent.days)
    return Invalidations(cursors, frozenset(customers), frozenset(days)) if is_known else Invalidations(cursors, None)


def intents_since(cursors: Cursors | None, writers: Iterable[str]) -> dict[str, int | None]:
    """From where on the intents of these writers are to be read, see Storage.intents."""
    known = cursors or {}
    return {writer: (known[writer].place or None) if writer in known else None for writer in writers}


def _cursor(number: int, found: Mapping[int, StoredIntent]) -> Cursor:
    """The mark of a commit, by the intents that were found; one that is never seen again where its own was not."""
    if number not in found:
        return Cursor(number, 0, 0)
    return Cursor(number, found[number].place, decode_intent(found[number].row).token)
