"""A batch: the requests of a chunk, and what became of its other lines."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import attrgetter
from types import MappingProxyType

import msgspec
import numpy as np
from msgspec import structs

from log_processor.parsing.chunk import Chunk, Overlong, Part
from request_log.framing.content import Content, grouped, line_at, shifted
from request_log.framing.framed import BYTE_ORDER_MARK, Framed
from request_log.line import LAST_SECOND, Reason
from request_log.path_template import path_template
from request_log.requests import Integers, MendedLine, Parsed, Parser, Rejected, Requests, joined
from storage.logs import LAST_SECONDS, Position
from storage.requests import FileId, StoredRequests

PIECE_BYTES = 256 << 10
"""Bytes of lines that are parsed at once. The columns are some ten times as large and should fit the CPU's cache."""

StoreRequests = Callable[[], list[int]]
"""Stores the requests, or holds them until Storage.flush. Returns the places of refused requests."""
Prepare = Callable[[Iterable[StoredRequests]], StoreRequests]
"""See Storage.prepare."""
TooNew = Mapping[tuple[str, int], dict[int, bytes]]
"""Log and number of a file -> offset -> the mark of a line that was rejected as too new when it was read before.
Offsets ascend."""
Mark = Callable[[bytes], bytes]
"""The mark of a line without its newline, by which it is known again."""


class BatchPart(Part, frozen=True):
    """A part of a chunk after parsing. `length`: bytes in `Batch.lines`."""

    stored: int = 0
    """How many requests it has."""
    newest: int = 0
    """Unix time (s) of the latest request; 0 if there is none."""
    last_seconds: tuple[int, ...] = ()
    """As LedgerRow.last_seconds, of the part."""
    rejected: list[Rejected] = msgspec.field(default_factory=list)
    """In the order of the file."""
    skipped: int = 0
    """How many lines are comments or headers."""
    mended: Sequence[MendedLine] = ()
    """What was mended of the requests, in the order of the file."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A chunk after parsing."""

    parts: tuple[BatchPart, ...]
    requests: Requests
    """The requests of all parts, in the order of the parts, as they are counted. Offsets are those in the files."""
    has_backlog: bool
    due: float
    lines: bytes
    """The lines of the chunk, until they are stored."""
    in_parts: Mapping[int, bytes]
    """Where a line begins in `lines` -> its bytes, if the line came in parts."""
    store: StoreRequests
    """Stores the requests, or holds them until Storage.flush. Does nothing once they are stored."""
    place: "Callable[[Batch], Batch] | None" = None
    """Gives all lines but the requests their offsets in their file, once the batch is stored; None: they have them."""


