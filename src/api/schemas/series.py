"""What the api answers about parts of a customer's day, as the OpenAPI document describes it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from api.questions.times import Interval
from api.schemas.statistics import CompleteThrough, Customer, Figures, Listing, Range


class Path(BaseModel):
    """What paths have in common."""

    path: str = Field(
        description="Without query and fragment, and with `{id}` for each segment that is an identifier. `(other)`: "
        "all that came on a day after its first hundred.",
        examples=["/users/{id}/orders"],
    )


class PathFigures(Figures, Path):
    """The figures of the requests for one path."""


class Paths(Range, Customer):
    """The paths that a customer asked for."""

    ROWS = "paths"
    total: int = Field(description="How many paths there are, also beyond `limit`.", examples=[12])
    paths: list[PathFigures] = Field(description="Most requests first; of equally many, by the path.")


class Start(BaseModel):
    """When an interval begins."""

    start: datetime = Field(description="UTC.", examples=["2026-11-24T13:00:00Z"])


class Point(Figures, Start):
    """The figures of one interval."""


class Series(Listing, Customer):
    """The figures of a customer over time."""

    model_config = ConfigDict(serialize_by_alias=True)
    ROWS = "points"
    interval: Interval
    from_time: datetime = Field(
        serialization_alias="from", description="UTC, inclusive: when the first interval begins."
    )
    to_time: datetime = Field(serialization_alias="to", description="UTC, exclusive: when the last interval ends.")
    complete_through: CompleteThrough
    points: list[Point] = Field(description="Each interval that has requests, oldest first.")


class LoggedRequest(BaseModel):
    """A request as it was logged."""

    time: datetime = Field(
        description="UTC, with milliseconds where they were logged.", examples=["2026-11-24T06:29:58Z"]
    )
    path: str = Field(description="As logged.", examples=["/users/123/orders?page=2"])
    status: int | None = Field(description="null: none was logged.", examples=[503])
    duration: float | None = Field(description="Seconds; null: none was logged.", examples=[2.004])
    method: str | None = Field(description="The HTTP method; null: none was logged.", examples=["GET"])
    bytes: int | None = Field(description="Of the answer; null: they were not logged.", examples=[512])


class LatestRequests(Range, Customer):
    """The latest requests of a customer themselves."""

    ROWS = "requests"
    requests: list[LoggedRequest] = Field(description="The latest first.")
