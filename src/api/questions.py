"""What can be asked about customers, checked and complete: a question and the store's content make its answer."""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass

from fastapi import HTTPException

from api.answers import customer_list, latencies, range_statistics, status_codes
from api.customer_figures import CustomerFigures
from api.dates import DateRange
from api.formats import Format
from api.models import CustomerList, Latencies, Listing, Statistics, StatusCodes
from api.paging import Place, Ranking
from storage.contract import PackedCounts, Storage


def unknown(customer_id: str) -> str:
    """What is said of a customer that the store does not have."""
    return f"Customer {customer_id} is unknown: no request of it is stored"


@dataclass(frozen=True, slots=True)
class Question(ABC):
    """A question, and in which format its answer is wanted."""

    format: Format

    @property
    def is_broken_down(self) -> bool:
        """Whether it is answered from the breakdowns, which come a little after the counts."""
        return False

    @abstractmethod
    async def answer(self, storage: Storage, customers: CustomerFigures) -> Listing:
        """The answer from what is in the store now, `customers` has it too; its `complete_through` is None."""


@dataclass(frozen=True, slots=True)
class _DaysQuestion(Question):
    """A question about the days of one customer, or of all together (None)."""

    dates: DateRange
    customer_id: str | None

    async def _counts(self, storage: Storage) -> dict[int, PackedCounts]:
        """By day. HTTPException 404 where the customer is unknown."""
        days, customer = self.dates.days, self.customer_id
        counts = await storage.packed_days(customer, days[0], days[-1]) if days else {}
        if not counts and customer is not None and not await storage.knows(customer):
            raise HTTPException(404, unknown(customer))
        return counts


@dataclass(frozen=True, slots=True)
class StatisticsQuestion(_DaysQuestion):
    """The statistics, with these percentiles (thousandths)."""

    percentiles: tuple[int, ...]

    async def answer(self, storage: Storage, customers: CustomerFigures) -> Statistics:
        return range_statistics(self.customer_id, self.dates, await self._counts(storage), self.percentiles)


@dataclass(frozen=True, slots=True)
class StatusCodesQuestion(_DaysQuestion):
    """The requests of each HTTP status."""

    async def answer(self, storage: Storage, customers: CustomerFigures) -> StatusCodes:
        return status_codes(self.customer_id, self.dates, await self._counts(storage))


@dataclass(frozen=True, slots=True)
class LatenciesQuestion(_DaysQuestion):
    """The distribution of the latencies."""

    async def answer(self, storage: Storage, customers: CustomerFigures) -> Latencies:
        return latencies(self.customer_id, self.dates, await self._counts(storage))


@dataclass(frozen=True, slots=True)
class CustomersQuestion(Question):
    """A page of the customers: those after a place in the order."""

    dates: DateRange
    ranking: Ranking
    after: Place | None
    limit: int

    async def answer(self, storage: Storage, customers: CustomerFigures) -> CustomerList:
        figures = await customers.over(self.dates.days)
        # In a thread, for with 100,000 customers this takes a while.
        return await asyncio.to_thread(customer_list, self.dates, figures, self.ranking, self.after, self.limit)
