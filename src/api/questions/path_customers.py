"""Who is hit: the customers with requests to a path on a day."""

import asyncio
from dataclasses import dataclass
from datetime import date
from typing import Literal

from api.questions.question import Effort, Question, Sources
from api.questions.sorting import FIGURE_OF, FigureSort, Order
from api.schemas.customers import CustomerStatistics
from api.schemas.paths import PathCustomers
from rollups.counts import RollupRow
from rollups.figures import Figures, figures
from rollups.groups import GROUPS, histograms_of_customers

PathCustomerSort = Literal[FigureSort, "customer_id"]
GROUPS_AT_ONCE = 128
"""Groups of customers whose rows are read together: then other questions get their turn. It bounds the memory."""


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

    def effort(self, sources: Sources) -> Effort:
        return Effort.MUCH

    async def answer(self, sources: Sources) -> PathCustomers:
        found: dict[str, Figures] = {}
        for day in self.days:
            for first in range(0, GROUPS, GROUPS_AT_ONCE):
                groups = range(first, first + GROUPS_AT_ONCE)
                rows = await sources.storage.rollups_of_groups(groups, "endpoints", day)
                found |= await asyncio.to_thread(_figures_of, rows, self.path)
        return PathCustomers(
            path=self.path,
            date=self.date,
            complete_through=None,
            missing=[],
            total=len(found),
            customers=[
                CustomerStatistics(customer_id=customer, **found[customer]._asdict())
                for customer in self._in_order(found)[: self.limit]
            ],
        )

    def _in_order(self, found: dict[str, Figures]) -> list[str]:
        """The customers in the order that was asked for. Equal ones are in the order of their ids; those without the
        figure come last."""
        if self.sort == "customer_id":
            return sorted(found, reverse=self.order == "desc")
        sign, field = -1 if self.order == "desc" else 1, FIGURE_OF[self.sort]
        values: dict[str, float | None] = {customer: getattr(of_one, field) for customer, of_one in found.items()}
        return sorted(found, key=lambda name: (values[name] is None, sign * (values[name] or 0), name))


def _figures_of(rows: list[RollupRow], path: str) -> dict[str, Figures]:
    return {customer: figures(histogram) for customer, histogram in histograms_of_customers(rows, path).items()}
