"""The statistics of a customer by path."""

from pydantic import BaseModel, Field

from api.schemas.figures import Figures
from api.schemas.listing import Customer, Range


class Path(BaseModel):
    """A path, or paths that are counted together."""

    path: str = Field(
        description="Without query and fragment, and with `{id}` for each segment that is an identifier. `(other)`: "
        "the paths of each day that came after the day's first hundred.",
        examples=["/users/{id}/orders"],
    )


class PathFigures(Figures, Path):
    """The statistics of one path."""


class Paths(Range, Customer):
    """The paths that come first by a figure."""

    ROWS = "paths"
    total: int = Field(description="The number of paths, including those beyond `limit`.", examples=[12])
    paths: list[PathFigures] = Field(description="In the order of `sort`; equal ones by the path.")
