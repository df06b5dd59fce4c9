"""The statistics of one customer or of all customers together: over a range, and of each day."""

import asyncio
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from api.caching.invalidation_log import InvalidationLog
from api.questions.dates import DateRange
from api.questions.percentiles import format_percentile
from api.questions.question import CachedStore, DaysQuestion, Effort, require_known, span_counts
from api.schemas.statistics import DayStatistics, Difference, PreviousFigures, Statistics
from api.utc import to_date
from rollups.columns import QUARTER_HOURS_A_DAY
from rollups.counts import DailyAggregate
from rollups.figures import Figures, figures, figures_of_each, percentiles
from rollups.groups import OTHER
from rollups.histogram import Histogram, Histograms, histograms_of, merge_for_good

WITHIN_DAYS = 6
"""Days before a range, of which one has to have a request of any customer. Else the range is not compared with."""


@dataclass(frozen=True, slots=True)
class StatisticsQuestion(DaysQuestion):
    """What are the statistics, with these percentiles (thousandths)?"""

    percentiles: tuple[int, ...]
    compares: bool
    """Whether it also asks how the figures differ from those of the days before."""
    previous: DateRange | None
    """The days before; None: nothing is compared, or they are not kept."""

    def effort(self, store: CachedStore) -> Effort:
        if self.is_of_rollups:
            return DaysQuestion.effort(self, store)
        customers = {self.customer_id, OTHER} if self.customer_id is not None else {None}
        is_cached = not self.percentiles and all(store.days.has(one, self.dates.days) for one in customers)
        is_cached &= self.previous is None or store.days.has(self.customer_id, self.previous.days)
        return Effort.LITTLE if is_cached else Effort.SOME

    def version(self, invalidations: InvalidationLog, ledger_hash: bytes) -> Hashable:
        if self.is_of_rollups:
            return ledger_hash
        # Requests of any customer tell whether the days before were counted.
        of_all = invalidations.latest(None) if self.previous is not None else 0
        return invalidations.latest(self.customer_id), invalidations.latest(OTHER), of_all

    async def answer(self, store: CachedStore) -> Statistics:
        if self.is_of_rollups:
            return await self._of_zone(store)
        if self.percentiles:
            rows = dict(sorted((await self.rows(store.storage)).items()))
            days = list(rows)
            # A year of days would block the event loop for a tenth of a second.
            together, daily = await asyncio.to_thread(self._of_rows, rows)
        else:
            found = await store.days.over(self.customer_id, self.dates.days)
            if not found.daily:
                await require_known(store.storage, self.customer_id)
            days, together, daily = list(found.daily), found.together(), list(found.daily.values())
        return await self._statistics(store, together, daily, await self._folded(store, days))

    async def _of_zone(self, store: CachedStore) -> Statistics:
        counts = await self.local_counts(store)
        days = [self.dates.days[span] for span in counts.spans]
        together, daily = await asyncio.to_thread(self._of_days, days, counts.histograms)
        return await self._statistics(store, together, daily, await self._folded_of_zone(store))

    def _of_rows(self, rows: Mapping[int, DailyAggregate]) -> tuple[Histogram, list[DayStatistics]]:
        """The histogram of all days together, and the statistics of each. `rows`: by day, in order."""
        return self._of_days(list(rows), histograms_of(rows.values()))

    def _of_days(self, days: Collection[int], histograms: Histograms) -> tuple[Histogram, list[DayStatistics]]:
        return merge_for_good(list(histograms.each())), self._daily(days, histograms)

    def _daily(self, days: Collection[int], histograms: Histograms) -> list[DayStatistics]:
        """The statistics of these days (since 1970-01-01), which all have requests."""
        of_each = figures_of_each(histograms)
        return [
            DayStatistics(date=to_date(day), **found._asdict(), **self._percentiles(histogram))
            for day, found, histogram in zip(days, of_each, histograms.each(), strict=True)
        ]

    async def _folded(self, store: CachedStore, days: Collection[int]) -> list[date]:
        """Days on which new customers are counted together, but for those `days` on which this one has counts."""
        if self.customer_id in (None, OTHER):
            return []
        of_other = await store.days.over(OTHER, self.dates.days)
        return [to_date(day) for day in of_other.daily if day not in days]

    async def _folded_of_zone(self, store: CachedStore) -> list[date]:
        """The same of a zone, whose days each have parts of two UTC days: new customers are those of a UTC day."""
        edges = self.dates.edges
        if self.customer_id in (None, OTHER) or not self.dates.days:
            return []
        utc_days = range(int(edges[0]) // QUARTER_HOURS_A_DAY, -(-int(edges[-1]) // QUARTER_HOURS_A_DAY))
        of_other = (await store.days.over(OTHER, utc_days)).daily
        own = (await store.days.over(self.customer_id, utc_days)).daily if of_other else {}
        folded = {day for day in of_other if day not in own}
        return [
            to_date(day)
            for day, start, end in zip(self.dates.days, edges.tolist(), edges[1:].tolist(), strict=False)
            if not folded.isdisjoint(range(start // QUARTER_HOURS_A_DAY, -(-end // QUARTER_HOURS_A_DAY)))
        ]

    async def _statistics(
        self, store: CachedStore, together: Histogram, daily: list[DayStatistics], folded_days: list[date]
    ) -> Statistics:
        found = figures(together)
        # Left unset where there are none, so that the answer does not have it.
        folded: dict[str, Any] = {"folded_days": folded_days} if folded_days else {}
        return Statistics(
            **self.of_range(),
            **found._asdict(),
            **self._percentiles(together),
            daily=daily,
            **folded,
            **await self._comparison(store, found),
        )

    async def _comparison(self, store: CachedStore, found: Figures) -> dict[str, Any]:
        """The fields about the days before: none where they were not asked for."""
        if not self.compares:
            return {}
        if self.previous is None or not await self._are_counted(store, self.previous):
            return {"previous": None, "differences": None}
        before = figures(await self._before(store, self.previous))
        return {
            "previous": PreviousFigures(
                from_date=self.previous.from_date, to_date=self.previous.to_date, **before._asdict()
            ),
            "differences": {
                name: _difference(now, then) for name, now, then in zip(Figures._fields, found, before, strict=True)
            },
        }

    async def _are_counted(self, store: CachedStore, days: DateRange) -> bool:
        """Whether the store was counting when these days began. Zeros of before are no figures to compare with: the log
        began later, or the store kept fewer days."""
        first = int(days.edges[0]) // QUARTER_HOURS_A_DAY
        if await store.storage.daily_of_customer(None, first - WITHIN_DAYS, first):
            return True
        # A part of a local day is on the next UTC day.
        return self.is_of_rollups and bool((await span_counts(store, None, days.edges[:2], days.zone)).spans)

    async def _before(self, store: CachedStore, days: DateRange) -> Histogram:
        if not self.is_of_rollups:
            return (await store.days.over(self.customer_id, days.days)).together()
        return merge_for_good(list((await self.local_counts(store, days)).histograms.each()))

    def _percentiles(self, histogram: Histogram) -> dict[str, Any]:
        """The field of the percentiles that were asked for, if any were."""
        if not self.percentiles:
            return {}
        names = map(format_percentile, self.percentiles)
        return {"percentiles": dict(zip(names, percentiles(histogram, self.percentiles), strict=True))}


def _difference(now: float | None, then: float | None) -> Difference:
    if now is None or then is None:
        return Difference(absolute=None, percent=None)
    return Difference(absolute=now - then, percent=100 * (now - then) / then if then else None)
