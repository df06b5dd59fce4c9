"""How requests are distributed: by status, and by latency."""

from pydantic import BaseModel, Field

from api.schemas.listing import CustomerOrAll, Range


class RequestsOfStatus(BaseModel):
    """The requests of one HTTP status."""

    status: int | None = Field(description="The HTTP status; null: none was logged.", examples=[200])
    requests: int = Field(examples=[1021])


class StatusCodes(Range, CustomerOrAll):
    """The number of requests of each HTTP status."""

    ROWS = "status_codes"
    status_codes: list[RequestsOfStatus] = Field(
        description="Each status that a request had, ascending; null comes first."
    )


class LatencyBin(BaseModel):
    """The requests whose latency, in whole milliseconds, is in one bin."""

    from_latency: float = Field(description="Seconds, inclusive.", examples=[0.1])
    to_latency: float = Field(description="Seconds, exclusive.", examples=[0.15])
    requests: int = Field(examples=[17])


class Latencies(Range, CustomerOrAll):
    """The distribution of the latencies."""

    ROWS = "bins"
    total: int = Field(description="The requests of all bins: those that were logged with a duration.", examples=[1042])
    bins: list[LatencyBin] = Field(
        description="Ascending and without a hole, from the first to the last bin that has requests; at most 48 bins. "
        "They end at 1, 2, 3, 5 and 7 ms, and at 1, 1.5, 2, 3, 5 and 7 times each higher power of ten. So they are "
        "about equally wide on a logarithmic scale."
    )
