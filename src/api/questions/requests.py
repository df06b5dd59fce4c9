"""The latest requests of a customer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from api.caching.span_days import QUARTER_HOUR_KINDS
from api.questions.question import CachedStore, Effort, RangeQuestion, daily_rows, kept_since
from api.questions.times import SECONDS
from api.schemas.requests import LatestRequests, LoggedRequest
from api.utc import to_datetime
from rollups.counts import logged_status
from rollups.groups import OTHER, group_of, histograms_of_hours, unescaped
from rollups.histogram import Histogram, histogram_of
from storage import requests as stored
from storage.contract import Storage
from storage.requests import Outcome


@dataclass(frozen=True, slots=True)
class LatestRequestsQuestion(RangeQuestion):
    """What are the latest requests with this outcome?"""

    customer_id: str
    outcome: Outcome
    part: str
    """What their paths have somewhere; empty: all requests."""
    limit: int

    def effort(self, store: CachedStore) -> Effort:
        return Effort.MUCH

    async def answer(self, store: CachedStore) -> LatestRequests:
        storage = store.storage
        found: list[stored.LoggedRequest] = []
        earliest, latest = self.dates.seconds if self.dates.days else (0, 0)
        async for first, last in self._spans(storage, range(earliest // SECONDS["day"], -(-latest // SECONDS["day"]))):
            start, end = max(first, earliest), min(last, latest)
            if start >= end:
                continue
            # A reserved name is escaped in counts alone.
            found += await storage.requests(
                unescaped(self.customer_id), start, end, self.outcome, self.limit - len(found), self.part
            )
            if len(found) == self.limit:
                break
        return LatestRequests(
            **self.of_range(),
            stored=await kept_since(storage, earliest),
            requests=[
                LoggedRequest(
                    time=to_datetime(request.second, request.millisecond or 0),
                    path=request.path,
                    status=logged_status(request.status),
                    duration=request.duration,
                    method=request.method,
                    bytes=request.bytes,
                )
                for request in found
            ],
        )

    async def _spans(self, storage: Storage, days: range) -> AsyncIterator[tuple[int, int]]:
        """Spans of time (Unix, s; end exclusive) that have all requests of these UTC days with the outcome, the latest
        first.

        A search for few requests among many takes long, so the counts say where to search: in which days, and in which
        of their hours. A day whose roll-ups are behind its counts is two spans: nearly always the latest requests are
        missing, so the second one is rarely searched.
        """
        rows = await daily_rows(storage, self.customer_id, days)
        if self.customer_id == OTHER:
            # Its requests are stored under the names of their customers.
            return
        expected_on = {day: self._matching(histogram_of(rows[day])) for day in sorted(rows, reverse=True)}
        if self.part:
            # No count tells where such paths are. Mostly the latest day has enough of them. Where few are, each
            # search is twice as long as the one before.
            with_some = [day for day, expected in expected_on.items() if expected]
            searched = 0
            while searched < len(with_some):
                at_once = with_some[searched : 2 * searched + 1]
                yield at_once[-1] * SECONDS["day"], (at_once[0] + 1) * SECONDS["day"]
                searched = 2 * searched + 1
            return
        for day, expected in expected_on.items():
            if not expected:
                continue
            midnight = day * SECONDS["day"]
            rollups = await storage.rollups(group_of(self.customer_id), QUARTER_HOUR_KINDS, day, day)
            histograms = histograms_of_hours(rollups.get(day, []), self.customer_id)
            hours = {hour: self._matching(histogram) for hour, histogram in histograms.items()}
            if sum(hours.values()) < expected:
                latest = midnight + max(hours, default=0) * SECONDS["hour"]
                yield latest, midnight + SECONDS["day"]
                if latest > midnight:
                    yield midnight, latest
                continue
            for hour in sorted(hours, reverse=True):
                if hours[hour]:
                    start = midnight + hour * SECONDS["hour"]
                    yield start, start + SECONDS["hour"]

    def _matching(self, histogram: Histogram) -> int:
        """How many requests of the histogram have the outcome."""
        total, successful, client_errors, server_errors = histogram.outcomes
        return {
            "all": total,
            "failed": total - successful,
            "successful": successful,
            "client_errors": client_errors,
            "server_errors": server_errors,
        }[self.outcome]
