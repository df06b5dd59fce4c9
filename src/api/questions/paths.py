"""The statistics of a customer by path."""

from dataclasses import dataclass

from api.questions.dates import DateRange
from api.questions.question import Question, Sources, require_known
from api.schemas.paths import PathFigures, Paths
from rollups.figures import figures
from rollups.groups import group_of, histograms_of_endpoints


@dataclass(frozen=True, slots=True)
class PathsQuestion(Question):
    """Which paths have the most requests, and what are their statistics?"""

    dates: DateRange
    customer_id: str
    limit: int

    @property
    def about(self) -> str | None:
        return self.customer_id

    @property
    def is_of_rollups(self) -> bool:
        return True

    async def answer(self, sources: Sources) -> Paths:
        days = self.dates.days
        group = group_of(self.customer_id)
        rows = await sources.storage.rollups(group, ["endpoints"], days[0], days[-1]) if days else {}
        found = histograms_of_endpoints((row for of_day in rows.values() for row in of_day), self.customer_id)
        if not found:
            await require_known(sources.storage, self.customer_id)
        most = sorted(found.items(), key=lambda item: (-item[1].total, item[0]))
        return Paths(
            customer_id=self.customer_id,
            from_date=self.dates.from_date,
            to_date=self.dates.to_date,
            complete_through=None,
            total=len(found),
            paths=[PathFigures(path=path, **figures(histogram)._asdict()) for path, histogram in most[: self.limit]],
        )
