"""Which requests a writer has stored beside their counts: a row with a change for each setting that it ever had."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from request_log.line import MAX_SECONDS_AHEAD
from storage.damage import reading

KeptRequests = Literal["all", "failed", "none"]
"""Which requests are stored."""
_ORDER: Sequence[KeptRequests] = ("none", "failed", "all")


class Change(NamedTuple):
    """From when on which requests were stored."""

    since: int
    """Unix time (s)."""
    kept: KeptRequests


def encode_kept(changes: Sequence[Change]) -> str:
    return json.dumps(changes, separators=(",", ":"))


def decode_kept(text: str) -> list[Change]:
    """The reverse of `encode_kept`; of an empty text no change: all are stored. Raises DamagedRow."""
    with reading("requests, which of them are stored,", text):
        return [Change(*change) for change in json.loads(text)] if text else []


def changed(changes: Sequence[Change], kept: KeptRequests, now: int, oldest: int) -> list[Change]:
    """The changes after a start at `now`, without what ended before `oldest` (Unix times, s)."""
    found = [one for one, later in pairwise(changes) if later.since + MAX_SECONDS_AHEAD >= oldest]
    found += changes[-1:]
    if found and found[0].kept == "all" and found[0].since + MAX_SECONDS_AHEAD < oldest:
        del found[0]
    if kept != (found[-1].kept if found else "all"):
        found.append(Change(now, kept))
    return found


def least_kept(changes: Sequence[Change], start: int) -> KeptRequests:
    """Which requests of a time from `start` (Unix time, s) on are stored at least. A line may be read at any time after
    its own, and a little before it."""
    kept: KeptRequests = "all"
    found: list[KeptRequests] = []
    for change in changes:
        if change.since + MAX_SECONDS_AHEAD > start:
            found.append(kept)
        kept = change.kept
    return least([*found, kept])


def merged(changes: Sequence[Change], others: Sequence[Change]) -> list[Change]:
    """The changes of two writers as if they were one: what both of them have stored."""
    found: list[Change] = []
    for since in sorted({change.since for change in (*changes, *others)}):
        kept = least([_at(changes, since), _at(others, since)])
        if kept != (found[-1].kept if found else "all"):
            found.append(Change(since, kept))
    return found


def _at(changes: Sequence[Change], time: int) -> KeptRequests:
    return next((change.kept for change in reversed(changes) if change.since <= time), "all")


def least(of: Sequence[KeptRequests]) -> KeptRequests:
    """The least of these; all where there are none."""
    return min(of, key=_ORDER.index, default="all")
