"""The statistics and the errors by path."""

from datetime import date

from pydantic import BaseModel, Field

from api.schemas.customers import CustomerStatistics
from api.schemas.figures import Figures
from api.schemas.listing import CompleteThrough, Customer, CustomerOrAll, Listing, Missing, Range


class Path(BaseModel):
    """A path, or paths that are counted together."""

    path: str = Field(
        description="Without query and fragment, and with `{id}` for each segment that is an identifier, or by an own "
        "template. `(other)`: the paths of each day that came after the day's first `PATHS_A_CUSTOMER`.",
        examples=["/users/{id}/orders"],
    )


class Method(BaseModel):
    """A method, or methods that are counted together."""

    method: str | None = Field(
        default=None,
        description="Absent unless `by=method`. null: none was logged; `(other)`: none of RFC 9110 and RFC 5789.",
        examples=["GET"],
    )


class Bytes(BaseModel):
    """What was sent."""

    bytes_sent: int | None = Field(
        description="The sum of the sizes of the responses, in bytes; null: none was logged.", examples=[4652]
    )


class PathFigures(Bytes, Figures, Method, Path):
    """The statistics of one path."""


class Paths(Range, CustomerOrAll):
    """The paths that come first by a figure."""

    ROWS = "paths"
    total: int = Field(description="The number of paths, including those beyond `limit`.", examples=[12])
    bytes_sent: int | None = Field(
        description="The sum of the sizes of all responses, including those of paths beyond `limit`, in bytes; null: "
        "none was logged.",
        examples=[102350],
    )
    paths: list[PathFigures] = Field(description="In the order of `sort`; equal ones by the path.")
    tells_methods_apart: bool = Field(exclude=True)

    def columns(self) -> list[str]:
        return [name for name in super().columns() if name != "method" or self.tells_methods_apart]


class PathCustomers(Listing):
    """The customers with requests to a path on a day that come first by a figure."""

    ROWS = "customers"
    path: str = Field(examples=["/users/{id}/orders"])
    date: date
    complete_through: CompleteThrough
    missing: Missing
    total: int = Field(description="The number of customers, including those beyond `limit`.", examples=[50])
    customers: list[CustomerStatistics] = Field(description="In the order of `sort`; equal ones by the id.")


class RequestsOfError(Path):
    """The requests of one path that failed with one status."""

    status: int | None = Field(
        description="The HTTP status. From 400 to 499 the client is to blame, from 500 to 599 the server. null: none "
        "was logged, which counts as a server error.",
        examples=[503],
    )
    requests: int = Field(examples=[3])
    latest_date: date = Field(description="The latest day of the range with such a request.")


class Errors(Range, Customer):
    """The requests that failed, by path and status."""

    ROWS = "errors"
    total: int = Field(description="The number of errors, including those beyond `limit`.", examples=[2])
    errors: list[RequestsOfError] = Field(description="Most requests first; equal ones by the path, then the status.")
