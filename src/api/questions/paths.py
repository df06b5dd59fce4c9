"""The statistics by path: of a customer, or of all customers together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from api.questions.question import FEW_CHARACTERS, CachedStore, RangeQuestion, computed, require_known
from api.questions.sorting import FIGURE_OF, FigureSort, Order, in_order
from api.schemas.paths import PathFigures, Paths
from rollups.counts import RollupRow
from rollups.figures import figures
from rollups.groups import (
    ALL_CUSTOMERS,
    EVERYBODY,
    Endpoint,
    group_of,
    histograms_by_method,
    histograms_of_endpoints,
    sizes_of_endpoints,
)
from rollups.histogram import Histogram

PathSort = Literal[FigureSort, "bytes_sent", "path"]
By = Literal["path", "method"]


@dataclass(frozen=True, slots=True)
class PathsQuestion(RangeQuestion):
    """Which paths come first by a figure, and what are their statistics?"""

    by: By
    """What is told apart: paths, or paths and methods."""
    sort: PathSort
    order: Order
    limit: int

    @property
    def is_of_rollups(self) -> bool:
        return True

    async def answer(self, store: CachedStore) -> Paths:
        days = self.dates.days
        name = self.customer_id if self.customer_id is not None else EVERYBODY
        group = group_of(name) if self.customer_id is not None else ALL_CUSTOMERS
        stored = await store.storage.rollups(group, ["endpoints"], days[0], days[-1]) if days else {}
        rows = [row for of_day in stored.values() for row in of_day]
        answer = await computed(sum(row.size for row in rows) <= FEW_CHARACTERS, lambda: self._of_rows(rows, name))
        if not answer.total:
            await require_known(store.storage, self.customer_id)
        return answer

    def _of_rows(self, rows: list[RollupRow], name: str) -> Paths:
        if self.by == "method":
            found = histograms_by_method(rows, name)
        else:
            found = {Endpoint(path, ""): of_path for path, of_path in histograms_of_endpoints(rows, name).items()}
        sizes: dict[Endpoint, int] = {}
        for endpoint, size in sizes_of_endpoints(rows, name).items():
            told_apart = endpoint if self.by == "method" else Endpoint(endpoint.path, "")
            sizes[told_apart] = sizes.get(told_apart, 0) + size
        paths = [
            self._row(endpoint, found[endpoint], sizes.get(endpoint))
            for endpoint in self._in_order(found, sizes)[: self.limit]
        ]
        return Paths(
            **self.of_range(),
            total=len(found),
            bytes_sent=sum(sizes.values()) if sizes else None,
            paths=paths,
            tells_methods_apart=self.by == "method",
        )

    def _row(self, endpoint: Endpoint, histogram: Histogram, size: int | None) -> PathFigures:
        # Left unset where methods are not told apart, so that the answer does not have it.
        method: dict[str, Any] = {"method": endpoint.method or None} if self.by == "method" else {}
        return PathFigures(path=endpoint.path, **method, **figures(histogram)._asdict(), bytes_sent=size)

    def _in_order(self, found: Mapping[Endpoint, Histogram], sizes: Mapping[Endpoint, int]) -> list[Endpoint]:
        if self.sort == "path":
            return sorted(found, reverse=self.order == "desc")
        values: dict[Endpoint, float | None]
        if self.sort == "bytes_sent":
            values = {endpoint: sizes.get(endpoint) for endpoint in found}
        elif self.sort == "total":
            values = {endpoint: histogram.total for endpoint, histogram in found.items()}
        else:
            # The figures of all paths: ranks of latencies take some 20 us each.
            field = FIGURE_OF[self.sort]
            values = {endpoint: getattr(figures(histogram), field) for endpoint, histogram in found.items()}
        return in_order(values, self.order)
