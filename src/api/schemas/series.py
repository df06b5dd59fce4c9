"""The statistics of a customer over time."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.figures import Figures
from api.schemas.listing import CompleteThrough, Customer, Listing, Missing, Range, TimeZone

Interval = Literal["minute", "hour", "day", "week", "month"]


class Start(BaseModel):
    """The start of an interval."""

    start: datetime = Field(description="In UTC, or as the clock of `tz` shows it.", examples=["2026-11-24T13:00:00Z"])


class Point(Figures, Start):
    """The statistics of one interval."""


class AllSeries(Range):
    """The statistics of all customers together, of each interval."""

    ROWS = "points"
    interval: Literal["hour", "day"]
    path: str = Field(
        default="", description="Absent where the answer is about all paths.", examples=["/api/v1/orders"]
    )
    points: list[Point] = Field(description="Each interval that has requests, oldest first.")


class Series(Listing, Customer):
    """The statistics of each interval."""

    model_config = ConfigDict(serialize_by_alias=True)
    ROWS = "points"
    interval: Interval
    time_zone: TimeZone = "UTC"
    from_time: datetime = Field(serialization_alias="from", description="Inclusive: the start of the first interval.")
    to_time: datetime = Field(serialization_alias="to", description="Exclusive: the end of the last interval.")
    complete_through: CompleteThrough
    missing: Missing
    points: list[Point] = Field(description="Each interval that has requests, oldest first.")
