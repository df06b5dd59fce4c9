"""The dataflow: source -> parse -> sink. One worker has all three, so they never run at once."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from log_processor.kafka.chunks import RecordChunk, parse_records, with_newest
from log_processor.kafka.group import Group
from log_processor.kafka.reader import PartitionReader
from log_processor.parsing.batch import Batch, Mark, TooNew, parse_chunk
from log_processor.parsing.chunk import Chunk
from request_log.requests import Parser

ALWAYS_DUE = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
"""When Bytewax may ask the source next: it waits by itself, by the monotonic clock."""
LONGEST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS_BUSY = 0.01
"""The longest wait for records while a commit is pending, so that the commit is not late."""
PAUSE_SECONDS = 0.02
"""The longest pause while lines wait for their chunk: records that come now would only wait."""
BETWEEN_WORK_SECONDS = 0.05
"""Least time between two items without lines. Such an item only makes the sink do the work that is due."""


class Item(NamedTuple):
    """What goes through the flow: a chunk, or nothing but a turn for the sink. The sink drops those of a reader that
    is over, for another process has its lease, or soon will."""

    reader: PartitionReader
    chunk: RecordChunk | Chunk | None


class ParsedItem(NamedTuple):
    reader: PartitionReader
    batch: Batch | None


def build(group: Group, stopping: Callable[[], bool], parse: Parser, too_new: TooNew, mark: Mark) -> Dataflow:
    """The dataflow from the topic to the store. `stopping`: whether the processor
    shuts down. `too_new`, `mark`: see parse_chunk."""
    flow = Dataflow("log_processor")
    items = op.input("records", flow, RecordSource(group, stopping))

    def parse_item(item: Item) -> tuple[str, ParsedItem]:
        reader, chunk = item
        writing = reader.writing
        if chunk is None or reader.is_over:
            return "store", ParsedItem(reader, None)
        arguments = (parse, writing.oldest_day(), writing.logs.file, writing.prepare)
        latest_second, template_of = writing.time_bounds.latest_second(), writing.rollups.rules.template_of
        if isinstance(chunk, RecordChunk):
            batch = parse_records(chunk, *arguments, latest_second, too_new, mark, template_of)
        else:
            shipped = parse_chunk(
                chunk, *arguments, latest_second=latest_second, too_new=too_new, mark=mark, template_of=template_of
            )
            batch = replace(shipped, place=with_newest)
        return "store", ParsedItem(reader, batch)

    op.output("log_handler", op.map("parse", items, parse_item), RecordSink())
    return flow


class RecordSource(FixedPartitionedSource[Item, None]):
    """One partition, which reads all partitions of the topic that this process has."""

    def __init__(self, group: Group, stopping: Callable[[], bool]) -> None:
        self._group = group
        self._stopping = stopping

    def list_parts(self) -> list[str]:
        return ["topic"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "RecordSourcePartition":
        return RecordSourcePartition(self._group, self._stopping)


class RecordSourcePartition(StatefulSourcePartition[Item, None]):
    """Reads records. Its position comes from the ledgers, so Bytewax keeps no state for it."""

    def __init__(self, group: Group, stopping: Callable[[], bool]) -> None:
        self._group = group
        self._stopping = stopping
        self._stopped = False
        self._next_work = 0.0
        self._handed_on = False

    def next_batch(self) -> list[Item]:
        if self._stopped:
            raise StopIteration
        reading = self._group.reading()
        if self._stopping():
            self._stopped = True
            chunks = [Item(one, chunk) for one in reading for chunk in one.flush()]
            # The last item of each makes the sink finish its work.
            return [*chunks, *(Item(one, None) for one in reading)]
        now = time.monotonic()
        due = [seconds for one in reading if (seconds := one.due_in(now)) is not None]
        if due and not self._handed_on:
            time.sleep(min(min(due), PAUSE_SECONDS))
        is_busy = any(one.writing.handler.is_busy() for one in reading)
        wait = LONGEST_WAIT_SECONDS_BUSY if is_busy else LONGEST_WAIT_SECONDS
        # Do not wait right after an item: the flow would not get to it.
        self._group.read(0.0 if due or self._handed_on else wait)
        now = time.monotonic()
        items = [Item(one, chunk) for one in self._group.reading() for chunk in one.chunks(now)]
        if now >= self._next_work:
            handed = {item.reader for item in items}
            items += [
                Item(one, None)
                for one in self._group.reading()
                if one not in handed and (one.is_file_awaited or one.writing.handler.is_work_due())
            ]
            self._next_work = now + BETWEEN_WORK_SECONDS
        self._handed_on = bool(items)
        return items

    def next_awake(self) -> datetime:
        return ALWAYS_DUE

    def snapshot(self) -> None:
        """Bytewax keeps no state."""


class RecordSink(FixedPartitionedSink[ParsedItem, None]):
    """One partition: it hands each batch to the handler of its writer."""

    def list_parts(self) -> list[str]:
        return ["store"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "RecordSinkPartition":
        return RecordSinkPartition()


class RecordSinkPartition(StatefulSinkPartition[ParsedItem, None]):
    """Hands on batches, and gives the handlers their turns."""

    def write_batch(self, values: list[ParsedItem]) -> None:
        turns: dict[PartitionReader, None] = {}
        for reader, batch in values:
            if reader.is_over:
                continue
            turns[reader] = None
            if batch is not None:
                reader.writing.handler.handle(batch)
        for reader in turns:
            reader.writing.handler.end_look()

    def snapshot(self) -> None:
        """Bytewax keeps no state: the ledgers are in the store."""
