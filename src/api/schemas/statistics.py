"""What the api answers with, as the OpenAPI document describes it."""

from datetime import date, datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, Field

from storage.contract import MAIN
from storage.logs import FileState


class Listing(BaseModel):
    """An answer that is a list, with what it is about. As CSV it is the list alone."""

    ROWS: ClassVar[str]
    """The field that has the list."""

    def columns(self) -> list[str]:
        """The columns of the list as CSV: the fields of its elements."""
        (row,) = get_args(type(self).model_fields[self.ROWS].annotation)
        return list(row.model_fields)

    def as_json(self) -> bytes:
        """The answer as JSON."""
        return self.model_dump_json(exclude_unset=True).encode()


class Figures(BaseModel):
    """How requests fared. Exact at the resolution of a millisecond, never an estimate."""

    total_requests: int = Field(examples=[1042])
    successful_requests: int = Field(description="Requests with a status from 200 to 399.", examples=[1021])
    failed_requests: int = Field(description="All others, also those without a status.", examples=[21])
    uptime: float | None = Field(
        description="Percent of the requests that succeeded; null where there are none.", examples=[97.98464491362764]
    )
    average_latency: float | None = Field(
        description="Seconds, over all requests that were logged with a duration; null where there are none.",
        examples=[0.2134011516314779],
    )
    median_latency: float | None = Field(
        description="Seconds; the mean of the middle two when their count is even.", examples=[0.1715]
    )
    p99_latency: float | None = Field(
        description="Seconds; the nearest rank: the smallest latency that 99 % of the requests do not exceed.",
        examples=[0.987],
    )


class Day(BaseModel):
    """A UTC day."""

    date: date


class Customer(BaseModel):
    """Whose figures these are."""

    customer_id: str = Field(examples=["cust_1"])


class CustomerOrAll(BaseModel):
    """Whose figures these are, or all customers'."""

    customer_id: str | None = Field(description="null: all customers together.", examples=["cust_1"])


CompleteThrough = Annotated[
    datetime | None,
    Field(
        description="All requests that were logged before this time (UTC) are counted; later ones may be. It is when "
        "the processor last looked at the log, if all that was there then is counted. If not, it is the time of the "
        "newest request that is counted, which supposes that the log is written in the order of its times. Of several "
        "logs the least counts. null: it cannot be told, for the processor has not reported yet, or it is behind in a "
        "log of which nothing is counted, or whose newest time is in the future.",
        examples=["2026-11-24T06:30:01.482000Z"],
    ),
]


class Range(Listing):
    """The UTC days that an answer is about, both inclusive: those asked for, as far as they are kept."""

    from_date: date
    to_date: date
    complete_through: CompleteThrough


class Percentiles(BaseModel):
    """Further percentiles of the latencies."""

    percentiles: dict[str, float | None] = Field(
        default_factory=dict,
        description="Seconds, by percentile: those that `percentiles` asks for, by the nearest rank as p99_latency; "
        "null where there are no requests. Left out where none are asked for.",
    )


# The fields of the last base come first.


class DayStatistics(Percentiles, Figures, Day):
    """The figures of one day."""

    @cached_property
    def as_json(self) -> bytes:
        """Itself as JSON."""
        return self.model_dump_json(exclude_unset=True).encode()


class CustomerStatistics(Figures, Customer):
    """The figures of one customer over the range."""


class Statistics(Percentiles, Figures, Range, CustomerOrAll):
    """The figures of a customer, or of all together, over the range and for each of its days."""

    ROWS = "daily"
    daily: list[DayStatistics] = Field(description="Each UTC day that has requests, oldest first.")

    def as_json(self) -> bytes:
        # Most days are kept from the answer before, and their JSON with them: it takes longer than all the rest.
        rest = self.model_dump_json(exclude_unset=True, exclude={"daily"}).encode()
        return b'%b,"daily":[%b]}' % (rest[:-1], b",".join([day.as_json for day in self.daily]))

    def columns(self) -> list[str]:
        names = [name for name in super().columns() if name != "percentiles"]
        return [*names, *(f"percentiles.{percentile}" for percentile in self.percentiles)]


class RequestsOfStatus(BaseModel):
    """The requests of one HTTP status."""

    status: int | None = Field(description="The HTTP status; null: none was logged.", examples=[200])
    requests: int = Field(examples=[1021])


class StatusCodes(Range, CustomerOrAll):
    """How many requests of a customer, or of all together, had which HTTP status."""

    ROWS = "status_codes"
    status_codes: list[RequestsOfStatus] = Field(
        description="Each status that some request had, ascending; null comes first."
    )


class LatencyBin(BaseModel):
    """The requests whose latency, in whole milliseconds, is in one bin."""

    from_latency: float = Field(description="Seconds, inclusive.", examples=[0.1])
    to_latency: float = Field(description="Seconds, exclusive.", examples=[0.15])
    requests: int = Field(examples=[17])


class Latencies(Range, CustomerOrAll):
    """The distribution of the latencies of a customer, or of all together."""

    ROWS = "bins"
    total: int = Field(description="The requests in all bins: those that were logged with a duration.", examples=[1042])
    bins: list[LatencyBin] = Field(
        description="Ascending and without a hole: from the first to the last one that has requests. They end at 1, 2, "
        "3, 5 and 7 ms, and at 1, 1.5, 2, 3, 5 and 7 times each higher power of ten, so that they are about as wide as "
        "each other on a logarithmic scale. There are 48 of them at most."
    )


