"""A model of numbered commits: what each of their steps is for.

A writer counts the lines of a log in rows, some lines a commit. Between any two of its steps it may die, or sleep while
another writer takes over. A sleeper that wakes up goes on where it was. Of several values of a row that of the latest
writer counts.

    take the lease -> read ledger and intent -> [ intent -> read the lease back -> rows -> ledger ]*

This is the order of log_processor.counting, in a page of code of its own. Thousands of random runs take seconds.
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

LINES, NAMES, LARGEST_COMMIT = 40, "abcde", 7
RUNS = 1_000


class Row(NamedTuple):
    """A row, the ledger, or an intent."""

    writer: int = 0
    commit: int = 0
    lines: int = 0
    """Counted lines: of a row those with its name; of the ledger, and of an intent after its commit, all."""


@dataclass
class Shared:
    """The log, and the store."""

    log: str
    lease: int = 0
    rows: dict[str, Row] = field(default_factory=dict)

    def read(self, name: str) -> Row:
        return self.rows.get(name, Row())

    def write(self, name: str, row: Row) -> None:
        if self.read(name).writer <= row.writer:
            self.rows[name] = row


def write_commits(shared: Shared, me: int, pick: random.Random, has_intent: bool, reads_lease: bool) -> Iterator[None]:
    """What a writer does. It may stop wherever it yields."""
    # The token of a lease that lands late is lower than those acquired since.
    shared.lease = max(shared.lease, me)
    yield
    ledger = shared.read("ledger")
    yield
    intent = shared.read("intent")
    yield
    while ledger.lines < LINES:
        number = ledger.commit + 1
        if has_intent and intent.commit == number:
            end = intent.lines
        else:
            end = min(LINES, ledger.lines + pick.randint(1, LARGEST_COMMIT))
        intent = Row(me, number, end)
        shared.write("intent", intent)
        yield
        if reads_lease and shared.lease != me:
            return
        news = Counter(shared.log[ledger.lines : end])
        for name in pick.sample(sorted(news), len(news)):
            row = shared.read(name)
            yield
            if row.commit < number:
                shared.write(name, Row(me, number, row.lines + news[name]))
                yield
        ledger = Row(me, number, end)
        shared.write("ledger", ledger)
        yield


def is_right(seed: int, has_intent: bool = True, reads_lease: bool = True) -> bool:
    """Whether each line is counted once after a random run."""
    pick = random.Random(seed)
    shared = Shared("".join(pick.choices(NAMES, k=LINES)))
    asleep: list[Iterator[None]] = []
    for me in range(1, 30):
        writer = write_commits(shared, me, pick, has_intent, reads_lease)
        # Sleepers disturb the last writer, but no successor does.
        steps = pick.randrange(60) if me < 29 else 1_000
        for _ in range(steps):
            next(writer, None)
            if asleep and pick.random() < 0.3:
                next(pick.choice(asleep), None)
        if pick.random() < 0.7:
            asleep.append(writer)
    return all(shared.read(name).lines == shared.log.count(name) for name in NAMES)


def test_each_line_is_counted_once() -> None:
    assert all(map(is_right, range(RUNS)))


@pytest.mark.parametrize("without", ["has_intent", "reads_lease"])
def test_without_the_intent_or_the_check_of_the_lease_some_lines_are_not(without: str) -> None:
    assert not all(is_right(seed, **{without: False}) for seed in range(RUNS))
