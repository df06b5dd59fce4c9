"""Lines of records as chunks. The lines of a chunk are parsed by their places in it, and then get their offsets in the
partition's file."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
from msgspec import structs

from log_processor.parsing.batch import Batch, Mark, Prepare, StoreRequests, TooNew, parse_chunk
from log_processor.parsing.chunk import KEPT_BYTES, Chunk, Overlong, Part
from request_log.framing.scanning import starts_of
from request_log.line import MAX_LINE_BYTES, Reason
from request_log.path_template import path_template
from request_log.requests import Integers, MendedLine, Parser, Rejected
from storage.logs import CELL_BYTES, LAST_SECONDS, Position
from storage.requests import FileId, StoredRequests
from storage.topic_files import TopicFile

_AFTER_BEGINNING = 1
"""Where a chunk begins for the parser: only at the beginning of a file a byte-order mark is not part of a line."""


@dataclass(slots=True)
class Records:
    offsets: list[int]
    """Of each record."""
    texts: list[bytes]
    """The lines of each record, without the last newline."""
    counts: list[int]
    """The number of lines of each record."""
    without_lines: list[tuple[int, bytes]]
    """Offset and value of records in which no line was found."""


@dataclass(frozen=True, slots=True)
class RecordChunk:
    """A chunk with lines of records, and the offsets of the lines in the partition's file."""

    part: Part
    """As it lies in the file."""
    lines: bytes
    begins: Integers
    """Where each line begins in `lines`."""
    offsets: Integers
    """The offset of each line in the file."""
    rejected: list[Rejected]
    """Records without lines, and lines that are too long. Offsets are those in the file."""
    has_backlog: bool
    due: float


def chunk_of(records: Records, file: TopicFile, part: Part, has_backlog: bool, due: float) -> RecordChunk:
    """The chunk of some records. `part`: where they lie in the file."""
    rejected = [_without_lines(file.offset(record), value) for record, value in records.without_lines]
    counts = np.array(records.counts, np.int64)
    firsts = (np.array(records.offsets, np.int64) - file.first) * file.record_bytes
    # The number of each line in its record.
    places = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    offsets = np.repeat(firsts, counts) + places * CELL_BYTES
    lines = b"\n".join([*records.texts, b""])
    begins = starts_of(lines)
    lengths = np.diff(begins, append=len(lines)) - 1
    if len(lengths) and lengths.max() > MAX_LINE_BYTES:
        is_long = lengths > MAX_LINE_BYTES
        texts = lines.split(b"\n")
        for place in np.flatnonzero(is_long).tolist():
            rejected.append(_too_long(int(offsets[place]), texts[place]))
        lines = b"\n".join([*(texts[place] for place in np.flatnonzero(~is_long).tolist()), b""])
        begins, offsets = starts_of(lines), offsets[~is_long]
    return RecordChunk(structs.replace(part, length=len(lines)), lines, begins, offsets, rejected, has_backlog, due)


def parse_records(
    chunk: RecordChunk,
    parse: Parser,
    oldest_day: int,
    file_of: Callable[[str, int], FileId],
    prepare: Prepare,
    latest_second: int,
    too_new: TooNew,
    mark: Mark,
    template_of: Callable[[str], str] = path_template,
) -> Batch:
    """The batch of a chunk, as `parse_chunk` makes it."""

    def in_file(offsets: Integers) -> Integers:
        return chunk.offsets[np.searchsorted(chunk.begins, offsets - _AFTER_BEGINNING, side="right") - 1]

    def with_offsets(part: StoredRequests) -> StoredRequests:
        return replace(part, requests=replace(part.requests, offsets=in_file(part.requests.offsets)))

    def prepare_in_file(parts: Iterable[StoredRequests]) -> StoreRequests:
        return prepare(map(with_offsets, parts))

    def place(batch: Batch) -> Batch:
        (part,) = batch.parts
        lines = [replace(line, offset=int(in_file(np.array([line.offset]))[0])) for line in part.rejected]
        mended = [MendedLine(int(in_file(np.array([offset]))[0]), what) for offset, what in part.mended]
        rejected = sorted([*lines, *chunk.rejected], key=attrgetter("offset"))
        placed = structs.replace(part, start=chunk.part.start, end=chunk.part.end, rejected=rejected, mended=mended)
        return replace(batch, parts=(placed,))

    generation = chunk.part.start.generation
    start = Position(generation, _AFTER_BEGINNING)
    part = structs.replace(chunk.part, start=start, end=Position(generation, _AFTER_BEGINNING + len(chunk.lines)))
    batch = parse_chunk(
        Chunk((part,), chunk.lines, chunk.has_backlog, chunk.due),
        parse,
        oldest_day,
        file_of,
        prepare_in_file,
        latest_second=latest_second,
        too_new=_too_new(chunk, too_new),
        mark=mark,
        template_of=template_of,
    )
    return replace(batch, place=place)


def with_newest(batch: Batch) -> Batch:
    """The batch of a chunk that shippers have sent, placed: its last part, that of the partition, has the times of the
    latest and the last requests. No request is counted for the partition itself, which tells how fresh the store is."""
    *parts, of_partition = batch.parts
    newest = max((part.newest for part in parts), default=0)
    last = tuple(second for part in parts for second in part.last_seconds)[-LAST_SECONDS:]
    return replace(batch, parts=(*parts, structs.replace(of_partition, newest=newest, last_seconds=last)))


def _too_new(chunk: RecordChunk, too_new: TooNew) -> TooNew:
    """The lines of the chunk that were rejected as too new before, by their places in it."""
    key = (chunk.part.log, chunk.part.start.generation)
    found: dict[int, bytes] = {}
    for offset, mark in too_new.get(key, {}).items():
        if chunk.part.start.offset <= offset < chunk.part.end.offset:
            place = int(np.searchsorted(chunk.offsets, offset))
            if place < len(chunk.offsets) and chunk.offsets[place] == offset:
                found[int(chunk.begins[place]) + _AFTER_BEGINNING] = mark
    return {key: found} if found else {}


def _without_lines(offset: int, value: bytes) -> Rejected:
    if len(value) > MAX_LINE_BYTES:
        return replace(_too_long(offset, value), reason=Reason.FIELDS)
    return Rejected(offset, Reason.FIELDS, value)


def _too_long(offset: int, line: bytes) -> Rejected:
    overlong = Overlong()
    overlong.add(line)
    return Rejected(offset, Reason.TOO_LONG, line[:KEPT_BYTES], len(line), overlong.digest.hexdigest())
