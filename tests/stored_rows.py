"""Rows and requests for tests of stores."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Protocol

from json_log import PARSE, json_line
from request_log.line import Mended, Reason
from rollups.counters import decode_counter, encode_counter
from rollups.counts import DayCounts, RollupKey, RollupKind, RollupRow, RollupSegmentKey
from rollups.groups import (
    EVERYBODY,
    LATENCY_BITS,
    QUARTER_HOUR_BITS,
    QUARTER_HOUR_MASK,
    STATUS_BITS,
    Endpoint,
    decode_names,
)
from rollups.histogram import Histogram, histogram_of_counts
from rollups.rows import encode_rollup
from storage.contract import Storage
from storage.ledger import Intent, encode_intent
from storage.logs import Gap, LedgerRow, Position
from storage.requests import FileId, StoredRequests
from storage.writers import MAIN

TODAY = int(time.time()) // 86_400
"""Days since 1970-01-01."""
MIDNIGHT = TODAY * 86_400
"""Unix time, s."""
ODD_CUSTOMERS = [
    "plain",
    'quo"te',
    "com,ma",
    "equals=sign",
    "back\\slash\\",
    "ünïcödé-客户",
    "a/b",
    "..",
    "%41",
    "$c",
    "'or'1",
]
ODD_LOGS = ["log", "odd name,=\\", "ünï/%41", "report", "counts"]
"""Some names are those of rows of another kind."""


class OpenStorage(Protocol):
    """Opens a connection to one store, as a writer."""

    def __call__(self, writer: str = MAIN) -> Storage: ...


def counts(statuses: dict[int, int], latencies: dict[int, int]) -> DayCounts:
    return DayCounts(Counter(statuses), Counter(latencies))


def log_row(log: str = "log", offset: int = 100) -> LedgerRow:
    return LedgerRow(
        log=log,
        path="/logs/a log",
        first=Position(1, 7),
        position=Position(3, offset),
        bytes=420,
        read=12,
        stored=10,
        rejected=Counter({Reason.FIELDS: 1, Reason.TIME: 1}),
        skipped=3,
        mended=Counter({Mended.DURATION: 2}),
        gaps=(Gap(Position(2, 5), 'a "reason"'),),
        newest=1_700_000_000,
    )


def intent_of(number: int, token: int, *customers: str) -> str:
    return encode_intent(Intent(number, token, (), 0, 0, 0, customers=customers, days=(TODAY,)))


def segment_of(kind: RollupKind, segment: int, requests: int, names: str = "{}", commit: int = 9) -> RollupRow:
    return RollupRow(kind, segment, names, encode_counter({200: requests}), encode_counter({7: requests}), commit)


def write_segments(storage: Storage, group: int, day: int, *rows: RollupRow) -> None:
    for row in rows:
        storage.write({RollupSegmentKey(group, day, row.kind, row.segment): encode_rollup(row)})


def store_lines(storage: Storage, file: FileId, lines: bytes, start: int = 0) -> list[int]:
    """Store the requests of these lines, which begin at the offset `start` of their file. Returns the refused ones."""
    requests, rejected, *_ = PARSE(lines, start, 0)
    assert not rejected
    refused = storage.prepare([StoredRequests([file], requests.offsets * 0, requests)])()
    storage.flush()
    return refused


def line_of(number: int, second: int, fraction: str = "", duration: str = "") -> bytes:
    """A JSON line of a request of a second."""
    time_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)) + fraction
    return json_line(time_text, f"cust_{number % 3}", f"/{number}", 200, duration)


def add_to_rollup(storage: Storage, key: RollupKey) -> None:
    """Add a request to a roll-up that no line says, and close the connection."""
    storage.acquire()
    row = storage.read_rollups([key])[key]
    statuses = decode_counter(row.statuses)
    statuses[min(statuses)] += 1
    storage.write({RollupSegmentKey(*key, row.segment): encode_rollup(row._replace(statuses=encode_counter(statuses)))})
    storage.close()


def histograms_of_endpoint_parts(rows: Iterable[RollupRow]) -> dict[tuple[str, int], Histogram]:
    """(path, quarter hour) -> histogram of all customers together, from rows of `endpoint_parts` of one day."""
    found: dict[tuple[str, int], DayCounts] = defaultdict(DayCounts)
    for row in rows:
        endpoints = decode_names(row.names).get(EVERYBODY, [])
        for sign, statuses, latencies in (
            (1, row.statuses, row.latencies),
            (-1, row.less_statuses, row.less_latencies),
        ):
            for text, bits in ((statuses, STATUS_BITS), (latencies, LATENCY_BITS)):
                for together, count in decode_counter(text).items():
                    rest, quarter_hour = together >> QUARTER_HOUR_BITS, together & QUARTER_HOUR_MASK
                    counts = found[Endpoint.of_text(endpoints[rest >> bits]).path, quarter_hour]
                    counter = counts.statuses if bits == STATUS_BITS else counts.latencies
                    counter[rest & ((1 << bits) - 1)] += sign * count
    return {
        key: histogram_of_counts(DayCounts(+counts.statuses, +counts.latencies))
        for key, counts in found.items()
        if +counts.statuses
    }
