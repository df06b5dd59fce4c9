"""Whose counts the latest commits have changed, so that a few customers' are made anew and not very many's.

Each commit leaves a row: a run, a number that goes up by one, and the customers. It is written after their counts and
before the ledger. Where the outcome of a commit is unknown, another run begins, at 0. A reader keeps the mark (run,
number) of the last row it has seen. Only where that row and all since then are there does it know what has changed;
else it reads all anew. So a row that is lost, late or removed costs time, and never hides a change.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from storage.counts import CountsKey

# InfluxDB's string fields hold 64 KiB. To read so many customers anew takes as long as to read all.
_MAX_CHARACTERS = 32_000

Mark = tuple[int, int]
"""The run and the number of a commit."""


class Commit(NamedTuple):
    """What a commit leaves."""

    run: int
    number: int
    customers: str
    """See `encode_customers`."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What commits after a mark have changed."""

    mark: Mark | None
    """That of the last one; None where there is none."""
    customers: frozenset[str] | None
    """Whose counts they may have changed; None: it cannot be told, so it may be anyone's."""


def changes(commits: Sequence[Commit], since: Mark | None) -> Changes:
    """The changes since a mark. `commits`: from that one on, in their order."""
    if not commits:
        return Changes(None, None)
    first, last = commits[0][:2], commits[-1][:2]
    later = [decode_customers(commit.customers) for commit in commits[1:]]
    is_known = (
        first == since
        and all(after.number == before.number + 1 for before, after in pairwise(commits))
        and None not in later
    )
    return Changes(last, frozenset(name for names in later for name in names or ()) if is_known else None)


def encode_customers(keys: Iterable[CountsKey]) -> str:
    """The customers of these rows of counts, as JSON; `null` where they are too many."""
    text = json.dumps(sorted({customer for customer, _ in keys if customer is not None}), separators=(",", ":"))
    return text if len(text) <= _MAX_CHARACTERS else "null"


def decode_customers(text: str) -> list[str] | None:
    """The reverse of `encode_customers`."""
    names: list[str] | None = json.loads(text)
    return names
