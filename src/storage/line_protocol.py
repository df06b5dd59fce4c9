"""InfluxDB's line protocol: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/"""

from urllib.parse import quote

from request_log.parser import bucket_of
from storage.contract import StoredRequests

_NANOSECONDS = 10**9


def tag(text: str) -> str:
    """A tag's value, percent-encoded: a tag cannot hold every text (a backslash at its end, a newline)."""
    return quote(text, safe="")


def string_field(text: str) -> str:
    """A string field's value."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def point_time(second: int, offset: int) -> int:
    """When the point of a line lies: its second (Unix time) and, as nanoseconds, its place in the log.

    A line is longer than 16 bytes, so no two lines of a generation share a point, short of 16 GB between two lines of
    one second; and a line read again has the same point.
    """
    return second * _NANOSECONDS + (offset // 16) % _NANOSECONDS


def request_lines(batch: StoredRequests) -> bytes:
    """One point a request."""
    series = f"api_requests,log={tag(batch.log)},generation={batch.generation},bucket="
    requests = batch.requests
    heads = {
        customer: f"{series}{bucket_of(customer)} customer_id={string_field(customer)},request_path="
        for customer in set(requests.customers)
    }
    rows = zip(
        requests.customers,
        requests.paths,
        requests.statuses,
        requests.durations,
        requests.seconds,
        requests.offsets,
        strict=True,
    )
    return "\n".join(
        [
            f"{heads[customer]}{string_field(path)},status_code={status}i,duration={duration}"
            f" {point_time(second, offset)}"
            for customer, path, status, duration, second, offset in rows
        ]
    ).encode()
