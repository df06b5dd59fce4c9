"""The statistics of one customer or of all customers together: over a range, and of each day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.questions.percentiles import format_percentile
from api.questions.question import DaysQuestion, Effort, Sources, require_known
from api.schemas.statistics import DayStatistics, Statistics
from api.utc import to_date
from rollups.figures import figures, percentiles
from rollups.histogram import Histogram, histograms_of, merge


@dataclass(frozen=True, slots=True)
class StatisticsQuestion(DaysQuestion):
    """What are the statistics, with these percentiles (thousandths)?"""

    percentiles: tuple[int, ...]

    def effort(self, sources: Sources) -> Effort:
        is_cached = not self.percentiles and sources.days.has(self.customer_id, self.dates.days)
        return Effort.LITTLE if is_cached else Effort.SOME

    async def answer(self, sources: Sources) -> Statistics:
        if self.percentiles:
            return await self._with_percentiles(sources)
        found = await sources.days.over(self.customer_id, self.dates.days)
        if not found.daily:
            await require_known(sources.storage, self.customer_id)
        return self._statistics(figures(found.together())._asdict(), list(found.daily.values()))

    async def _with_percentiles(self, sources: Sources) -> Statistics:
        rows = dict(sorted((await self.rows(sources.storage)).items()))
        histograms = list(histograms_of(rows.values()).each())
        daily = [
            DayStatistics(date=to_date(day), **_with_percentiles(histogram, self.percentiles))
            for day, histogram in zip(rows, histograms, strict=True)
        ]
        return self._statistics(_with_percentiles(merge(histograms), self.percentiles), daily)

    def _statistics(self, together: Mapping[str, Any], daily: list[DayStatistics]) -> Statistics:
        return Statistics(
            customer_id=self.customer_id,
            from_date=self.dates.from_date,
            to_date=self.dates.to_date,
            complete_through=None,
            **together,
            daily=daily,
        )


def _with_percentiles(histogram: Histogram, asked: Sequence[int]) -> dict[str, Any]:
    """The figures of a histogram, by their field, with these percentiles (thousandths)."""
    names = map(format_percentile, asked)
    return {**figures(histogram)._asdict(), "percentiles": dict(zip(names, percentiles(histogram, asked), strict=True))}
