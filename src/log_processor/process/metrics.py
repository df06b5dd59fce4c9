"""Metrics of the processor for Prometheus. Counters start at 0 with the process.

Names and units follow https://prometheus.io/docs/practices/naming/
"""

import collections
import socket
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from log_processor.parsing.batch import Batch
from log_processor.process.lag import Lag
from service.access.keys import Keys, bearer_key
from service.access.private_files import PrivateFile
from service.access.settings import is_loopback, names_this_machine
from service.settings import refuse
from storage.logs import LedgerRow
from storage.observed import ObservedEnd, bytes_behind
from storage.topic_files import is_partition

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MOST_CONNECTIONS = 20
"""Connections to the metrics at once."""
_DURATION_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

_READ = Counter("request_statistics_processor_lines_read", "Lines that were read.", ["log"])
_STORED = Counter("request_statistics_processor_lines_stored", "Requests that were stored.", ["log"])
_REJECTED = Counter(
    "request_statistics_processor_lines_rejected", "Lines that are not requests, by reason.", ["log", "reason"]
)
_SKIPPED = Counter("request_statistics_processor_lines_skipped", "Lines that are comments or headers.", ["log"])
_MENDED = Counter(
    "request_statistics_processor_requests_mended", "Requests of which something was mended, by kind.", ["log", "kind"]
)
_BATCH_LINES = Histogram(
    "request_statistics_processor_batch_lines",
    "Requests of a batch.",
    buckets=(1, 10, 100, 500, 1_000, 2_000, 5_000, 20_000, 100_000),
)
WRITE_SECONDS = Histogram(
    "request_statistics_processor_write_seconds",
    "How long a write took: a batch of requests, a commit of counts, or a slice of roll-ups. Includes retries.",
    ["operation"],
    buckets=_DURATION_BUCKETS,
)
RETRIES = Counter("request_statistics_processor_store_retries", "Calls of the store that failed and were repeated.")
STORE_UNAVAILABLE = Gauge(
    "request_statistics_processor_store_unavailable", "1 while the store does not answer, else 0."
)
_BYTES_BEHIND = Gauge(
    "request_statistics_processor_bytes_behind", "Bytes of the log that are not counted yet.", ["log"]
)
_RECORDS_BEHIND = Gauge(
    "request_statistics_processor_records_behind",
    "Records of the partition that are not counted yet. The log is TOPIC-PARTITION.",
    ["log"],
)
PARTITIONS = Gauge(
    "request_statistics_processor_partitions", "Partitions of the topic that this processor reads and counts now."
)
_SECONDS_BEHIND = Gauge(
    "request_statistics_processor_seconds_behind",
    "How long the log has had lines that are not counted; 0 when all are. After a start: since the last counted ones.",
    ["log"],
)

_shown_lags: dict[str, tuple[int, float]] = {}
"""Log -> what the gauges show: bytes or records behind, and seconds behind."""


def serve(host: str, port: int, keys: PrivateFile[Keys] | None) -> None:
    """Answer `GET /metrics` from now on, to everyone (None) or to who has a key that shows metrics. Without keys, on a
    loopback address, only requests whose `Host` is this machine are answered. Where the port cannot be used, the
    program exits with status 78 and names the setting."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        answer = make_wsgi_app()
        if keys is not None:
            answer = _for_keys(answer, keys)
        elif is_loopback(host):
            answer = _for_this_machine(answer)
        server_class = type("_ServerOf", (_Server,), {"address_family": family})
        server: WSGIServer = make_server(str(address[0]), port, answer, server_class, _Handler)
    except OSError as error:
        refuse(f"METRICS_PORT={port}: cannot listen at {host}: {error.strerror}")
    threading.Thread(target=server.serve_forever, daemon=True).start()


class _Server(ThreadingWSGIServer):
    """Serves a few connections at once, each in a thread. A new one always gets in: the oldest one is closed for it.

    Otherwise idle connections would leave the processor no descriptors for its logs.
    """

    # Connections that wait to be accepted. With the default of 5, some wait a second for their next attempt.
    request_queue_size = 100

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._connections: dict[Any, None] = {}
        """Sockets, the oldest first."""
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._connections) >= MOST_CONNECTIONS:
                oldest = next(iter(self._connections))
                del self._connections[oldest]
                # Its thread waits for it, and then closes it.
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
            self._connections[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that resets its connection, or sends nothing in time: it could fill the log with tracebacks.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(WSGIRequestHandler):
    # Seconds until a client that sends nothing is disconnected.
    timeout = 10

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""


def _for_keys(answer: "WSGIApplication", keys: PrivateFile[Keys]) -> "WSGIApplication":
    """The same answers, for who has a key that shows metrics."""

    def answer_with_key(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        secret = bearer_key(environ.get("HTTP_AUTHORIZATION", "").encode("latin-1"))
        key = keys.content().by_secret(secret) if secret is not None else None
        if key is not None and key.scope.sees_metrics():
            return answer(environ, start_response)
        status = "401 Unauthorized" if key is None else "403 Forbidden"
        start_response(status, [("WWW-Authenticate", "Bearer"), ("Content-Length", "0")])
        return []

    return answer_with_key


def _for_this_machine(answer: "WSGIApplication") -> "WSGIApplication":
    """The same answers, under names of this machine alone: a web page can have its own name resolve to it."""

    def answer_on_this_machine(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if names_this_machine(environ.get("HTTP_HOST", "")):
            return answer(environ, start_response)
        start_response("421 Misdirected Request", [("Content-Length", "0")])
        return []

    return answer_on_this_machine


def count(batch: Batch) -> None:
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


def show_lag(ends: Sequence[ObservedEnd], committed: Mapping[str, LedgerRow], lag: Lag) -> None:
    """Set the gauges: how far the store is behind the observed ends of the logs."""
    wall, monotonic = time.time(), time.monotonic()
    for end in ends:
        row = committed.get(end.log)
        if row is None:
            continue
        behind = bytes_behind(row, end)
        shown = behind, lag.seconds(row, behind, wall, monotonic)
        # Most logs of many are quiet.
        if _shown_lags.get(end.log) != shown:
            (_RECORDS_BEHIND if is_partition(row.path) else _BYTES_BEHIND).labels(end.log).set(shown[0])
            _SECONDS_BEHIND.labels(end.log).set(shown[1])
            _shown_lags[end.log] = shown


def forget(log: str) -> None:
    """Remove the gauges of a log that is no longer followed."""
    _shown_lags.pop(log, None)
    for gauge in (_BYTES_BEHIND, _RECORDS_BEHIND, _SECONDS_BEHIND):
        with suppress(KeyError):
            gauge.remove(log)


def begin(logs: Iterable[str]) -> None:
    """Start the counters of these logs at 0, so that their first lines show as an increase."""
    for log in logs:
        for counter in (_READ, _STORED, _SKIPPED):
            counter.labels(log)
