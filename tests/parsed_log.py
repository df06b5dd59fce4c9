"""A log whose lines say themselves what a parser is to make of them, for tests of all that comes after a parser.

    {"second": 1795500000, "customer": "a", "path": "/", "status": 200, "duration": "0.5",
     "method": "GET", "bytes": 512, "mended": ["duration"]}

A line that begins with `#` is skipped; any other one that is no object is rejected. No second is too old or too new.
"""

import json
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np

from request_log.line import LAST_SECOND, Mended, Reason
from request_log.requests import NONE, MendedLine, Parsed, Rejected, Requests, numbered

SKIPPED = b"# a comment, which is skipped\n"
REJECTED = b"a line that is no object\n"


def parsed_line(
    second: int,
    customer: str = "cust_1",
    path: str = "/",
    status: int = 200,
    duration: str = "",
    method: str = "",
    size: int | None = None,
    mended: Sequence[Mended] = (),
) -> bytes:
    """A line of a request. `second`: Unix time; `duration`: seconds; `size`: bytes. Not logged: "", None, status 0."""
    request = {"second": second, "customer": customer, "path": path, "status": status, "duration": duration}
    kinds = [kind.value for kind in mended]
    return json.dumps({**request, "method": method, "bytes": size, "mended": kinds}).encode() + b"\n"


def parse(data: bytes, offset: int = 0, oldest_day: int = 0, latest_second: int = LAST_SECOND) -> Parsed:
    """See `Parser`."""
    found: list[dict[str, Any]] = []
    offsets, skipped, rejected, mended = [], [], [], []
    for line in data.split(b"\n")[:-1]:
        if line.startswith(b"#"):
            skipped.append(offset)
        elif not line.startswith(b"{"):
            rejected.append(Rejected(offset, Reason.FIELDS, line))
        else:
            found.append(json.loads(line))
            offsets.append(offset)
            mended += [MendedLine(offset, Mended(kind)) for kind in found[-1]["mended"]]
        offset += len(line) + 1
    return Parsed(_requests(found, offsets), rejected, skipped, mended)


def _milliseconds(duration: str) -> int:
    return int((1000 * Decimal(duration)).to_integral_value(ROUND_HALF_UP))


def _requests(found: list[dict[str, Any]], offsets: list[int]) -> Requests:
    names, customers = numbered([one["customer"] for one in found])
    path_texts, paths = numbered([one["path"] for one in found])
    method_texts, methods = numbered([one["method"] for one in found])
    durations = [str(one["duration"]) for one in found]
    return Requests(
        names,
        customers,
        path_texts,
        paths,
        durations,
        np.array([one["status"] for one in found], np.int64),
        np.array([_milliseconds(duration) if duration else NONE for duration in durations], np.int64),
        np.array([one["second"] for one in found], np.int64),
        np.full(len(found), NONE),
        np.array(offsets, np.int64),
        method_texts,
        methods,
        np.array([NONE if one["bytes"] is None else one["bytes"] for one in found], np.int64),
    )
