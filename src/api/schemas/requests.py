"""Requests as they were logged."""

from datetime import datetime

from pydantic import BaseModel, Field

from api.schemas.listing import Customer, Range
from storage.kept import KeptRequests


class LoggedRequest(BaseModel):
    """A request as it was logged."""

    time: datetime = Field(description="UTC, with milliseconds if they were logged.", examples=["2026-11-24T06:29:58Z"])
    path: str = Field(description="As logged, its first 8,000 characters.", examples=["/users/123/orders?page=2"])
    status: int | None = Field(description="null: none was logged.", examples=[503])
    duration: float | None = Field(description="Seconds; null: none was logged.", examples=[2.004])
    method: str | None = Field(description="The HTTP method; null: none was logged.", examples=["GET"])
    bytes: int | None = Field(description="The size of the response; null: none was logged.", examples=[512])


class LatestRequests(Range, Customer):
    """The latest requests of a customer."""

    ROWS = "requests"
    stored: KeptRequests = Field(
        description="Which requests of these days are stored, by STORE_REQUESTS of the processors. Others are counted, "
        "and not in this answer.",
        examples=["all"],
    )
    requests: list[LoggedRequest] = Field(description="Latest first.")
