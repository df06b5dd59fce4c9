"""The statistics of one customer or of all customers together: over a range, and of each day."""

from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from api.caching.invalidation_log import InvalidationLog
from api.questions.percentiles import format_percentile
from api.questions.question import DaysQuestion, Effort, Sources, require_known
from api.schemas.statistics import DayStatistics, Statistics
from api.utc import to_date
from rollups.figures import figures, percentiles
from rollups.groups import OTHER
from rollups.histogram import Histogram, histograms_of, merge


@dataclass(frozen=True, slots=True)
class StatisticsQuestion(DaysQuestion):
    """What are the statistics, with these percentiles (thousandths)?"""

    percentiles: tuple[int, ...]

    def effort(self, sources: Sources) -> Effort:
        customers = {self.customer_id, OTHER} if self.customer_id is not None else {None}
        is_cached = not self.percentiles and all(sources.days.has(one, self.dates.days) for one in customers)
        return Effort.LITTLE if is_cached else Effort.SOME

    def version(self, invalidations: InvalidationLog, ledger_hash: bytes) -> Hashable:
        return invalidations.latest(self.customer_id), invalidations.latest(OTHER)

    async def answer(self, sources: Sources) -> Statistics:
        if self.percentiles:
            return await self._with_percentiles(sources)
        found = await sources.days.over(self.customer_id, self.dates.days)
        if not found.daily:
            await require_known(sources.storage, self.customer_id)
        daily = list(found.daily.values())
        return self._statistics(figures(found.together())._asdict(), daily, await self._folded(sources, found.daily))

    async def _with_percentiles(self, sources: Sources) -> Statistics:
        rows = dict(sorted((await self.rows(sources.storage)).items()))
        histograms = list(histograms_of(rows.values()).each())
        daily = [
            DayStatistics(date=to_date(day), **_with_percentiles(histogram, self.percentiles))
            for day, histogram in zip(rows, histograms, strict=True)
        ]
        together = _with_percentiles(merge(histograms), self.percentiles)
        return self._statistics(together, daily, await self._folded(sources, rows))

    async def _folded(self, sources: Sources, days: Container[int]) -> list[date]:
        """Days on which new customers are counted together, but for those `days` on which this one has counts."""
        if self.customer_id in (None, OTHER):
            return []
        of_other = await sources.days.over(OTHER, self.dates.days)
        return [to_date(day) for day in of_other.daily if day not in days]

    def _statistics(
        self, together: Mapping[str, Any], daily: list[DayStatistics], folded_days: list[date]
    ) -> Statistics:
        # Left unset where there are none, so that the answer does not have it.
        folded: dict[str, Any] = {"folded_days": folded_days} if folded_days else {}
        return Statistics(
            customer_id=self.customer_id,
            from_date=self.dates.from_date,
            to_date=self.dates.to_date,
            complete_through=None,
            **together,
            daily=daily,
            **folded,
        )


def _with_percentiles(histogram: Histogram, asked: Sequence[int]) -> dict[str, Any]:
    """The figures of a histogram, by their field, with these percentiles (thousandths)."""
    names = map(format_percentile, asked)
    return {**figures(histogram)._asdict(), "percentiles": dict(zip(names, percentiles(histogram, asked), strict=True))}
