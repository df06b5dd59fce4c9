"""Samples the lines of a file before they are read, to find out whether the store already has them.

A hash identifies a file, but no part of it. So sampled requests are looked up in the store: by time, customer, path,
status and duration.
"""

import mmap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import BinaryIO, NamedTuple

import numpy as np

from log_processor.commands.backfill.known import ByteRange
from log_processor.commands.backfill.unread import InputFile
from request_log.framing.framed import Framed
from request_log.framing.protocol import Contexts
from request_log.line import LAST_SECOND, MAX_LINE_BYTES, SECONDS_A_DAY
from request_log.path_template import path_without_query
from request_log.requests import NONE
from storage.contract import Storage
from storage.requests import LoggedRequest

_FIRST_LINES = 500
"""Sampled lines at the beginning of a range."""
_SPREAD_LINES = 500
"""Sampled lines from all over a range."""
_LOOKED_UP = 20
"""Sampled requests that are looked up in the store."""
_MOST_A_SECOND = 10_000
"""Stored requests of a customer in a second that are compared."""


class Sampled(NamedTuple):
    line: bytes
    customer: str
    request: LoggedRequest


def sample(file: InputFile, span: ByteRange, parse: Framed) -> list[Sampled]:
    """The requests in up to a thousand lines of a range, in its order."""
    found = {**_lines(file, span.start, span.end, _FIRST_LINES), **_spread(file, span)}
    lines = [(offset, found[offset].removesuffix(b"\n") + b"\n") for offset in sorted(found)]
    framing = parse.framing
    if framing.has_parts:
        # The rest of a line in parts is not in the sample.
        lines = [(offset, line) for offset, line in lines if framing.whole(line, "").length]
        of_contexts = {"": lines}
    else:
        contexts = Contexts(framing, file.read)
        of_contexts = {}
        for offset, line in lines:
            of_contexts.setdefault(contexts.at(offset), []).append((offset, line))
    return [one for context, some in of_contexts.items() if some for one in _sampled(some, context, parse)]


def _sampled(lines: Sequence[tuple[int, bytes]], context: str, parse: Framed) -> list[Sampled]:
    data = b"".join(line for _, line in lines)
    is_beginning = lines[0][0] == 0
    found = parse.parse(data, 0 if is_beginning else 1, 0, LAST_SECOND, context).requests
    requests = found if is_beginning else replace(found, offsets=found.offsets - 1)
    columns = zip(
        (data[offset : data.index(b"\n", offset)] for offset in requests.offsets.tolist()),
        requests.customer_ids(),
        requests.seconds.tolist(),
        requests.milliseconds.tolist(),
        requests.request_paths(),
        requests.statuses.tolist(),
        requests.durations,
        strict=True,
    )
    return [
        Sampled(
            line,
            customer,
            LoggedRequest(
                second,
                None if millisecond == NONE else millisecond,
                path,
                status,
                float(duration) if duration else None,
            ),
        )
        for line, customer, second, millisecond, path, status, duration in columns
    ]


async def are_known(sampled: Sequence[Sampled], oldest_day: int, storage: Storage, waiting: Iterable[BinaryIO]) -> bool:
    """Whether all requests that were looked up are in the store or in the spool, and there are any.

    `oldest_day`: the first day that the store keeps (days since 1970-01-01). `waiting`: the files in the spool.
    """
    kept = [one for one in sampled if one.request.second >= oldest_day * SECONDS_A_DAY]
    places = np.unique(np.linspace(0, len(kept) - 1, _LOOKED_UP).astype(int)).tolist() if kept else []
    for line, customer, request in map(kept.__getitem__, places):
        second = request.second
        stored = await storage.requests(customer, second, second + 1, "all", _MOST_A_SECOND)
        # A store of the previous schema has neither methods nor bytes, and queries may have been stored before.
        is_stored = any(
            request
            in (one._replace(method=None, bytes=None, path=path) for path in (one.path, path_without_query(one.path)))
            for one in stored
        )
        if not is_stored and not any(_has(file, line) for file in waiting):
            return False
    return bool(kept)


def _has(file: BinaryIO, line: bytes) -> bool:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(line) >= 0


def _lines(file: InputFile, start: int, end: int, most: int) -> dict[int, bytes]:
    """Offset -> line, for up to `most` lines from `start` on."""
    file.text.seek(start)
    found: dict[int, bytes] = {}
    while start < end and len(found) < most:
        line = file.text.readline(min(MAX_LINE_BYTES + 2, end - start))
        found[start] = line
        start += len(line)
    return found


def _spread(file: InputFile, span: ByteRange) -> dict[int, bytes]:
    """Offset -> line, from all over a range."""
    found: dict[int, bytes] = {}
    for offset in np.linspace(*span, _SPREAD_LINES, endpoint=False).astype(int).tolist():
        # Skip the line around the offset, and take the next one.
        two = list(_lines(file, offset, span.end, 2).items())
        found |= two[1:]
    return found
