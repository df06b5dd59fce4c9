"""The list of customers, in pages."""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass

from api.caching.customer_figures import TooManyCustomers
from api.caching.figures_table import FiguresTable
from api.caching.invalidation_log import InvalidationLog
from api.questions.dates import DateRange
from api.questions.paging import PageKey, Ranking
from api.questions.question import CachedStore, Effort, Question
from api.questions.validation import validation_error
from api.schemas.customers import CustomerList, CustomerStatistics
from api.schemas.listing import NO_PROGRESS


@dataclass(frozen=True, slots=True)
class CustomersQuestion(Question):
    """Which customers follow this place in the ranking, and what are their statistics?"""

    dates: DateRange
    ranking: Ranking
    after: PageKey | None
    """None: the page is the first."""
    limit: int

    def version(self, invalidations: InvalidationLog, ledger_hash: bytes) -> Hashable:
        return invalidations.number

    def effort(self, store: CachedStore) -> Effort:
        return Effort.RANKED if store.figures.has(self.dates.days) else Effort.MUCH

    async def answer(self, store: CachedStore) -> CustomerList:
        try:
            figures = await store.figures.over(self.dates.days)
        except TooManyCustomers as error:
            message = f"{error}: leave out from_date and to_date, or ask about one customer"
            raise validation_error("from_date", str(self.dates.from_date), message) from None
        # Ranking 100,000 customers would block the event loop for tens of milliseconds.
        return await asyncio.to_thread(self._page, figures)

    def _page(self, figures: FiguresTable) -> CustomerList:
        total, page, last = self.ranking.page(figures, self.after, self.limit)
        return CustomerList(
            from_date=self.dates.from_date,
            to_date=self.dates.to_date,
            **NO_PROGRESS,
            total=total,
            next_cursor=self.ranking.write_cursor(last) if last is not None else None,
            customers=[CustomerStatistics(customer_id=customer, **figures[customer]._asdict()) for customer in page],
        )
