"""The statistics of all customers together over time: of all their requests, or of those to a path."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from api.questions.question import CachedStore, Question
from api.questions.times import SECONDS
from api.schemas.listing import NO_PROGRESS
from api.schemas.series import AllSeries, Point
from api.utc import to_datetime
from rollups.counts import RollupRow
from rollups.figures import figures
from rollups.groups import ALL_CUSTOMERS, ALL_OF_HOUR, EVERYBODY, histograms_of_customers, histograms_of_hours
from rollups.histogram import Histogram, histograms_of
from storage.contract import Storage

AllInterval = Literal["hour", "day"]
MOST_HOUR_DAYS = 7
"""Days of hours of one answer. The rows of an hour have all paths by quarter hours."""


@dataclass(frozen=True, slots=True)
class AllSeriesQuestion(Question):
    """What are the statistics of each interval?"""

    interval: AllInterval
    first: date
    last: date
    days: range
    """The days that are kept, as days since 1970-01-01."""
    path: str | None
    """None: all paths."""

    @property
    def is_of_rollups(self) -> bool:
        return self.path is not None or self.interval == "hour"

    async def answer(self, store: CachedStore) -> AllSeries:
        found = await self._histograms(store.storage) if self.days else {}
        of_path: dict[str, Any] = {"path": self.path} if self.path is not None else {}
        return AllSeries(
            interval=self.interval,
            from_date=self.first,
            to_date=self.last,
            **NO_PROGRESS,
            # The hours of a year would block the event loop for half a second.
            points=await asyncio.to_thread(_points, found),
            **of_path,
        )

    async def _histograms(self, storage: Storage) -> dict[int, Histogram]:
        """By the start of the interval (Unix time, s)."""
        first, last = self.days[0], self.days[-1]
        if self.interval == "day":
            if self.path is None:
                rows = await storage.daily_of_customer(None, first, last)
                histograms = histograms_of(rows.values()).each()
                return {day * SECONDS["day"]: histogram for day, histogram in zip(rows, histograms, strict=True)}
            of_days = await storage.rollups(ALL_CUSTOMERS, ["endpoints"], first, last)
            return await asyncio.to_thread(
                _of_path, [(day * SECONDS["day"], rows) for day, rows in of_days.items()], self.path
            )
        if self.path is None:
            return await asyncio.to_thread(_of_hours, await storage.rollups(ALL_CUSTOMERS, ["parts"], first, last))
        of_hours = await asyncio.gather(
            *(storage.rollups(ALL_OF_HOUR + hour, ["endpoint_parts"], first, last) for hour in range(24))
        )
        rows_by_hour = [
            (day * SECONDS["day"] + hour * SECONDS["hour"], rows)
            for hour, of_days in enumerate(of_hours)
            for day, rows in of_days.items()
        ]
        return await asyncio.to_thread(_of_path, rows_by_hour, self.path)


def _points(found: Mapping[int, Histogram]) -> list[Point]:
    return [
        Point(start=to_datetime(start), **figures(histogram)._asdict()) for start, histogram in sorted(found.items())
    ]


def _of_hours(rows: Mapping[int, Sequence[RollupRow]]) -> dict[int, Histogram]:
    """The start of the hour -> its histogram. `rows`: by day."""
    return {
        day * SECONDS["day"] + hour * SECONDS["hour"]: histogram
        for day, of_day in rows.items()
        for hour, histogram in histograms_of_hours(of_day, EVERYBODY).items()
    }


def _of_path(stored: list[tuple[int, list[RollupRow]]], path: str) -> dict[int, Histogram]:
    """The start of the interval -> its histogram, for intervals that have requests to the path."""
    return {
        start: histogram
        for start, rows in stored
        if (histogram := histograms_of_customers(rows, path).get(EVERYBODY)) is not None
    }
