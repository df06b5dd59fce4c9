"""The flow from the log to the store."""

from collections.abc import Callable

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from log_processor.parsing.batch import Batch, Prepare, TooNew, parse_chunk
from log_processor.source import LogSource
from log_processor.storing.log_handler import LogHandler
from request_log.requests import Parser
from storage.requests import FileId


def build(
    source: LogSource,
    parse: Parser,
    oldest_day: Callable[[], int],
    latest_second: Callable[[], int],
    too_new: TooNew,
    file_of: Callable[[str, int], FileId],
    prepare: Prepare,
    handler: LogHandler,
) -> Dataflow:
    """From the log to the store. `oldest_day`: the first that is kept, days since 1970-01-01. `latest_second`: the
    latest that a request may have, Unix time. `too_new`: see parse_chunk. `file_of`: the identity of a log's
    generation."""
    flow = Dataflow("log_processor")
    chunks = op.input("log", flow, source)
    # Chunk
    batches = op.map(
        "parse",
        chunks,
        lambda chunk: (
            "store",
            parse_chunk(
                chunk,
                parse,
                oldest_day(),
                file_of,
                prepare,
                latest_second=latest_second(),
                too_new=too_new,
            ),
        ),
    )
    # (part of the sink, Batch)
    op.output("log_handler", batches, LogSink(handler))
    return flow


class LogSink(FixedPartitionedSink[Batch, None]):
    """One partition. A DynamicSink would have one on each worker, and a row of counts more than one writer."""

    def __init__(self, handler: LogHandler) -> None:
        self._handler = handler

    def list_parts(self) -> list[str]:
        return ["store"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "LogSinkPartition":
        return LogSinkPartition(self._handler)


class LogSinkPartition(StatefulSinkPartition[Batch, None]):
    """Hands the log handler its batches, and tells it when those of one look at the logs are all there."""

    def __init__(self, handler: LogHandler) -> None:
        self._handler = handler

    def write_batch(self, values: list[Batch]) -> None:
        for batch in values:
            self._handler.handle(batch)
        self._handler.end_look()

    def snapshot(self) -> None:
        """Nothing is to be kept: the ledger is in the store."""

    def close(self) -> None:
        self._handler.close()
