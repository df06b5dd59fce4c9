"""The statistics of a customer over time: of each minute, hour, day, week or month."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fastapi.exceptions import RequestValidationError
from numpy.typing import NDArray

from api.caching.span_days import QUARTER_HOUR_KINDS
from api.questions.calendar import UTC, calendar
from api.questions.question import (
    FEW_DAYS,
    CachedStore,
    Effort,
    Question,
    computed,
    kept_since,
    require_known,
    span_counts,
)
from api.questions.times import SECONDS, TimeRange
from api.questions.validation import validation_error
from api.schemas.listing import NO_PROGRESS
from api.schemas.series import Point, Series
from api.utc import to_iso_time
from rollups.columns import QUARTER_HOURS_A_DAY, SECONDS_A_QUARTER_HOUR
from rollups.counts import DailyAggregate
from rollups.figures import Figures, figures, figures_of_each
from rollups.groups import OTHER, group_of, histograms_of_hours, unescaped
from rollups.histogram import Histogram, Histograms, histogram_of_requests, histograms_of, merge_each
from storage.contract import Storage
from storage.read_back import milliseconds
from storage.requests import LoggedRequest

MAX_REQUESTS = 200_000
"""The most requests that are read for a series of minutes."""
REQUESTS_AT_ONCE = 20_000
"""Requests after which a series of minutes lets other questions in between, and ends if its client has left."""


@dataclass(frozen=True, slots=True)
class SeriesQuestion(Question):
    """What are the statistics of each interval?"""

    customer_id: str
    times: TimeRange

    @property
    def about(self) -> str | None:
        return self.customer_id

    @property
    def is_of_rollups(self) -> bool:
        return self.times.interval == "hour" or (self.times.interval != "minute" and self.times.zone != UTC)

    def effort(self, store: CachedStore) -> Effort:
        return Effort.MUCH if self.times.interval == "minute" else Effort.SOME

    async def answer(self, store: CachedStore) -> Series:
        times = self.times
        local = calendar(times.zone).local
        found = await self._figures(store)
        if not found:
            await require_known(store.storage, self.customer_id)
        zone: dict[str, Any] = {"time_zone": times.zone} if times.zone != UTC else {}
        return Series(
            customer_id=self.customer_id,
            interval=times.interval,
            from_time=local(times.start),
            to_time=local(times.end),
            **NO_PROGRESS,
            points=[Point(start=local(start), **of_one._asdict()) for start, of_one in sorted(found.items())],
            **zone,
        )

    async def _figures(self, store: CachedStore) -> dict[int, Figures]:
        """By the start of the interval (Unix time, s)."""
        storage, times = store.storage, self.times
        if not times.days:
            return {}
        if times.interval == "minute":
            return {minute: figures(histogram) for minute, histogram in (await self._minutes(storage)).items()}
        edges = times.edges
        if self.is_of_rollups:
            counts = await span_counts(store, self.customer_id, edges, times.zone)
            return await computed(
                len(counts.spans) <= FEW_DAYS, lambda: _of_spans(edges, counts.spans, counts.histograms)
            )
        rows = await storage.daily_of_customer(self.customer_id, times.days[0], times.days[-1])
        return await computed(len(rows) <= FEW_DAYS, lambda: _of_rows(edges, rows))

    async def _minutes(self, storage: Storage) -> dict[int, Histogram]:
        """Computed from the requests: roll-ups by minute would have nearly as many rows as there are requests."""
        if self.customer_id == OTHER:
            raise validation_error("interval", "minute", f"the requests of {OTHER} are not told apart: ask for hours")
        if (kept := await kept_since(storage, self.times.start)) != "all":
            message = f"of the requests of this time {kept} are stored, and minutes need all of them: ask for hours"
            raise validation_error("interval", "minute", message)
        minutes: dict[int, Histogram] = {}
        left = MAX_REQUESTS
        for start, end in await self._spans(storage):
            requests = await storage.requests(unescaped(self.customer_id), start, end, "all", left + 1)
            left -= len(requests)
            if left < 0:
                raise self._too_many()
            minutes |= await asyncio.to_thread(_by_minute, requests)
        return minutes

    async def _spans(self, storage: Storage) -> list[tuple[int, int]]:
        """Consecutive spans of the range (Unix, s; end exclusive) with some ten thousand requests each.

        The counts tell, which may be behind the requests. RequestValidationError where they know of too many: reading
        those would take seconds.
        """
        times, days, hour, day = self.times, self.times.days, SECONDS["hour"], SECONDS["day"]
        rollups = await storage.rollups(group_of(self.customer_id), QUARTER_HOUR_KINDS, days[0], days[-1])
        by_hour = {
            of_day * day + of_hour * hour: histogram.total
            for of_day, rows in rollups.items()
            for of_hour, histogram in histograms_of_hours(rows, self.customer_id).items()
        }
        whole_hours = range(-(-times.start // hour) * hour, times.end - hour + 1, hour)
        whole_days = range(-(-times.start // day), times.end // day)
        daily = await storage.daily_of_customer(self.customer_id, whole_days[0], whole_days[-1]) if whole_days else {}
        by_day = [histogram.total for histogram in histograms_of(daily.values()).each()]
        if max(sum(by_hour.get(start, 0) for start in whole_hours), *by_day, 0) > MAX_REQUESTS:
            raise self._too_many()
        spans, first, requests = [], times.start, 0
        for start in range(times.start // hour * hour, times.end, hour):
            requests += by_hour.get(start, 0)
            if requests > REQUESTS_AT_ONCE:
                spans.append((first, min(start + hour, times.end)))
                first, requests = start + hour, 0
        return [*spans, (first, times.end)] if first < times.end else spans

    def _too_many(self) -> RequestValidationError:
        start, end = to_iso_time(self.times.start), to_iso_time(self.times.end)
        message = (
            f"from {start} to {end} there are more than {MAX_REQUESTS:,} requests: ask for minutes of a shorter range"
        )
        return validation_error("from", start, message)


def _of_rows(edges: NDArray[np.int64], rows: Mapping[int, DailyAggregate]) -> dict[int, Figures]:
    """The figures of spans of whole UTC days, by the start of the span (Unix time, s). `edges`: see
    rollups.spans.spans_of_days."""
    by_span: dict[int, list[DailyAggregate]] = {}
    for day, row in sorted(rows.items()):
        span = int(np.searchsorted(edges, day * QUARTER_HOURS_A_DAY, side="right")) - 1
        by_span.setdefault(span, []).append(row)
    groups = list(by_span.values())
    # Most series are of days, which need no merging.
    found = merge_each(groups) if len(groups) < len(rows) else histograms_of([row for (row,) in groups])
    return _of_spans(edges, list(by_span), found)


def _of_spans(edges: NDArray[np.int64], spans: Sequence[int], histograms: Histograms) -> dict[int, Figures]:
    starts = (edges[spans] * SECONDS_A_QUARTER_HOUR).tolist()
    return dict(zip(starts, figures_of_each(histograms), strict=True))


def _by_minute(requests: Sequence[LoggedRequest]) -> dict[int, Histogram]:
    """By the start of the minute (Unix time, s)."""
    minutes: dict[int, list[tuple[int, int]]] = {}
    for request in requests:
        minute = request.second // SECONDS["minute"] * SECONDS["minute"]
        minutes.setdefault(minute, []).append((request.status, milliseconds(request.duration)))
    return {minute: histogram_of_requests(of_minute) for minute, of_minute in minutes.items()}
