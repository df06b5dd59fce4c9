"""The statistics of a customer by path."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from api.questions.dates import DateRange
from api.questions.question import Question, Sources, require_known
from api.questions.sorting import FIGURE_OF, FigureSort, Order
from api.schemas.paths import PathFigures, Paths
from rollups.figures import figures
from rollups.groups import group_of, histograms_of_endpoints
from rollups.histogram import Histogram

PathSort = Literal[FigureSort, "path"]


@dataclass(frozen=True, slots=True)
class PathsQuestion(Question):
    """Which paths come first by a figure, and what are their statistics?"""

    dates: DateRange
    customer_id: str
    sort: PathSort
    order: Order
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
        return Paths(
            customer_id=self.customer_id,
            from_date=self.dates.from_date,
            to_date=self.dates.to_date,
            complete_through=None,
            missing=[],
            total=len(found),
            paths=[
                PathFigures(path=path, **figures(found[path])._asdict()) for path in self._in_order(found)[: self.limit]
            ],
        )

    def _in_order(self, found: Mapping[str, Histogram]) -> list[str]:
        """The paths in the order that was asked for. Equal ones are in alphabetical order; those without the figure
        come last."""
        if self.sort == "path":
            return sorted(found, reverse=self.order == "desc")
        sign = -1 if self.order == "desc" else 1
        values: dict[str, float | None] = {path: histogram.total for path, histogram in found.items()}
        if self.sort != "total":
            # The figures of all paths: ranks of latencies take some 20 us each.
            field = FIGURE_OF[self.sort]
            values = {path: getattr(figures(histogram), field) for path, histogram in found.items()}
        return sorted(found, key=lambda path: (values[path] is None, sign * (values[path] or 0), path))
