"""InfluxDB's line protocol: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/"""

import re
import zlib
from urllib.parse import quote

import numpy as np

from storage.contract import StoredRequests

_NANOSECONDS = 10**9
_BITS_OF_SECONDS = 40
_PLAIN = re.compile("[A-Za-z0-9_.~-]*").fullmatch
BUCKETS = 256
CELL_BYTES = 16
"""A line is longer, so of a generation no two begin in the same so many bytes."""


def tag(text: str) -> str:
    """A tag's value, percent-encoded: a tag cannot hold every text (a backslash at its end, a newline)."""
    # Most need no encoding, and this costs a fifth of looking closely.
    return text if _PLAIN(text) else quote(text, safe="")


def string_field(text: str) -> str:
    """A string field's value."""
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def request_lines(batch: StoredRequests) -> tuple[bytes, list[int]]:
    """One point a request, at its second and, as nanoseconds, a sixteenth of its offset; and each one's place in the
    batch.

    A line is longer than 16 bytes, so no two lines of a generation share a point, short of 16 GB between two lines of
    one second; and a line that is read again has the same point.
    They are sorted by series and time: InfluxDB takes a batch for a tenth less then.
    """
    requests = batch.requests
    buckets = list(map(bucket, requests.names))
    series = f"api_requests,log={tag(batch.log)},generation={batch.generation},bucket="
    heads = [
        f'{series}{bucket} customer_id={string_field(customer)},request_path="'
        for bucket, customer in zip(buckets, requests.names, strict=True)
    ]
    paths = requests.paths
    together = "".join(paths)
    if "\\" in together or '"' in together:
        paths = list(map(_escaped, paths))
    rows = zip(
        map(heads.__getitem__, requests.customers.tolist()),
        paths,
        requests.statuses.tolist(),
        requests.durations,
        (requests.seconds * _NANOSECONDS + requests.offsets // CELL_BYTES % _NANOSECONDS).tolist(),
        strict=True,
    )
    lines = [
        f'{head}{path}",status_code={status}i,duration={duration} {time}' for head, path, status, duration, time in rows
    ]
    series_and_time = (np.array(buckets, np.int64)[requests.customers] << _BITS_OF_SECONDS) + requests.seconds
    places: list[int] = np.argsort(series_and_time, kind="stable").tolist()
    return "\n".join([lines[place] for place in places]).encode(), places


def bucket(customer: str) -> int:
    """A hash of the customer, 0 to 255, the same in every process."""
    return zlib.crc32(customer.encode()) % BUCKETS