def parse_chunk(
    chunk: Chunk,
    parse: Parser,
    oldest_day: int,
    file_of: Callable[[str, int], FileId],
    prepare: Prepare,
    piece_bytes: int = PIECE_BYTES,
    latest_second: int = LAST_SECOND,
    too_new: TooNew = MappingProxyType({}),
    mark: Mark = bytes,
    template_of: Callable[[str], str] = path_template,
) -> Batch:
    """The batch of a chunk, prepared to be stored.

    Lines of days before `oldest_day` (days since 1970-01-01) and lines after `latest_second` (Unix time) are rejected.
    Lines whose `mark` is in `too_new` are rejected whatever the time is now. `file_of`: the file of a log and a number
    in the store. `template_of`: a function from a path to its template.

    The lines of all logs are parsed together, since a call for each log would cost more than a few lines do. A piece of
    about `piece_bytes` is parsed and prepared before the next one, while it is in the CPU's cache. That saves a third
    of the time.
    """
    begins = np.array([0, *accumulate(part.length for part in chunk.parts)], np.int64)[:-1]
    # What is added to an offset in the chunk to get the offset in the file.
    shifts = np.array([part.start.offset for part in chunk.parts], np.int64) - begins
    requests_of_pieces: list[Requests] = []
    parts_of_pieces: list[Integers] = []
    rejected = [[] if part.overlong is None else [_too_long(part.start, part.overlong)] for part in chunk.parts]
    skipped = [0] * len(chunk.parts)
    mended: list[list[MendedLine]] = [[] for _ in chunk.parts]
    in_parts: dict[int, bytes] = {}
    known = dict(_known_too_new(chunk, shifts.tolist(), too_new))

    def part_of(offsets: Integers) -> Integers:
        # Of several parts that begin at one offset, only the last has lines.
        return np.searchsorted(begins, offsets, side="right") - 1

    def parsed_pieces() -> Iterator[StoredRequests]:
        for requests, bad, skipped_lines, mended_lines in _parse_in_pieces(
            chunk, Framed.of(parse), piece_bytes, oldest_day, latest_second, in_parts
        ):
            if known:
                requests, bad = _reject_too_new(
                    requests, bad, known, lambda at: line_at(at, chunk.lines, in_parts), mark
                )
                mended_lines = _without(mended_lines, bad)
            if bad:
                for line, part in zip(bad, part_of(np.array([line.offset for line in bad])).tolist(), strict=True):
                    rejected[part].append(replace(line, offset=line.offset + int(shifts[part])))
            for part in part_of(np.array(skipped_lines, np.int64)).tolist():
                skipped[part] += 1
            mended_parts = part_of(np.array([line.offset for line in mended_lines], np.int64)).tolist()
            for (offset, what), part in zip(mended_lines, mended_parts, strict=True):
                mended[part].append(MendedLine(offset + int(shifts[part]), what))
            parts = part_of(requests.offsets)
            requests = replace(requests, offsets=requests.offsets + shifts[parts])
            requests_of_pieces.append(requests.to_count(template_of))
            parts_of_pieces.append(parts)
            is_first = np.diff(parts, prepend=-1) > 0
            of_parts = [chunk.parts[part] for part in parts[is_first].tolist()]
            files = [file_of(part.log, part.start.generation) for part in of_parts]
            yield StoredRequests(files, np.cumsum(is_first) - 1, requests)

    store = prepare(parsed_pieces())
    requests = joined(requests_of_pieces)
    parts = np.concatenate([np.empty(0, np.int64), *parts_of_pieces])
    by_part = _requests_by_part(parts, requests, len(chunk.parts))
    batch_parts = [
        BatchPart(
            **structs.asdict(part),
            stored=lines,
            newest=newest,
            last_seconds=last,
            rejected=bad,
            skipped=left_out,
            mended=mendings,
        )
        for part, lines, newest, last, bad, left_out, mendings in zip(
            chunk.parts, *by_part, rejected, skipped, mended, strict=True
        )
    ]
    return Batch(tuple(batch_parts), requests, chunk.has_backlog, chunk.due, chunk.lines, in_parts, store)


def after_storing(batch: Batch, refused: Sequence[int]) -> Batch:
    """The batch after its requests are stored. Requests at the places `refused` are rejected."""
    left = _reject(batch, refused) if refused else batch
    placed = left.place(left) if left.place is not None else left
    return replace(placed, lines=b"", in_parts={}, store=_nothing_to_store, place=None)


def _parse_in_pieces(
    chunk: Chunk,
    parse: Framed,
    piece_bytes: int,
    oldest_day: int,
    latest_second: int,
    in_parts: dict[int, bytes],
) -> Iterator[Parsed]:
    """Parses the lines in pieces. Offsets are those in the chunk. Adds lines that came in parts to `in_parts`."""
    begins = [0, *accumulate(part.length for part in chunk.parts)]
    if all(
        parse.is_plain(chunk.lines[begin : begin + len(BYTE_ORDER_MARK)], part.start.offset)
        for part, begin in zip(chunk.parts, begins, strict=False)
    ):
        for start, lines in _pieces(chunk.lines, piece_bytes):
            yield parse.parse_plain(lines, start, oldest_day, latest_second)
        return

    def contents() -> Iterator[Content]:
        for part, begin in zip(chunk.parts, begins, strict=False):
            if part.length:
                lines = chunk.lines[begin : begin + part.length]
                for content in parse.contents(lines, part.start.offset, part.context):
                    yield shifted(content, begin)

    for content in grouped(contents(), piece_bytes):
        in_parts.update(content.in_parts)
        yield parse.parse_content(content, chunk.lines, oldest_day, latest_second)


