"""The dataflow: source -> parse -> log handler."""

from collections.abc import Callable

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from log_processor.parsing.batch import Batch, Mark, Prepare, TooNew, parse_chunk
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
    mark: Mark,
    file_of: Callable[[str, int], FileId],
    prepare: Prepare,
    template_of: Callable[[str], str],
    handler: LogHandler,
) -> Dataflow:
    """The dataflow from the logs to the store.

    `oldest_day`: the first day that is kept, as days since 1970-01-01. `latest_second`: the latest time that a request
    may have, Unix time. `too_new`, `mark`, `file_of`, `prepare`, `template_of`: see parse_chunk.
    """
    flow = Dataflow("log_processor")
    chunks = op.input("log", flow, source)
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
                mark=mark,
                template_of=template_of,
            ),
        ),
    )
    # A batch comes with the name of the partition of the sink that takes it.
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
