"""What can be asked about parts of a customer's days: intervals of time, paths, and single requests."""

from dataclasses import dataclass

from api.questions.dates import DateRange
from api.questions.statistics import Question, Sources, must_be_known, rows_of
from api.questions.times import SECONDS, TimeRange, from_unix, iso_time
from api.questions.validation import refusal
from api.schemas.series import LatestRequests, LoggedRequest, PathFigures, Paths, Point, Series
from rollups.counts import Kind, logged_status
from rollups.figures import figures
from rollups.groups import group_of, histograms_of_endpoints, histograms_of_hours
from rollups.histogram import Histogram, histogram_of, histogram_of_requests, histograms_of
from storage import requests
from storage.contract import Storage
from storage.read_back import milliseconds
from storage.requests import Outcome

MOST_REQUESTS = 200_000
"""So many are read at most for a series of minutes."""
_BY_TIME: tuple[Kind, ...] = ("parts", "hours")


@dataclass(frozen=True, slots=True)
class SeriesQuestion(Question):
    """The figures of each interval of a stretch of time."""

    customer_id: str
    times: TimeRange

    @property
    def is_of_roll_ups(self) -> bool:
        return self.times.interval == "hour"

    async def answer(self, sources: Sources) -> Series:
        times = self.times
        found = await self._tallies(sources.storage)
        if not found:
            await must_be_known(sources.storage, self.customer_id)
        return Series(
            customer_id=self.customer_id,
            interval=times.interval,
            from_time=from_unix(times.start),
            to_time=from_unix(times.end),
            complete_through=None,
            points=[
                Point(start=from_unix(start), **figures(tally)._asdict())
                for start, tally in sorted(found.items())
                if times.start <= start < times.end
            ],
        )

    async def _tallies(self, storage: Storage) -> dict[int, Histogram]:
        """By the Unix time (s) at which the interval begins; also some before and after the range."""
        days = self.times.days
        if not days:
            return {}
        if self.times.interval == "minute":
            return await self._minutes(storage)
        if self.times.interval == "day":
            rows = await storage.days(self.customer_id, days[0], days[-1])
            tallies = histograms_of(rows.values()).each()
            return {day * SECONDS["day"]: tally for day, tally in zip(rows, tallies, strict=True)}
        roll_ups = await storage.rollups(group_of(self.customer_id), _BY_TIME, days[0], days[-1])
        return {
            day * SECONDS["day"] + hour * SECONDS["hour"]: tally
            for day, segments in roll_ups.items()
            for hour, tally in histograms_of_hours(segments, self.customer_id).items()
        }

    async def _minutes(self, storage: Storage) -> dict[int, Histogram]:
        """From the requests themselves: as many rows as there are minutes and latencies would hardly be fewer."""
        times = self.times
        requests = await storage.requests(self.customer_id, times.start, times.end, "all", MOST_REQUESTS + 1)
        if len(requests) > MOST_REQUESTS:
            raise refusal(
                "from",
                iso_time(times.start),
                f"from {iso_time(times.start)} to {iso_time(times.end)} there are more than {MOST_REQUESTS:,} "
                "requests: minutes can be asked for of a shorter time",
            )
        minutes: dict[int, list[tuple[int, int]]] = {}
        for request in requests:
            minute = request.second // SECONDS["minute"] * SECONDS["minute"]
            minutes.setdefault(minute, []).append((request.status, milliseconds(request.duration)))
        return {minute: histogram_of_requests(of_minute) for minute, of_minute in minutes.items()}


@dataclass(frozen=True, slots=True)
class PathsQuestion(Question):
    """The paths with the most requests."""

    dates: DateRange
    customer_id: str
    limit: int

    @property
    def is_of_roll_ups(self) -> bool:
        return True

    async def answer(self, sources: Sources) -> Paths:
        days = self.dates.days
        group = group_of(self.customer_id)
        rows = await sources.storage.rollups(group, ["endpoints"], days[0], days[-1]) if days else {}
        found = histograms_of_endpoints((row for of_day in rows.values() for row in of_day), self.customer_id)
        if not found:
            await must_be_known(sources.storage, self.customer_id)
        most = sorted(found.items(), key=lambda item: (-item[1].total, item[0]))
        return Paths(
            customer_id=self.customer_id,
            from_date=self.dates.from_date,
            to_date=self.dates.to_date,
            complete_through=None,
            total=len(found),
            paths=[PathFigures(path=path, **figures(tally)._asdict()) for path, tally in most[: self.limit]],
        )


@dataclass(frozen=True, slots=True)
class LatestRequestsQuestion(Question):
    """The latest requests themselves."""

    dates: DateRange
    customer_id: str
    outcome: Outcome
    limit: int

    async def answer(self, sources: Sources) -> LatestRequests:
        rows = await rows_of(sources.storage, self.customer_id, self.dates.days)
        found: list[requests.LoggedRequest] = []
        for day in sorted(rows, reverse=True):
            for start, end in await self._where(sources.storage, day, self._wanted(histogram_of(rows[day]))):
                found += await sources.storage.requests(
                    self.customer_id, start, end, self.outcome, self.limit - len(found)
                )
                if len(found) == self.limit:
                    break
            if len(found) == self.limit:
                break
        return LatestRequests(
            customer_id=self.customer_id,
            from_date=self.dates.from_date,
            to_date=self.dates.to_date,
            complete_through=None,
            requests=[
                LoggedRequest(
                    time=from_unix(request.second, request.millisecond or 0),
                    path=request.path,
                    status=logged_status(request.status),
                    duration=request.duration,
                    method=request.method,
                    bytes=request.bytes,
                )
                for request in found
            ],
        )

    async def _where(self, storage: Storage, day: int, wanted: int) -> list[tuple[int, int]]:
        """Stretches of the day (Unix time, s) that have all of so many requests, the latest first: its hours, or all of
        it where the hours are not counted yet. To look for few among many takes long, so not everywhere."""
        if not wanted:
            return []
        start = day * SECONDS["day"]
        roll_ups = await storage.rollups(group_of(self.customer_id), _BY_TIME, day, day)
        hours = {
            hour: self._wanted(tally)
            for hour, tally in histograms_of_hours(roll_ups.get(day, []), self.customer_id).items()
        }
        if sum(hours.values()) < wanted:
            return [(start, start + SECONDS["day"])]
        begins = [start + hour * SECONDS["hour"] for hour in sorted(hours, reverse=True) if hours[hour]]
        return [(begin, begin + SECONDS["hour"]) for begin in begins]

    def _wanted(self, tally: Histogram) -> int:
        failed = tally.total - tally.successful
        return {"all": tally.total, "failed": failed, "successful": tally.successful}[self.outcome]
