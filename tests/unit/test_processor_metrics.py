"""What the processor counts of a batch for Prometheus."""

from typing import NamedTuple

from prometheus_client import REGISTRY

import parsed_log
from chunks import chunk_of
from log_processor.parsing.batch import parse_chunk
from log_processor.process import metrics
from parsed_log import parsed_line
from request_log.line import Mended
from storage.requests import FileId
from stores import to_no_store


class Counted(NamedTuple):
    """The counters of a log, of the kinds of what is rejected and mended one each."""

    read: float
    stored: float
    rejected: float
    skipped: float
    mended: float


def counted(log: str) -> Counted:
    def value(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"request_statistics_processor_{name}_total", {"log": log, **labels}) or 0.0

    return Counted(
        value("lines_read"),
        value("lines_stored"),
        value("lines_rejected", reason="fields"),
        value("lines_skipped"),
        value("requests_mended", kind="duration"),
    )


def count(lines: bytes, log: str) -> None:
    chunk = chunk_of(lines, log=log)
    metrics.count(parse_chunk(chunk, parsed_log.parse, 0, lambda *_: FileId(log, 0, 0, 0), to_no_store))


def test_lines_read_are_those_stored_rejected_and_skipped() -> None:
    log = "of the test of metrics"
    request = parsed_line(50, "a", mended=[Mended.DURATION, Mended.STATUS])
    count(request * 3 + parsed_log.REJECTED * 2 + parsed_log.SKIPPED, log)
    assert counted(log) == (6, 3, 2, 1, 3)
    count(parsed_log.SKIPPED * 4, log)
    assert counted(log) == (10, 3, 2, 5, 3)
