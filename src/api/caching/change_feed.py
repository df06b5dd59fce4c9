"""Whose counts have changed lately, and of which days, by the looks at the store that found it."""

from collections import deque
from itertools import takewhile
from typing import NamedTuple

from storage.change_feed import Cursors, Invalidations

_LOOKS_KEPT = 1_000


def likely_to_change(days: range) -> range:
    """Those of a range of days that are: lines come late at midnight."""
    return days[-2:]


class _Look(NamedTuple):
    """One that found changes."""

    number: int
    days: frozenset[int]


class RecentChanges:
    """What was read after a look has all that the looks up to it had found: it is stale when there is a later one that
    found changes of it. Looks are numbered, those that found none alike."""

    def __init__(self) -> None:
        self.marks: Cursors | None = None
        """After which commits the next look begins; None before the first one."""
        self.number = 0
        """Of the latest look that found changes."""
        self.of_all = 0
        """The number of the latest look that could not tell what has changed."""
        self._of_customers: dict[str, int] = {}
        self._looks: deque[_Look] = deque(maxlen=_LOOKS_KEPT)
        """Those since then, as many as are kept, the latest first."""

    def note(self, changes: Invalidations) -> None:
        """What a look has found."""
        self.marks = changes.cursors
        if changes.customers is None:
            self.number += 1
            self.of_all = self.number
            self._of_customers.clear()
            self._looks.clear()
        elif changes.days:
            self.number += 1
            self._of_customers.update(dict.fromkeys(changes.customers, self.number))
            self._looks.appendleft(_Look(self.number, changes.days))

    def latest(self, customer: str | None) -> int:
        """The number of the latest look that found changes of this customer's counts, or of those of all together."""
        return self.number if customer is None else self._of_customers.get(customer, self.of_all)

    def days_since(self, number: int) -> frozenset[int] | None:
        """Of which days counts have changed since that look; None: it cannot be told."""
        later = list(takewhile(lambda look: look.number > number, self._looks))
        if number < self.of_all or number + len(later) < self.number:
            return None
        return frozenset().union(*(look.days for look in later))

    def customers_since(self, number: int) -> list[str] | None:
        """Whose counts have changed since that look; None: it cannot be told."""
        if number < self.of_all:
            return None
        return [customer for customer, latest in self._of_customers.items() if latest > number]
