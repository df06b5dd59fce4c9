"""What the processor tells Prometheus. Counters begin with the process; names and units as in
https://prometheus.io/docs/practices/naming/"""

import collections
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from log_processor.parsing.batch import Batch
from log_processor.process.lag import Lag
from service.settings import EXIT_CONFIG
from storage.logs import LedgerRow
from storage.observed import ObservedEnd, bytes_behind

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

_READ = Counter("request_statistics_processor_lines_read", "Lines that were read.", ["log"])
_STORED = Counter("request_statistics_processor_lines_stored", "Requests that were stored.", ["log"])
_REJECTED = Counter(
    "request_statistics_processor_lines_rejected", "Lines that are no requests, by why.", ["log", "reason"]
)
_SKIPPED = Counter(
    "request_statistics_processor_lines_skipped", "Lines that are comments or say what the next ones mean.", ["log"]
)
_MENDED = Counter(
    "request_statistics_processor_requests_mended",
    "Requests of which something was mended, by what it was.",
    ["log", "kind"],
)
_BATCH_LINES = Histogram(
    "request_statistics_processor_batch_lines",
    "Requests of a batch.",
    buckets=(1, 10, 100, 500, 1_000, 2_000, 5_000, 20_000, 100_000),
)
WRITE_SECONDS = Histogram(
    "request_statistics_processor_write_seconds",
    "How long it took to store a batch of requests, a commit of counts, or a slice of roll-ups; retries included.",
    ["operation"],
    buckets=_SECONDS,
)
RETRIES = Counter("request_statistics_processor_store_retries", "Calls of the store that failed and were made again.")
STORE_UNAVAILABLE = Gauge(
    "request_statistics_processor_store_unavailable", "1 while the store does not answer, else 0."
)
_BYTES_BEHIND = Gauge(
    "request_statistics_processor_bytes_behind", "Bytes of the log that are not counted yet.", ["log"]
)
_SECONDS_BEHIND = Gauge(
    "request_statistics_processor_seconds_behind",
    "0 when all of the log is counted, else for how long it has not been; at the start by the newest request that is.",
    ["log"],
)


def serve(host: str, port: int) -> None:
    """Answer `GET /metrics` from here on. Where that cannot be, the program ends with status 78 and the variable at
    fault."""
    try:
        start_http_server(port, host)
    except OSError as error:
        print(f"METRICS_PORT={port}: cannot listen at {host}: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_CONFIG)


def count(batch: Batch) -> None:
    """Count a batch that is stored."""
    for part in batch.parts:
        if part.stored or part.rejected or part.skipped:
            _READ.labels(part.log).inc(part.stored + len(part.rejected) + part.skipped)
            _STORED.labels(part.log).inc(part.stored)
            for line in part.rejected:
                _REJECTED.labels(part.log, line.reason.value).inc()
            _SKIPPED.labels(part.log).inc(part.skipped)
            for what, requests in collections.Counter(line.what for line in part.mended).items():
                _MENDED.labels(part.log, what.value).inc(requests)
    if batch.requests or any(part.rejected for part in batch.parts):
        _BATCH_LINES.observe(len(batch.requests))


def show_lag(sightings: Sequence[ObservedEnd], committed: Mapping[str, LedgerRow], lag: Lag) -> None:
    """Show how far the store is behind the logs as they were just seen."""
    wall, monotonic = time.time(), time.monotonic()
    for seen in sightings:
        row = committed.get(seen.log)
        if row is None:
            continue
        behind = bytes_behind(row, seen)
        _BYTES_BEHIND.labels(seen.log).set(behind)
        _SECONDS_BEHIND.labels(seen.log).set(lag.seconds(row, behind, wall, monotonic))


def forget(log: str) -> None:
    """A log is no longer followed."""
    for gauge in (_BYTES_BEHIND, _SECONDS_BEHIND):
        if (log,) in {tuple(sample.labels.values()) for metric in gauge.collect() for sample in metric.samples}:
            gauge.remove(log)


def begin(logs: Iterable[str]) -> None:
    """Have the series of these logs begin with 0, so that their first lines are an increase."""
    for log in logs:
        for counter in (_READ, _STORED, _SKIPPED):
            counter.labels(log)
