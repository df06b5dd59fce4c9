"""InfluxDB's line protocol: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/"""

from urllib.parse import quote

from storage.contract import StoredRequests

_NANOSECONDS = 10**9


def tag(text: str) -> str:
    """A tag's value, percent-encoded: a tag cannot hold every text (a backslash at its end, a newline)."""
    return quote(text, safe="")


def string_field(text: str) -> str:
    """A string field's value."""
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def request_lines(batch: StoredRequests) -> bytes:
    """One point a request, at its second and, as nanoseconds, a sixteenth of its offset.

    A line is longer than 16 bytes, so no two lines of a generation share a point, short of 16 GB between two lines of
    one second; and a line that is read again has the same point.
    """
    requests = batch.requests
    series = f"api_requests,log={tag(batch.log)},generation={batch.generation},bucket="
    heads = {
        customer: f'{series}{bucket} customer_id={string_field(customer)},request_path="'
        for customer, bucket in set(zip(requests.customers, requests.buckets, strict=True))
    }
    paths = requests.paths
    together = "".join(paths)
    if _escaped(together) != together:
        paths = list(map(_escaped, paths))
    rows = zip(
        map(heads.__getitem__, requests.customers),
        paths,
        requests.statuses,
        requests.durations,
        requests.seconds,
        requests.offsets,
        strict=True,
    )
    return "\n".join(
        [
            f'{head}{path}",status_code={status}i,duration={duration}'
            f" {second * _NANOSECONDS + (offset >> 4) % _NANOSECONDS}"
            for head, path, status, duration, second, offset in rows
        ]
    ).encode()
