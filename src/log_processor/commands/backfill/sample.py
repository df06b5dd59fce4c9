"""Looks at some of the lines that are to be read, before they are.

Hashes tell files, and no part of one. So lines tell whether they are of a file that was read: those of the store have
the same time, customer, path, status and duration.
"""

import mmap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import BinaryIO, NamedTuple

import numpy as np

from log_processor.commands.backfill.known import OffsetRange
from log_processor.commands.backfill.news import HandedIn
from request_log.framing.contexts import Contexts
from request_log.framing.framed import Framed
from request_log.line import LAST_SECOND, MAX_LINE_BYTES, SECONDS_A_DAY
from request_log.requests import NONE
from storage.contract import Storage
from storage.requests import LoggedRequest

# Lines that are tried: the first ones, and as many again from all over.
_FIRST_LINES = 500
_SPREAD_LINES = 500
# Requests that are looked up in the store, and how many of a customer in a second are looked through.
_LOOKED_UP = 20
_MOST_A_SECOND = 10_000


class Sampled(NamedTuple):
    """A request of the sample."""

    line: bytes
    customer: str
    request: LoggedRequest


def sample(file: HandedIn, stretch: OffsetRange, parse: Framed) -> list[Sampled]:
    """The requests in up to a thousand lines of a stretch, in its order."""
    found = {**_lines(file, stretch.start, stretch.end, _FIRST_LINES), **_spread(file, stretch)}
    lines = [(offset, found[offset].removesuffix(b"\n") + b"\n") for offset in sorted(found)]
    framing = parse.framing
    if framing.has_parts:
        # What is behind a part here is not its rest.
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
    """Whether some of these requests were looked up and the store has them all, or will have them, because they wait.
    `oldest_day`: the first that it keeps (days since 1970-01-01)."""
    kept = [one for one in sampled if one.request.second >= oldest_day * SECONDS_A_DAY]
    places = np.unique(np.linspace(0, len(kept) - 1, _LOOKED_UP).astype(int)).tolist() if kept else []
    for line, customer, request in map(kept.__getitem__, places):
        second = request.second
        stored = await storage.requests(customer, second, second + 1, "all", _MOST_A_SECOND)
        # A store of the schema before has neither methods nor bytes.
        is_stored = request in (one._replace(method=None, bytes=None) for one in stored)
        if not is_stored and not any(_has(file, line) for file in waiting):
            return False
    return bool(kept)


def _has(file: BinaryIO, line: bytes) -> bool:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(line) >= 0


def _lines(file: HandedIn, start: int, end: int, most: int) -> dict[int, bytes]:
    """Offset -> line, of the first lines from an offset on."""
    file.text.seek(start)
    found: dict[int, bytes] = {}
    while start < end and len(found) < most:
        line = file.text.readline(min(MAX_LINE_BYTES + 2, end - start))
        found[start] = line
        start += len(line)
    return found


def _spread(file: HandedIn, stretch: OffsetRange) -> dict[int, bytes]:
    """Offset -> line, from all over the stretch."""
    found: dict[int, bytes] = {}
    for offset in np.linspace(*stretch, _SPREAD_LINES, endpoint=False).astype(int).tolist():
        # The line in which this is, and the next one.
        two = list(_lines(file, offset, stretch.end, 2).items())
        found |= two[1:]
    return found
