"""The dataflow: source -> parse -> log handler."""

from collections.abc import Callable

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from log_processor.parsing.batch import Batch
from log_processor.parsing.chunk import Chunk
from log_processor.source import LogSource
from log_processor.storing.log_handler import LogHandler


def build(source: LogSource, parse: Callable[[Chunk], Batch], handler: LogHandler) -> Dataflow:
    """The dataflow from the logs to the store. `parse`: parses a chunk, see parse_chunk."""
    flow = Dataflow("log_processor")
    chunks = op.input("log", flow, source)
    # A batch comes with the name of the partition of the sink that takes it.
    batches = op.map("parse", chunks, lambda chunk: ("store", parse(chunk)))
    op.output("log_handler", batches, LogSink(handler))
    return flow


class LogSink(FixedPartitionedSink[Batch, None]):
    """One partition. A DynamicSink would have one on each worker, and several workers would write a row of counts."""

    def __init__(self, handler: LogHandler) -> None:
        self._handler = handler

    def list_parts(self) -> list[str]:
        return ["store"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "LogSinkPartition":
        return LogSinkPartition(self._handler)


class LogSinkPartition(StatefulSinkPartition[Batch, None]):
    """Hands batches to the log handler, and tells it when all batches of a look at the logs are there."""

    def __init__(self, handler: LogHandler) -> None:
        self._handler = handler

    def write_batch(self, values: list[Batch]) -> None:
        for batch in values:
            self._handler.handle(batch)
        self._handler.end_look()

    def snapshot(self) -> None:
        """Bytewax keeps no state: the ledger is in the store."""

    def close(self) -> None:
        self._handler.close()
