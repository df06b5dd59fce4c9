"""How the requests of one customer, or of all customers together, are distributed: by status, and by latency."""

from dataclasses import dataclass

from api.questions.question import FEW_DAYS, CachedStore, DaysQuestion, computed
from api.schemas.distributions import Latencies, LatencyBin, RequestsOfStatus, StatusCodes
from rollups.counts import logged_status
from rollups.figures import latency_bins
from rollups.histogram import Histograms, histograms_of, merge_for_good, statuses_of


@dataclass(frozen=True, slots=True)
class StatusCodesQuestion(DaysQuestion):
    """How many requests had each HTTP status?"""

    async def answer(self, store: CachedStore) -> StatusCodes:
        if self.is_of_rollups:
            statuses = (await self.local_counts(store)).statuses
        else:
            statuses = statuses_of((await self.rows(store.storage)).values())
        return StatusCodes(
            **self.of_range(),
            status_codes=[
                RequestsOfStatus(status=logged_status(status), requests=requests)
                for status, requests in sorted(statuses.items())
            ],
        )


@dataclass(frozen=True, slots=True)
class LatenciesQuestion(DaysQuestion):
    """How many requests had a latency in each bin?"""

    async def answer(self, store: CachedStore) -> Latencies:
        if self.is_of_rollups:
            counts = await self.local_counts(store)
            return await computed(len(counts.spans) <= FEW_DAYS, lambda: self._of_days(counts.histograms))
        rows = await self.rows(store.storage)
        return await computed(len(rows) <= FEW_DAYS, lambda: self._of_days(histograms_of(rows.values())))

    def _of_days(self, histograms: Histograms) -> Latencies:
        histogram = merge_for_good(list(histograms.each()))
        return Latencies(
            **self.of_range(),
            total=histogram.timed,
            bins=[
                LatencyBin(from_latency=first / 1000, to_latency=end / 1000, requests=requests)
                for first, end, requests in latency_bins(histogram)
            ],
        )
