"""A question: checked parameters that, with the content of the store, determine an answer."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple, TypeVar

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from api.caching.customer_days import CustomerDays
from api.caching.customer_figures import CustomerFigures
from api.caching.invalidation_log import InvalidationLog
from api.caching.span_days import SpanDays
from api.questions.calendar import UTC
from api.questions.dates import DateRange
from api.questions.negotiation import Format
from api.questions.validation import validation_error
from api.schemas.listing import NO_PROGRESS, Listing
from api.utc import to_date
from rollups.counts import DailyAggregate
from rollups.groups import OTHER
from rollups.spans import OnlyHours, SpanCounts
from storage.contract import Storage
from storage.damage import or_default
from storage.kept import Change, KeptRequests, decode_kept, least, least_kept

Computed = TypeVar("Computed")

_Edges = NDArray[np.int64]
FEW_DAYS = 31
"""The counts of so many days are added up at once: a thread of its own costs more than a month of most customers."""
FEW_CHARACTERS = 50_000
"""Roll-ups of so many characters are decoded at once, which takes a few milliseconds."""
_UNKNOWN = [Change(0, "none")]
"""Which requests are stored, where the row is damaged."""


class CachedStore(NamedTuple):
    """The store, and the caches of it from which most answers come."""

    storage: Storage
    days: CustomerDays
    figures: CustomerFigures
    spans: SpanDays


class Effort(Enum):
    """How long building an answer may take."""

    LITTLE = auto()
    """A few milliseconds: from cached counts."""
    SOME = auto()
    """Up to a tenth of a second: from the counts of some days."""
    RANKED = auto()
    """Up to a tenth of a second: from cached figures of all customers, which may have to be read first."""
    MUCH = auto()
    """Seconds: from single requests, or from the counts of all customers."""


@dataclass(frozen=True, slots=True)
class Question(ABC):
    """A question, and the format of its answer. Equal questions have equal answers."""

    format: Format

    @property
    def about(self) -> str | None:
        """The customer that the answer is about; None: all customers, which only operators may see."""
        return None

    @property
    def is_of_rollups(self) -> bool:
        """Whether the answer comes from the roll-ups, which are stored a little after the counts."""
        return False

    def version(self, invalidations: InvalidationLog, ledger_hash: bytes) -> Hashable:
        """The version of the answer: it differs once a poll has found that the answer may have changed."""
        return ledger_hash

    def effort(self, store: CachedStore) -> Effort:
        """How long building the answer may take."""
        return Effort.SOME

    @abstractmethod
    async def answer(self, store: CachedStore) -> Listing:
        """The answer, with all changes that the latest poll has found. Its `complete_through` is None.

        HTTPException 404 if the customer is unknown.
        """


@dataclass(frozen=True, slots=True)
class RangeQuestion(Question):
    """A question about some days of one customer, or of all customers together (None)."""

    dates: DateRange
    customer_id: str | None

    @property
    def about(self) -> str | None:
        return self.customer_id

    def of_range(self) -> dict[str, Any]:
        """The fields of an answer that say whose it is, and of which days."""
        zone = {"time_zone": self.dates.zone} if self.dates.zone != UTC else {}
        dates = {"from_date": self.dates.from_date, "to_date": self.dates.to_date}
        return {"customer_id": self.customer_id, **dates, **zone, **NO_PROGRESS}


@dataclass(frozen=True, slots=True)
class DaysQuestion(RangeQuestion):
    """A question whose answer is by the days of a zone."""

    @property
    def is_of_rollups(self) -> bool:
        return self.dates.zone != UTC

    def version(self, invalidations: InvalidationLog, ledger_hash: bytes) -> Hashable:
        return ledger_hash if self.is_of_rollups else invalidations.latest(self.customer_id)

    def effort(self, store: CachedStore) -> Effort:
        return Effort.MUCH if self.is_of_rollups and self.customer_id is None else Effort.SOME

    async def local_counts(self, store: CachedStore, dates: DateRange | None = None) -> SpanCounts:
        """The counts of the days of a zone, or of these `dates`. HTTPException 404 if the customer is unknown."""
        dates = dates or self.dates
        counts = await span_counts(store, self.customer_id, dates.edges, dates.zone)
        if not counts.spans:
            await require_known(store.storage, self.customer_id)
        return counts

    async def rows(self, storage: Storage) -> dict[int, DailyAggregate]:
        """The counts of these days, see `daily_rows`."""
        return await daily_rows(storage, self.customer_id, self.dates.days)


async def daily_rows(storage: Storage, customer_id: str | None, days: range) -> dict[int, DailyAggregate]:
    """The counts of a customer, or of all customers together (None), by day (since 1970-01-01).

    HTTPException 404 if the customer is unknown.
    """
    rows = await storage.daily_of_customer(customer_id, days[0], days[-1]) if days else {}
    if not rows:
        await require_known(storage, customer_id)
    return rows


async def computed(is_quick: bool, compute: Callable[[], Computed]) -> Computed:
    """What is computed from counts: at once if that is quick, or else in a thread of its own. A year of a busy customer
    would block the event loop for a third of a second."""
    return compute() if is_quick else await asyncio.to_thread(compute)


async def kept_since(storage: Storage, start: int) -> KeptRequests:
    """Which requests from a time on (Unix, s) all writers have stored."""
    states = await storage.states()
    return least([least_kept(or_default(decode_kept, state.requests, _UNKNOWN), start) for state in states])


async def span_counts(store: CachedStore, customer_id: str | None, edges: _Edges, zone: str) -> SpanCounts:
    """The counts of a customer, or of all customers together (None), by span. See `SpanDays.over` for `edges`.

    RequestValidationError if the store counts by the hour, and the zone needs quarter hours.
    """
    try:
        return await store.spans.over(customer_id, edges)
    except OnlyHours as error:
        message = (
            f"{to_date(error.day)} is counted by hours of UTC, as an earlier version did, and a day of {zone} begins "
            "within one"
        )
        raise validation_error("tz", zone, message) from error


async def require_known(storage: Storage, customer_id: str | None) -> None:
    """HTTPException 404 if the store has no request of this customer; all customers together (None) are known."""
    if customer_id is not None and not await storage.knows(customer_id):
        unknown = unknown_customer(customer_id)
        if await storage.knows(OTHER):
            unknown.detail += (
                f" under its name. On some days too many customers were new; its requests may be in {OTHER}"
            )
        raise unknown


def unknown_customer(customer_id: str) -> HTTPException:
    """The error of a customer without requests, and of one that the caller may not see: nobody can tell them apart."""
    return HTTPException(404, f"Customer {customer_id} is unknown: none of its requests is stored")
