"""Who is hit: the customers with requests to a path on a day."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from api.questions.question import CachedStore, Effort, Question
from api.questions.sorting import FIGURE_OF, FigureSort, Order, in_order
from api.schemas.customers import CustomerStatistics
from api.schemas.listing import NO_PROGRESS
from api.schemas.paths import PathCustomers
from rollups.counts import RollupRow
from rollups.figures import Figures, figures
from rollups.groups import GROUPS, histograms_of_customers
from storage.contract import Storage

PathCustomerSort = Literal[FigureSort, "customer_id"]
GROUPS_AT_ONCE = 16
"""Groups of customers whose rows are read first. The next ones are twice as many while these have few customers."""
MOST_GROUPS_AT_ONCE = 256
CUSTOMERS_AT_ONCE = 1_000
"""Customers from which on fewer groups are read at once: that bounds the memory."""


@dataclass(frozen=True, slots=True)
class PathCustomersQuestion(Question):
    """Which customers have requests to the path, and what are their statistics?"""

    path: str
    date: date
    days: range
    """The day, as days since 1970-01-01; empty if it is not kept."""
    sort: PathCustomerSort
    order: Order
    limit: int

    @property
    def is_of_rollups(self) -> bool:
        return True

    def effort(self, store: CachedStore) -> Effort:
        return Effort.MUCH

    async def answer(self, store: CachedStore) -> PathCustomers:
        total = 0
        # There may be a million customers, so only those that can be in the answer are kept.
        first_ones: dict[str, Figures] = {}
        for day in self.days:
            async for found in self._of_day(store.storage, day):
                total += len(found)
                first_ones |= found
                first_ones = {customer: first_ones[customer] for customer in self._in_order(first_ones)[: self.limit]}
        return PathCustomers(
            path=self.path,
            date=self.date,
            **NO_PROGRESS,
            total=total,
            customers=[
                CustomerStatistics(customer_id=customer, **of_one._asdict()) for customer, of_one in first_ones.items()
            ],
        )

    async def _of_day(self, storage: Storage, day: int) -> AsyncIterator[dict[str, Figures]]:
        """The figures of all customers of the path, some groups of customers at a time."""
        first, at_once = 0, GROUPS_AT_ONCE
        while first < GROUPS:
            groups = range(first, min(first + at_once, GROUPS))
            rows = await storage.rollups_of_groups(groups, "endpoints", day)
            found = await asyncio.to_thread(_figures_of, rows, self.path)
            yield found
            first = groups.stop
            at_once = min(2 * at_once, MOST_GROUPS_AT_ONCE) if len(found) < CUSTOMERS_AT_ONCE else max(1, at_once // 2)

    def _in_order(self, found: dict[str, Figures]) -> list[str]:
        if self.sort == "customer_id":
            return sorted(found, reverse=self.order == "desc")
        field = FIGURE_OF[self.sort]
        return in_order({customer: getattr(of_one, field) for customer, of_one in found.items()}, self.order)


def _figures_of(rows: list[RollupRow], path: str) -> dict[str, Figures]:
    return {customer: figures(histogram) for customer, histogram in histograms_of_customers(rows, path).items()}
