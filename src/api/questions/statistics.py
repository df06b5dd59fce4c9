"""What can be asked about customers, checked and complete: a question and the store's content make its answer."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

from fastapi import HTTPException

from api.caching.change_feed import RecentChanges
from api.caching.customer_days import CustomerDays
from api.caching.customer_figures import CustomerFigures
from api.questions.answers import customer_list, latencies, range_statistics, status_codes, with_percentiles
from api.questions.dates import DateRange
from api.questions.formats import Format
from api.questions.paging import Place, Ranking
from api.schemas.statistics import CustomerList, Latencies, Listing, Statistics, StatusCodes
from rollups.counts import DailyAggregate
from storage.contract import Storage


async def must_be_known(storage: Storage, customer_id: str | None) -> None:
    """HTTPException 404 where the store does not have this customer; all together (None) are always known."""
    if customer_id is not None and not await storage.knows(customer_id):
        raise HTTPException(404, f"Customer {customer_id} is unknown: no request of it is stored")


async def rows_of(storage: Storage, customer_id: str | None, days: range) -> dict[int, DailyAggregate]:
    """The counts of a customer, or of all together, by day. HTTPException 404 where the customer is unknown."""
    rows = await storage.days(customer_id, days[0], days[-1]) if days else {}
    if not rows:
        await must_be_known(storage, customer_id)
    return rows


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
    def is_of_roll_ups(self) -> bool:
        """Whether it is answered from the roll-ups, which come a little after the counts."""
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

    async def _rows(self, sources: Sources) -> dict[int, DailyAggregate]:
        return await rows_of(sources.storage, self.customer_id, self.dates.days)


@dataclass(frozen=True, slots=True)
class StatisticsQuestion(_DaysQuestion):
    """The statistics, with these percentiles (thousandths)."""

    percentiles: tuple[int, ...]

    async def answer(self, sources: Sources) -> Statistics:
        if self.percentiles:
            return with_percentiles(self.customer_id, self.dates, await self._rows(sources), self.percentiles)
        found = await sources.days.over(self.customer_id, self.dates.days)
        if not found.daily:
            await must_be_known(sources.storage, self.customer_id)
        return range_statistics(self.customer_id, self.dates, found)


@dataclass(frozen=True, slots=True)
class StatusCodesQuestion(_DaysQuestion):
    """The requests of each HTTP status."""

    async def answer(self, sources: Sources) -> StatusCodes:
        return status_codes(self.customer_id, self.dates, await self._rows(sources))


@dataclass(frozen=True, slots=True)
class LatenciesQuestion(_DaysQuestion):
    """The distribution of the latencies."""

    async def answer(self, sources: Sources) -> Latencies:
        return latencies(self.customer_id, self.dates, await self._rows(sources))


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