def _known_too_new(chunk: Chunk, shifts: Sequence[int], too_new: TooNew) -> Iterator[tuple[int, bytes]]:
    """The lines of `too_new` that the chunk has: where each begins in the chunk, and its mark."""
    for part, shift in zip(chunk.parts, shifts, strict=True):
        of_file = too_new.get((part.log, part.start.generation), {})
        if part.start.offset <= next(reversed(of_file), -1):
            for offset, mark in of_file.items():
                if part.start.offset <= offset < part.start.offset + part.length:
                    yield offset - shift, mark


def _reject_too_new(
    requests: Requests,
    bad: list[Rejected],
    too_new: Mapping[int, bytes],
    line_of: Callable[[int], bytes],
    mark: Mark,
) -> tuple[Requests, list[Rejected]]:
    """Reject the requests whose lines are in `too_new`. `line_of`: the line at an offset of the chunk."""
    offsets = requests.offsets.tolist()
    # If the store was emptied meanwhile, another line may be at the offset.
    rejected_again = {offset for offset in offsets if offset in too_new and mark(line_of(offset)) == too_new[offset]}
    if not rejected_again:
        return requests, bad
    lines = [Rejected(offset, Reason.TOO_NEW, line_of(offset)) for offset in sorted(rejected_again)]
    left = requests.select([offset not in rejected_again for offset in offsets])
    return left, sorted([*bad, *lines], key=attrgetter("offset"))


def _without(mended: Sequence[MendedLine], rejected: Iterable[Rejected]) -> Sequence[MendedLine]:
    """The mended lines that are not rejected."""
    places = {line.offset for line in rejected}
    return [line for line in mended if line.offset not in places]


def _too_long(start: Position, line: Overlong) -> Rejected:
    return Rejected(start.offset, Reason.TOO_LONG, line.beginning, line.length, line.digest.hexdigest())


def _nothing_to_store() -> list[int]:
    return []


def _pieces(lines: bytes, piece_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The lines in pieces of about `piece_bytes`: where each piece begins, and the piece."""
    start = 0
    while start < len(lines):
        end = lines.find(b"\n", start + piece_bytes) + 1 or len(lines)
        yield start, lines[start:end]
        start = end


def _requests_by_part(
    parts: Integers, requests: Requests, count: int
) -> tuple[list[int], list[int], list[tuple[int, ...]]]:
    """How many requests each of `count` parts has, its latest second, and its last ones. `parts`: the part of each
    request, ascending."""
    newest = np.zeros(count, np.int64)
    firsts = np.flatnonzero(np.diff(parts, prepend=-1))
    if len(firsts):
        newest[parts[firsts]] = np.maximum.reduceat(requests.seconds, firsts)
    lines = np.bincount(parts, minlength=count).tolist()
    last = [
        tuple(requests.seconds[max(end - LAST_SECONDS, end - length) : end].tolist())
        for length, end in zip(lines, accumulate(lines), strict=True)
    ]
    return lines, newest.tolist(), last


def _reject(batch: Batch, places: Sequence[int]) -> Batch:
    parts = np.repeat(np.arange(len(batch.parts)), [part.stored for part in batch.parts])
    begins = [0, *accumulate(part.length for part in batch.parts)]
    rejected = [list(part.rejected) for part in batch.parts]
    for place in places:
        part = int(parts[place])
        offset = int(batch.requests.offsets[place])
        start = begins[part] + offset - batch.parts[part].start.offset
        rejected[part].append(Rejected(offset, Reason.REFUSED, line_at(start, batch.lines, batch.in_parts)))
    is_left = np.ones(len(batch.requests), bool)
    is_left[list(places)] = False
    requests = batch.requests.select(is_left.tolist())
    by_part = _requests_by_part(parts[is_left], requests, len(batch.parts))
    return replace(
        batch,
        requests=requests,
        parts=tuple(
            structs.replace(
                part,
                stored=lines,
                newest=newest,
                last_seconds=last,
                rejected=sorted(bad, key=attrgetter("offset")),
                mended=_without(part.mended, bad),
            )
            for part, lines, newest, last, bad in zip(batch.parts, *by_part, rejected, strict=True)
        ),
    )
