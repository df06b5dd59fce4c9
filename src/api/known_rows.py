"""The rows of counts that were read to make the list of customers, kept for those who ask for one of these next: else a
first question about a customer takes several times as long as any later one."""

from collections.abc import Mapping
from typing import NamedTuple

from storage.contract import PackedCounts

_CHARACTERS_KEPT = 32 << 20


class _Known(NamedTuple):
    days: range
    """That were read."""
    look: int
    """The number of the look after which they were."""
    rows: Mapping[int, PackedCounts]
    characters: int


class KnownRows:
    """Those of as many customers as there is room for."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._characters = 0

    def keep(self, days: range, look: int, rows: Mapping[str, Mapping[int, PackedCounts]]) -> None:
        """Keep all rows of these customers over these days, unless those over more days are kept. `look`: the number of
        the latest look before they were read."""
        for customer, of_days in rows.items():
            before = self._known.get(customer)
            if before is not None and len(before.days) > len(days):
                continue
            self._characters -= before.characters if before is not None else 0
            self._known.pop(customer, None)
            characters = sum(len(row.statuses) + len(row.latencies) for row in of_days.values())
            if self._characters + characters <= _CHARACTERS_KEPT:
                self._known[customer] = _Known(days, look, of_days, characters)
                self._characters += characters

    def of(self, customer: str | None, days: range) -> tuple[int, dict[int, PackedCounts]] | None:
        """The number of that look, and the customer's rows over these days; None where they are not known."""
        known = self._known.get(customer) if customer is not None else None
        if known is None or days[0] not in known.days or days[-1] not in known.days:
            return None
        return known.look, {day: row for day, row in known.rows.items() if day in days}
