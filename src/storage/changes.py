"""Whose counts the latest commits have changed, and of which days, so that only those are read again.

Each commit leaves a row: a run, a number that goes up by one, and what it changed. It is written after the counts and
before the ledger. With each processor, and where the outcome of a commit is unknown, another run begins. Its numbers go
on, or its first row says after which row it came: what that one's run has changed beyond it is not in the ledger, so
it is read from the log again, and is in this run's rows. A reader keeps the mark (run, number) of the last row it has
seen. Only where that row and all since then are there does it know what has changed; else it reads all anew. So a row
that is lost, late or removed costs time, and never hides a change.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypedDict

from rollups.counts import CountsKey

# InfluxDB's string fields hold 64 KiB. To read so many customers anew takes as long as to read all.
_MAX_CHARACTERS = 32_000

Mark = tuple[int, int]
"""The run and the number of a commit."""


class Commit(NamedTuple):
    """What a commit leaves."""

    run: int
    number: int
    changed: str
    """See `encode_changed`."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What commits after a mark have changed."""

    mark: Mark | None
    """That of the last one; None where there is none."""
    customers: frozenset[str] | None
    """Whose counts they may have changed, beside those of all together; None: it cannot be told, so it may be
    anyone's."""
    days: frozenset[int] = frozenset()
    """Of which days (since 1970-01-01) they may have changed these customers' counts, and those of all together."""


def changes(commits: Sequence[Commit], since: Mark | None) -> Changes:
    """The changes since a mark. `commits`: from that one on, in their order."""
    if not commits:
        return Changes(None, None)
    first, last = commits[0][:2], commits[-1][:2]
    if first != since:
        return Changes(last, None)
    known: list[_Changed] = []
    for before, commit in pairwise(commits):
        changed = _decode_changed(commit.changed)
        if changed is None or not _follows(before, commit, changed):
            return Changes(last, None)
        known.append(changed)
    return Changes(
        last,
        frozenset(customer for changed in known for customer in changed["customers"]),
        frozenset(day for changed in known for day in changed["days"]),
    )


def encode_changed(keys: Collection[CountsKey], after: Mark | None = None) -> str:
    """The customers and the days of these rows of counts, as JSON; `null` where they are too many. `after`: the mark of
    the commit before, where the number does not tell it."""
    changed: _Changed = {
        "customers": sorted({customer for customer, _ in keys if customer is not None}),
        "days": sorted({day for _, day in keys}),
    }
    if after is not None:
        changed["after"] = [*after]
    text = json.dumps(changed, separators=(",", ":"))
    return text if len(text) <= _MAX_CHARACTERS else "null"


class _After(TypedDict, total=False):
    after: list[int]


class _Changed(_After):
    customers: list[str]
    days: list[int]


def _decode_changed(text: str) -> _Changed | None:
    """The reverse of `encode_changed`; None where it cannot be told, as by rows of before, which are lists."""
    changed: _Changed | list[str] | None = json.loads(text)
    return changed if isinstance(changed, dict) else None


def _follows(before: Commit, commit: Commit, changed: _Changed) -> bool:
    return commit.number == before.number + 1 or changed.get("after") == [before.run, before.number]
