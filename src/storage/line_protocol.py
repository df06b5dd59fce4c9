"""InfluxDB's line protocol: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/"""

import re
import zlib
from urllib.parse import quote

import numpy as np

from request_log.line import MIN_LINE_BYTES
from request_log.requests import NONE, Integers
from storage.contract import StoredRequests

_NANOSECONDS = 10**9
_BITS_OF_SECONDS = 40
_PLAIN = re.compile("[A-Za-z0-9_.~-]*").fullmatch
BUCKETS = 256
CELL_BYTES = MIN_LINE_BYTES
"""Of a generation no two lines begin in the same so many bytes."""
CELLS_A_PART = 10**6
"""As many as a millisecond has nanoseconds."""
PARTS = 1_000
_STATUS_FIELDS = [f'",status_code={status}i' for status in range(600)]
"""What is behind the path, by the status: one from 100 to 599."""


def tag(text: str) -> str:
    """A tag's value, percent-encoded: a tag cannot hold every text (a backslash at its end, a newline)."""
    # Most need no encoding, and this costs a fifth of looking closely.
    return text if _PLAIN(text) else quote(text, safe="")


def string_field(text: str) -> str:
    """A string field's value."""
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def request_lines(batch: StoredRequests) -> tuple[bytes, Integers]:
    """One point a request, at its time and, in nanoseconds, the number of the 16 bytes in which its line begins; and
    each one's place in the batch.

    Of that number the nanoseconds of a time with milliseconds have only the last six digits: the next three are a tag,
    `part`. So no two lines of a generation share a point, short of 16 GB between two lines of one time; and a line that
    is read again has the same point.
    They are sorted by series and time: InfluxDB takes a batch for a tenth less then.
    """
    requests = batch.requests
    buckets = list(map(bucket, requests.names))
    cells = requests.offsets // CELL_BYTES
    heads, times = requests.customers, cells % _NANOSECONDS
    series = f"api_requests,log={tag(batch.log)},generation={batch.generation},bucket="
    fields = [f' customer_id={string_field(customer)},request_path="' for customer in requests.names]
    texts = [f"{series}{bucket}{field}" for bucket, field in zip(buckets, fields, strict=True)]
    has_milliseconds = requests.milliseconds != NONE
    if has_milliseconds.any():
        parts = np.where(has_milliseconds, cells // CELLS_A_PART % PARTS, PARTS)
        found, heads = np.unique(parts * len(texts) + requests.customers, return_inverse=True)
        texts = [
            f"{series}{buckets[place]},part={part}{fields[place]}" if part < PARTS else texts[place]
            for part, place in (divmod(pair, len(fields)) for pair in found.tolist())
        ]
        exact = requests.milliseconds * _NANOSECONDS // 1_000 + cells % CELLS_A_PART
        times = np.where(has_milliseconds, exact, times)
    paths = requests.path_texts
    together = "".join(paths)
    if "\\" in together or '"' in together:
        paths = list(map(_escaped, paths))
    rows = zip(
        map(texts.__getitem__, heads.tolist()),
        map(paths.__getitem__, requests.paths.tolist()),
        map(_STATUS_FIELDS.__getitem__, requests.statuses.tolist()),
        requests.durations,
        (requests.seconds * _NANOSECONDS + times).tolist(),
        strict=True,
    )
    lines = [
        f"{head}{path}{status},duration={duration} {time}" if duration else f"{head}{path}{status} {time}"
        for head, path, status, duration, time in rows
    ]
    series_and_time = (np.array(buckets, np.int64)[requests.customers] << _BITS_OF_SECONDS) + requests.seconds
    places = np.argsort(series_and_time, kind="stable")
    return "\n".join([lines[place] for place in places.tolist()]).encode(), places


def offset_of(time: int, part: str | None, cells: range) -> int | None:
    """The offset of the last byte of the 16 in which a line begins, by its point's time (ns) and part; None where that
    is none of `cells`. It is not before the line begins, and before the next one does."""
    if part is None:
        place, span = time % _NANOSECONDS, _NANOSECONDS
    else:
        place, span = int(part) * CELLS_A_PART + time % CELLS_A_PART, CELLS_A_PART * PARTS
    cell = cells.start + (place - cells.start) % span
    return cell * CELL_BYTES + CELL_BYTES - 1 if cell < cells.stop else None


def bucket(customer: str) -> int:
    """A hash of the customer, 0 to 255, the same in every process."""
    return zlib.crc32(customer.encode()) % BUCKETS
