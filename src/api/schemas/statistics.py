"""The statistics of one customer or of all customers together."""

from datetime import date

from pydantic import BaseModel, Field

from api.schemas.figures import Figures, Percentiles
from api.schemas.listing import CustomerOrAll, Range


class Day(BaseModel):
    """A UTC day."""

    date: date


# The fields of the last base class come first.


class DayStatistics(Percentiles, Figures, Day):
    """The statistics of one day."""


class Statistics(Percentiles, Figures, Range, CustomerOrAll):
    """The statistics over the range, and of each of its days."""

    ROWS = "daily"
    daily: list[DayStatistics] = Field(description="Each UTC day that has requests, oldest first.")
    folded_days: list[date] = Field(
        default=[],
        description="Absent where there is none. Days of the range on which too many customers were new, and of which "
        "this one has no request of its own: any that it made are counted under the customer `(other)`.",
    )

    def columns(self) -> list[str]:
        names = [name for name in super().columns() if name != "percentiles"]
        return [*names, *(f"percentiles.{percentile}" for percentile in self.percentiles)]
