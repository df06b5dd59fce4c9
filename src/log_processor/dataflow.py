"""The flow from the log to the store."""

from collections.abc import Callable, Sequence

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from log_processor.chunk import Batch, Chunk
from log_processor.divide import divide
from log_processor.log_handler import LogHandler
from log_processor.source import LogSource


def build(source: LogSource, handlers: Sequence[LogHandler], oldest_day: Callable[[], int]) -> Dataflow:
    """log -> chunks of lines -> a batch for each writer -> stored."""

    def parse(chunk: Chunk) -> list[tuple[str, Batch]]:
        return [(str(writer), batch) for writer, batch in enumerate(divide(chunk, len(handlers), oldest_day()))]

    flow = Dataflow("log_processor")
    chunks = op.input("log", flow, source)
    # Chunk
    batches = op.flat_map("parse", chunks, parse)
    # (writer, Batch)
    op.output("log_handler", batches, LogSink(handlers))
    return flow


class LogSink(FixedPartitionedSink[Batch, None]):
    """One partition a writer. It lies inside Bytewax's epochs: it is told when one ends."""

    def __init__(self, handlers: Sequence[LogHandler]) -> None:
        self._handlers = handlers

    def list_parts(self) -> list[str]:
        return [str(writer) for writer in range(len(self._handlers))]

    def part_fn(self, item_key: str) -> int:
        return int(item_key)

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "LogSinkPartition":
        return LogSinkPartition(self._handlers[int(for_part)])


class LogSinkPartition(StatefulSinkPartition[Batch, None]):
    """Hands one writer its batches, and tells it when an epoch ends."""

    def __init__(self, handler: LogHandler) -> None:
        self._handler = handler

    def write_batch(self, values: list[Batch]) -> None:
        for batch in values:
            self._handler.handle(batch)

    def snapshot(self) -> None:
        """Called when an epoch ends: after all of its batches and before any of the next."""
        self._handler.end_epoch()