class CustomerList(Range):
    """One page of the customers that have requests in the range."""

    ROWS = "customers"
    total: int = Field(description="How many customers there are on all pages.", examples=[50])
    next_cursor: str | None = Field(description="What `cursor` is for the next page; null: this is the last one.")
    customers: list[CustomerStatistics]


class Place(BaseModel):
    """A place in a log."""

    generation: int = Field(description="How often the log had been rotated.", examples=[0])
    offset: int = Field(description="Bytes from the beginning of that generation's file.", examples=[69340])


class MissingPart(BaseModel):
    """Bytes of a log that could not be had any more: from here to the end of that generation."""

    position: Place
    reason: str


class Seen(BaseModel):
    """A log's file as the processor last saw it, which it reports once a second."""

    time: datetime
    age_seconds: float = Field(
        description="Above a few seconds: the processor is down. Below zero: a clock is wrong, see `clock_faults`.",
        examples=[0.4],
    )
    position: Place = Field(description="Through which it was read.")
    size: int = Field(description="Bytes in the file.", examples=[69340])


class FileStatus(BaseModel):
    """A file of a log, and how far the store is in it."""

    generation: int = Field(description="Its number among the files of the log.", examples=[0])
    path: str = Field(description="Where it was seen last.", examples=["/logs/log"])
    state: FileState = Field(
        description="live: at the log's path, or the newest of a log without one. open: elsewhere, and read on. "
        "closed: read to its end. copy: its bytes are those of another file, so it is not read.",
        examples=["live"],
    )
    start: int = Field(description="Offset at which reading began.", examples=[0])
    offset: int = Field(description="Offset through which it is stored.", examples=[311])
    copy_of: int | None = Field(description="Of a copy: the number of the other file.", examples=[None])


class LogStatus(BaseModel):
    """How far the store is in one log."""

    log: str = Field(examples=["api_requests"])
    writer: str = Field(default=MAIN, description="The name of the processor that stores it.", examples=[MAIN])
    path: str = Field(description="Where the processor follows it; of a backfilled file, where it was.")
    format: str = Field(
        description="The settings by which a backfilled file was read; empty for a log that is followed.",
        examples=[""],
    )
    first: Place = Field(description="Where the store began with it.")
    position: Place = Field(description="Through which it is stored.")
    lines_read: int = Field(
        description="From `first` to `position`: stored, rejected and skipped ones.", examples=[1049]
    )
    lines_stored: int = Field(examples=[1042])
    lines_rejected: int = Field(examples=[3])
    rejected: dict[str, int] = Field(description="The rejected lines by reason.", examples=[{"fields": 2, "status": 1}])
    lines_skipped: int = Field(description="Comments, and lines that say what the next ones mean.", examples=[4])
    mended: dict[str, int] = Field(
        description="Of how many of the stored requests something was mended, by what it was: `duration`, it was not "
        "understood, or out of bounds, and none is stored; `status`, none was logged, or it was in a list; `encoding` "
        "and `control_character`, bytes of the customer or the path are stored as `\\xNN`. A request may count in "
        "several of them.",
        examples=[{"duration": 5}],
    )
    gaps: list[MissingPart] = Field(description="What of it was lost before it could be read.")
    files: list[FileStatus] = Field(
        description="Its files that are there, or were when they were seen last; at most the last hundred."
    )
    newest_request: datetime | None = Field(description="The latest time of a stored request.")
    seen: Seen | None = Field(description="null: the processor has not reported on it yet.")
    bytes_behind: int | None = Field(
        description="Bytes that it had when it was last seen and that are not stored, without a line that is still "
        "being written.",
        examples=[0],
    )
    seconds_behind: float | None = Field(
        description="0 when `bytes_behind` is 0; else the age of its `complete_through`, and so at most this much. "
        "Below zero: a clock is wrong, see `clock_faults`.",
        examples=[0],
    )
    complete_through: CompleteThrough


class StoreStatus(BaseModel):
    """How far the store is in all logs."""

    complete_through: CompleteThrough
    clock_faults: list[str] = Field(
        description="Sentences about times that lie in the future: a clock is wrong, and ages with it. Empty: none do.",
        examples=[[]],
    )
    logs: list[LogStatus]


class Status(BaseModel):
    """That all is well; what is not well has another HTTP status."""

    status: str = Field(default="ok", examples=["ok"])


RequestId = Annotated[
    str, Field(description="That of the header `X-Request-ID`, the request's or the answer's. The log has it, too.")
]


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str
    request_id: RequestId


class Fault(BaseModel):
    """What is wrong with one parameter."""

    type: str
    loc: list[str | int] = Field(description="`query` or `path`, and the parameter.", examples=[["query", "from_date"]])
    msg: str = Field(description="What is wrong, and what is allowed.")
    input: Any = Field(default=None, description="What was sent.")
    ctx: dict[str, Any] = Field(default_factory=dict, description="What the sentence is about, such as a limit.")


class Refusal(BaseModel):
    """Why the parameters are refused."""

    detail: list[Fault]
    request_id: RequestId
