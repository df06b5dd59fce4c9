"""The statistics of one customer or of all customers together."""

from datetime import date

from pydantic import BaseModel, Field

from api.schemas.figures import Figures, Percentiles
from api.schemas.listing import CustomerOrAll, Range


class Day(BaseModel):
    """A day."""

    date: date


# The fields of the last base class come first.


class DayStatistics(Percentiles, Figures, Day):
    """The statistics of one day."""


class PreviousFigures(Figures):
    """The figures over as many days right before the range."""

    from_date: date
    to_date: date


class Difference(BaseModel):
    """How much a figure of the range is above that of the days before; below zero: how much it is below."""

    absolute: float | None = Field(description="In the figure's unit; null if one of the two is null.", examples=[-12])
    percent: float | None = Field(
        description="Percent of the figure of the days before; null if that is 0 or null.", examples=[-4.5]
    )


class Statistics(Percentiles, Figures, Range, CustomerOrAll):
    """The statistics over the range, and of each of its days."""

    ROWS = "daily"
    daily: list[DayStatistics] = Field(description="Each day that has requests, oldest first.")
    previous: PreviousFigures | None = Field(
        default=None,
        description="With `compare=previous`, else absent. null: not all of these days are kept, or the store has no "
        "request at all of the seven days up to the first of them. They are whole days, also if the range ends today.",
    )
    differences: dict[str, Difference] | None = Field(
        default=None,
        description="With `compare=previous`, else absent: of each figure, the difference to `previous`. null if that "
        "is null.",
    )
    folded_days: list[date] = Field(
        default=[],
        description="Absent where there is none. Days of the range on which too many customers were new, and of which "
        "this one has no request of its own: any that it made are counted under the customer `(other)`.",
    )

    def columns(self) -> list[str]:
        names = [name for name in super().columns() if name != "percentiles"]
        return [*names, *(f"percentiles.{percentile}" for percentile in self.percentiles)]
