"""What can be asked about parts of a customer's days: intervals of time, and paths."""

from dataclasses import asdict, dataclass

from fastapi import HTTPException

from api.breakdown_models import PathFigures, Paths, Point, Series
from api.customer_figures import CustomerFigures
from api.dates import DateRange
from api.questions import Question, unknown
from api.times import SECONDS, TimeRange, from_unix
from storage.breakdowns import tallies_of_hours, tallies_of_paths
from storage.contract import Storage
from storage.statistics import figures
from storage.tally import Tally, tally_of


@dataclass(frozen=True, slots=True)
class SeriesQuestion(Question):
    """The figures of each interval of a stretch of time."""

    customer_id: str
    times: TimeRange

    @property
    def is_broken_down(self) -> bool:
        return self.times.interval == "hour"

    async def answer(self, storage: Storage, customers: CustomerFigures) -> Series:
        times = self.times
        found = await self._tallies(storage)
        if not found:
            await _must_be_known(storage, self.customer_id)
        return Series(
            customer_id=self.customer_id,
            interval=times.interval,
            from_time=from_unix(times.start),
            to_time=from_unix(times.end),
            complete_through=None,
            points=[
                Point(start=from_unix(start), **asdict(figures(tally)))
                for start, tally in sorted(found.items())
                if times.start <= start < times.end
            ],
        )

    async def _tallies(self, storage: Storage) -> dict[int, Tally]:
        """By the Unix time (s) at which the interval begins; also some before and after the range."""
        days = self.times.days
        if not days:
            return {}
        if self.times.interval == "day":
            rows = await storage.packed_days(self.customer_id, days[0], days[-1])
            return {day * SECONDS["day"]: tally_of(row) for day, row in rows.items()}
        broken_down = await storage.breakdowns(self.customer_id, "hours", days[0], days[-1])
        return {
            day * SECONDS["day"] + hour * SECONDS["hour"]: tally
            for day, segments in broken_down.items()
            for hour, tally in tallies_of_hours(segments).items()
        }


@dataclass(frozen=True, slots=True)
class PathsQuestion(Question):
    """The paths with the most requests."""

    dates: DateRange
    customer_id: str
    limit: int

    @property
    def is_broken_down(self) -> bool:
        return True

    async def answer(self, storage: Storage, customers: CustomerFigures) -> Paths:
        days = self.dates.days
        rows = await storage.breakdowns(self.customer_id, "paths", days[0], days[-1]) if days else {}
        if not rows:
            await _must_be_known(storage, self.customer_id)
        found = tallies_of_paths(row for of_day in rows.values() for row in of_day)
        most = sorted(found.items(), key=lambda item: (-item[1].total, item[0]))
        return Paths(
            customer_id=self.customer_id,
            from_date=self.dates.from_date,
            to_date=self.dates.to_date,
            complete_through=None,
            total=len(found),
            paths=[PathFigures(path=path, **asdict(figures(tally))) for path, tally in most[: self.limit]],
        )


async def _must_be_known(storage: Storage, customer_id: str) -> None:
    """HTTPException 404 where it is not."""
    if not await storage.knows(customer_id):
        raise HTTPException(404, unknown(customer_id))
