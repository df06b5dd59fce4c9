"""The figures of requests, which all statistics consist of."""

from pydantic import BaseModel, Field


class Figures(BaseModel):
    """Figures of requests. Exact at the resolution of a millisecond, never an estimate."""

    total_requests: int = Field(examples=[1042])
    successful_requests: int = Field(description="Requests with a status from 200 to 399.", examples=[1021])
    failed_requests: int = Field(description="All other requests, including those without a status.", examples=[21])
    client_errors: int = Field(description="Requests with a status from 400 to 499.", examples=[18])
    server_errors: int = Field(
        description="Requests with a status from 500 to 599, and those without a status: nothing was answered.",
        examples=[3],
    )
    uptime: float | None = Field(
        description="Percent of the requests that succeeded, whoever failed the others; null without requests.",
        examples=[97.98464491362764],
    )
    availability: float | None = Field(
        description="Percent of the requests without a server error: mistakes of the client do not lower it. Null "
        "without requests.",
        examples=[99.71209213051823],
    )
    average_latency: float | None = Field(
        description="Seconds, over all requests that were logged with a duration; null without such requests.",
        examples=[0.2134011516314779],
    )
    median_latency: float | None = Field(
        description="Seconds; of an even number of latencies, the mean of the middle two.", examples=[0.1715]
    )
    p99_latency: float | None = Field(
        description="Seconds; the nearest rank: the smallest latency that 99 % of the requests do not exceed.",
        examples=[0.987],
    )


class Percentiles(BaseModel):
    """Further percentiles of the latencies."""

    percentiles: dict[str, float | None] = Field(
        default_factory=dict,
        description="Seconds, by percentile: the ones of the parameter `percentiles`, by the nearest rank as "
        "p99_latency; null without requests. Left out without the parameter.",
    )
