"""What can be asked about customers, checked and complete: a question and the store's content make its answer."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

from fastapi import HTTPException

from api.answers import customer_list, latencies, range_statistics, status_codes, with_percentiles
from api.customer_days import CustomerDays
from api.customer_figures import CustomerFigures
from api.dates import DateRange
from api.formats import Format
from api.models import CustomerList, Latencies, Listing, Statistics, StatusCodes
from api.paging import Place, Ranking
from api.recent_changes import RecentChanges
from storage.contract import PackedCounts, Storage


def unknown(customer_id: str) -> str:
    """What is said of a customer that the store does not have."""
    return f"Customer {customer_id} is unknown: no request of it is stored"


class Sources(NamedTuple):
    """What is asked: the store, and what was kept of it."""

    storage: Storage
    days: CustomerDays
    figures: CustomerFigures


@dataclass(frozen=True, slots=True)
class Question(ABC):
    """A question, and in which format its answer is wanted."""

    format: Format

    @property
    def is_broken_down(self) -> bool:
        """Whether it is answered from the breakdowns, which come a little after the counts."""
        return False

    def version(self, recent: RecentChanges, ledger_hash: bytes) -> Hashable:
        """Another one as soon as the latest look at the store has found that the answer may have changed."""
        return ledger_hash

    @abstractmethod
    async def answer(self, sources: Sources) -> Listing:
        """The answer with all that the latest look at the store has found; its `complete_through` is None."""


@dataclass(frozen=True, slots=True)
class _DaysQuestion(Question):
    """A question about the days of one customer, or of all together (None)."""

    dates: DateRange
    customer_id: str | None

    def version(self, recent: RecentChanges, ledger_hash: bytes) -> Hashable:
        return recent.latest(self.customer_id)

    async def _rows(self, storage: Storage) -> dict[int, PackedCounts]:
        """By day. HTTPException 404 where the customer is unknown."""
        days = self.dates.days
        rows = await storage.packed_days(self.customer_id, days[0], days[-1]) if days else {}
        if not rows:
            await self._must_be_known(storage)
        return rows

    async def _must_be_known(self, storage: Storage) -> None:
        """HTTPException 404 where the customer is not."""
        if self.customer_id is not None and not await storage.knows(self.customer_id):
            raise HTTPException(404, unknown(self.customer_id))


@dataclass(frozen=True, slots=True)
class StatisticsQuestion(_DaysQuestion):
    """The statistics, with these percentiles (thousandths)."""

    percentiles: tuple[int, ...]

    async def answer(self, sources: Sources) -> Statistics:
        if self.percentiles:
            return with_percentiles(self.customer_id, self.dates, await self._rows(sources.storage), self.percentiles)
        found = await sources.days.over(self.customer_id, self.dates.days)
        if not found.daily:
            await self._must_be_known(sources.storage)
        return range_statistics(self.customer_id, self.dates, found)


@dataclass(frozen=True, slots=True)
class StatusCodesQuestion(_DaysQuestion):
    """The requests of each HTTP status."""

    async def answer(self, sources: Sources) -> StatusCodes:
        return status_codes(self.customer_id, self.dates, await self._rows(sources.storage))


@dataclass(frozen=True, slots=True)
class LatenciesQuestion(_DaysQuestion):
    """The distribution of the latencies."""

    async def answer(self, sources: Sources) -> Latencies:
        return latencies(self.customer_id, self.dates, await self._rows(sources.storage))


@dataclass(frozen=True, slots=True)
class CustomersQuestion(Question):
    """A page of the customers: those after a place in the order."""

    dates: DateRange
    ranking: Ranking
    after: Place | None
    limit: int

    def version(self, recent: RecentChanges, ledger_hash: bytes) -> Hashable:
        return recent.number

    async def answer(self, sources: Sources) -> CustomerList:
        figures = await sources.figures.over(self.dates.days)
        # In a thread, for with 100,000 customers this takes a while.
        return await asyncio.to_thread(customer_list, self.dates, figures, self.ranking, self.after, self.limit)
