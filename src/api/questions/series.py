"""The statistics of a customer over time: of each minute, hour or day."""

from dataclasses import dataclass

from api.questions.question import Question, Sources, require_known
from api.questions.times import SECONDS, TimeRange
from api.questions.validation import validation_error
from api.schemas.series import Point, Series
from api.utc import to_datetime, to_iso_time
from rollups.counts import Kind
from rollups.figures import figures
from rollups.groups import group_of, histograms_of_hours
from rollups.histogram import Histogram, histogram_of_requests, histograms_of
from storage.contract import Storage
from storage.read_back import milliseconds

MAX_REQUESTS = 200_000
"""The most requests that are read for a series of minutes."""
HOUR_KINDS: tuple[Kind, ...] = ("parts", "hours")
"""The roll-ups that have the counts of hours."""


@dataclass(frozen=True, slots=True)
class SeriesQuestion(Question):
    """What are the statistics of each interval?"""

    customer_id: str
    times: TimeRange

    @property
    def is_of_rollups(self) -> bool:
        return self.times.interval == "hour"

    async def answer(self, sources: Sources) -> Series:
        times = self.times
        found = await self._histograms(sources.storage)
        if not found:
            await require_known(sources.storage, self.customer_id)
        return Series(
            customer_id=self.customer_id,
            interval=times.interval,
            from_time=to_datetime(times.start),
            to_time=to_datetime(times.end),
            complete_through=None,
            points=[
                Point(start=to_datetime(start), **figures(histogram)._asdict())
                for start, histogram in sorted(found.items())
                if times.start <= start < times.end
            ],
        )

    async def _histograms(self, storage: Storage) -> dict[int, Histogram]:
        """By the start of the interval (Unix time, s). Includes the rest of the first and of the last day."""
        days = self.times.days
        if not days:
            return {}
        if self.times.interval == "minute":
            return await self._minutes(storage)
        if self.times.interval == "day":
            rows = await storage.days(self.customer_id, days[0], days[-1])
            histograms = histograms_of(rows.values()).each()
            return {day * SECONDS["day"]: histogram for day, histogram in zip(rows, histograms, strict=True)}
        rollups = await storage.rollups(group_of(self.customer_id), HOUR_KINDS, days[0], days[-1])
        return {
            day * SECONDS["day"] + hour * SECONDS["hour"]: histogram
            for day, segments in rollups.items()
            for hour, histogram in histograms_of_hours(segments, self.customer_id).items()
        }

    async def _minutes(self, storage: Storage) -> dict[int, Histogram]:
        """Computed from the requests: roll-ups by minute would have nearly as many rows as there are requests."""
        times = self.times
        requests = await storage.requests(self.customer_id, times.start, times.end, "all", MAX_REQUESTS + 1)
        start, end = to_iso_time(times.start), to_iso_time(times.end)
        if len(requests) > MAX_REQUESTS:
            raise validation_error(
                "from",
                start,
                f"from {start} to {end} there are more than {MAX_REQUESTS:,} requests: ask for minutes of a shorter "
                "range",
            )
        minutes: dict[int, list[tuple[int, int]]] = {}
        for request in requests:
            minute = request.second // SECONDS["minute"] * SECONDS["minute"]
            minutes.setdefault(minute, []).append((request.status, milliseconds(request.duration)))
        return {minute: histogram_of_requests(of_minute) for minute, of_minute in minutes.items()}
