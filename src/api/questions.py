"""What can be asked about customers, checked and complete: a question and the store's content make its answer."""

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass

from fastapi import HTTPException

from api.answers import Answer, Direction, Order, customer_list, range_statistics
from api.customer_figures import CustomerFigures
from api.dates import DateRange
from storage.contract import Storage


def unknown(customer_id: str) -> str:
    """What is said of a customer that the store does not have."""
    return f"Customer {customer_id} is unknown: no request of it is stored"


@dataclass(frozen=True, slots=True)
class Question(ABC):
    """A question about these days."""

    dates: DateRange

    @abstractmethod
    async def answer(self, storage: Storage, customers: CustomerFigures) -> Answer:
        """The answer from what is in the store now; `customers` has it too."""


@dataclass(frozen=True, slots=True)
class StatisticsQuestion(Question):
    """The statistics of one customer, or of all together (None)."""

    customer_id: str | None

    async def answer(self, storage: Storage, customers: CustomerFigures) -> Answer:
        days, customer = self.dates.days, self.customer_id
        counts = await storage.packed_days(customer, days[0], days[-1]) if days else {}
        if not counts and customer is not None and not await storage.knows(customer):
            raise HTTPException(404, unknown(customer))
        return range_statistics(customer, self.dates, counts)


@dataclass(frozen=True, slots=True)
class CustomersQuestion(Question):
    """A page of the customers in some order."""

    order: Order
    direction: Direction
    limit: int
    offset: int

    async def answer(self, storage: Storage, customers: CustomerFigures) -> Answer:
        figures = await customers.over(self.dates.days)
        # In a thread, for with 100,000 customers this takes a while.
        return await asyncio.to_thread(
            customer_list, self.dates, figures, self.order, self.direction, self.limit, self.offset
        )
