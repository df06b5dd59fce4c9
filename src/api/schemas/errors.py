"""The requests of a customer that failed, by path and status."""

from datetime import date

from pydantic import Field

from api.schemas.listing import Customer, Range
from api.schemas.paths import Path


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
