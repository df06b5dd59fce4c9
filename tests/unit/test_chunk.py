"""Lines of several logs are parsed together, piece by piece, and neither shows."""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import parsed_log
from chunks import Lines, chunk_of, part_of
from log_processor.parsing.batch import Batch, after_storing, parse_chunk
from log_processor.parsing.chunk import Chunk, Overlong
from parsed_log import parsed_line
from request_log.formats.simple import parse
from request_log.framing.framed import BYTE_ORDER_MARK, Framed
from request_log.framing.wrappers import WRAPPERS
from request_log.line import LAST_SECOND, Mended, Reason
from request_log.requests import MendedLine, Rejected, Requests
from storage.logs import Position
from storage.requests import FileId, StoredRequests
from stores import to_no_store
from wrapped import wrapped

START = 1_000
good = st.builds(
    lambda second, customer, path, status: f"2026-11-23 16:15:{second} {customer} {path} {status} 0.25".encode(),
    st.integers(10, 59),
    st.sampled_from(["a", "b", "ü", "c" * 256]),
    st.sampled_from(["/", "/orders/17", "/" + "x" * 300]),
    st.integers(100, 599),
)
bad = st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))
lines_of_a_part = st.lists(st.one_of(good, good, bad), max_size=8).map(lambda lines: b"".join(x + b"\n" for x in lines))
# A line that is not held tells its part by its length.
not_held = st.integers(70_000, 70_050).map(lambda length: Overlong(length, b"x", b"x"))


def file_of(log: str, generation: int) -> FileId:
    return FileId(log, generation, 0, 0)


files = st.sampled_from([file_of(log, generation) for log in ("one", "two", "three") for generation in (0, 1)])
parts = st.lists(st.tuples(files, st.one_of(lines_of_a_part, lines_of_a_part, not_held)), max_size=10)
Row = tuple[FileId, int, str, str, str, int, int, int, int]


def chunk_of_all(content: list[tuple[FileId, Lines]]) -> Chunk:
    """A chunk of these parts; the first one of each file begins at START."""
    ends: dict[FileId, Position] = {}
    made = []
    for file, lines in content:
        made.append(part_of(file.log, ends.get(file, Position(file.generation, START)), lines))
        ends[file] = made[-1].end
    return Chunk(tuple(made), b"".join(lines for _, lines in content if isinstance(lines, bytes)))


def rows_of(file_of_each: Iterable[FileId], requests: Requests) -> list[Row]:
    columns = (requests.statuses, requests.latencies, requests.seconds, requests.offsets)
    return [
        (file, offset, customer, path, duration, *others)
        for file, customer, path, duration, *others, offset in zip(
            file_of_each,
            requests.customer_ids(),
            requests.request_paths(),
            requests.durations,
            *(column.tolist() for column in columns),
            strict=True,
        )
    ]


def one_by_one(content: list[tuple[FileId, Lines]]) -> tuple[list[Row], list[list[tuple[int, Reason, bytes]]]]:
    """All requests, and of each part the lines that are none, each part parsed by itself."""
    rows: list[Row] = []
    rejected = []
    for (file, lines), part in zip(content, chunk_of_all(content).parts, strict=True):
        if isinstance(lines, Overlong):
            rejected.append([(part.start.offset, Reason.TOO_LONG, lines.beginning)])
            continue
        requests, others, *_ = parse(lines, part.start.offset)
        rows += rows_of([file] * len(requests), requests)
        rejected.append(seen(others))
    return rows, rejected


def seen(rejected: list[Rejected]) -> list[tuple[int, Reason, bytes]]:
    return [(line.offset, line.reason, line.line) for line in rejected]


@given(parts, st.integers(1, 1_000))
def test_lines_of_several_logs_are_parsed_together_as_each_by_itself(
    content: list[tuple[FileId, Lines]], piece_bytes: int
) -> None:
    prepared: list[StoredRequests] = []

    def prepare(pieces: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        prepared.extend(pieces)
        return lambda: [len(prepared)]

    chunk = chunk_of_all(content)
    batch = parse_chunk(chunk, parse, 0, file_of, prepare, piece_bytes)
    rows, rejected = one_by_one(content)
    assert batch.store() == [len(prepared)]
    assert rows == [
        row
        for piece in prepared
        for row in rows_of([piece.files[number] for number in piece.of_file.tolist()], piece.requests)
    ]
    assert [seen(part.rejected) for part in batch.parts] == rejected
    _assert_parts_agree(batch, chunk, rows)


@given(parts, st.data())
def test_what_the_store_refuses_is_rejected_from_its_part(
    content: list[tuple[FileId, Lines]], data: st.DataObject
) -> None:
    rows, rejected = one_by_one(content)
    refused = data.draw(st.sets(st.sampled_from(range(len(rows))))) if rows else set()
    chunk = chunk_of_all(content)
    batch = after_storing(parse_chunk(chunk, parse, 0, file_of, to_no_store, 300), sorted(refused))
    assert batch.lines == b""
    assert batch.store() == []
    left = [row for place, row in enumerate(rows) if place not in refused]
    _assert_parts_agree(batch, chunk, left)
    for part, before in zip(batch.parts, rejected, strict=True):
        offsets = [line.offset for line in part.rejected]
        assert offsets == sorted(offsets)
        assert [line for line in seen(part.rejected) if line[1] is not Reason.REFUSED] == before
    found = {
        (file_of(part.log, part.start.generation), line.offset)
        for part in batch.parts
        for line in part.rejected
        if line.reason is Reason.REFUSED
    }
    assert found == {rows[place][:2] for place in refused}
    for part in batch.parts:
        for line in part.rejected:
            if line.reason is Reason.REFUSED:
                assert len(parse(line.line + b"\n")[0]) == 1


def _assert_parts_agree(batch: Batch, chunk: Chunk, rows: list[Row]) -> None:
    """Each part of the batch has the requests that the rows have of it, and the batch has all, as they are counted."""
    assert batch.requests.offsets.tolist() == [row[1] for row in rows]
    assert batch.requests.customer_ids() == [row[2] for row in rows]
    assert sum(part.stored for part in batch.parts) == len(rows)
    ends = list(accumulate(part.stored for part in batch.parts))
    of_part: list[list[Row]] = [[] for _ in batch.parts]
    for place, row in enumerate(rows):
        of_part[bisect_right(ends, place)].append(row)
    for part, before, own in zip(batch.parts, chunk.parts, of_part, strict=True):
        assert (part.log, part.path, part.start, part.end) == (before.log, before.path, before.start, before.end)
        assert {row[0] for row in own} <= {file_of(part.log, part.start.generation)}
        assert all(part.start.offset <= row[1] < part.end.offset for row in own)
        assert part.newest == max((row[7] for row in own), default=0)
        assert part.last_seconds == tuple(row[7] for row in own[-5:])


def test_a_refused_line_is_found_in_whatever_piece_it_is() -> None:
    lines = [f"2026-11-23 16:15:35 a /{n} 200 0.25".encode() for n in range(20)]
    lines[7] = b"bad"
    data = b"".join(line + b"\n" for line in lines)
    batch = parse_chunk(chunk_of(data, START), parse, 0, file_of, to_no_store, piece_bytes=100)
    # The bad line has no place among the requests.
    left = after_storing(batch, [0, 9, 18])
    assert seen(left.parts[0].rejected) == [
        (START + data.index(lines[0]), Reason.REFUSED, lines[0]),
        (START + data.index(lines[7]), Reason.FIELDS, lines[7]),
        (START + data.index(lines[10]), Reason.REFUSED, lines[10]),
        (START + data.index(lines[19]), Reason.REFUSED, lines[19]),
    ]
    places = [place for place in range(20) if place not in (0, 7, 10, 19)]
    offsets = [START + sum(len(line) + 1 for line in lines[:place]) for place in places]
    np.testing.assert_array_equal(left.requests.offsets, offsets)


def test_a_line_that_was_too_new_is_not_judged_anew() -> None:
    lines = [f"2026-11-23 16:15:35 a /{n} 200 0.25".encode() for n in range(20)]
    lines[7] = b"bad"
    data = b"".join(line + b"\n" for line in lines)
    offsets = [START + sum(len(line) + 1 for line in lines[:place]) for place in range(20)]
    too_new = {
        # Where the fifth line is there was another one.
        ("log", 0): {5: lines[0], offsets[3]: lines[3], offsets[5]: lines[6], offsets[19]: lines[19], 9_999: lines[2]},
        ("log", 1): {offsets[0]: lines[0]},
        ("other", 0): {offsets[0]: lines[0]},
    }
    batch = parse_chunk(chunk_of(data, START), parse, 0, file_of, to_no_store, piece_bytes=100, too_new=too_new)
    assert seen(batch.parts[0].rejected) == [
        (offsets[3], Reason.TOO_NEW, lines[3]),
        (offsets[7], Reason.FIELDS, lines[7]),
        (offsets[19], Reason.TOO_NEW, lines[19]),
    ]
    assert batch.requests.offsets.tolist() == [offsets[place] for place in range(20) if place not in (3, 7, 19)]


kinds = st.lists(st.sampled_from(Mended), max_size=2, unique=True)
whatever_lines = st.lists(
    st.sampled_from([parsed_log.SKIPPED, parsed_log.REJECTED])
    | st.builds(lambda second, mended: parsed_line(second, "a", mended=mended), st.integers(0, 99), kinds),
    max_size=8,
).map(b"".join)


@given(st.lists(st.tuples(files, whatever_lines), max_size=10), st.integers(1, 500), st.data())
def test_each_part_has_its_skipped_lines_and_what_was_mended_of_its_requests(
    content: list[tuple[FileId, Lines]], piece_bytes: int, data: st.DataObject
) -> None:
    chunk = chunk_of_all(content)
    batch = parse_chunk(chunk, parsed_log.parse, 0, file_of, to_no_store, piece_bytes)
    count = len(batch.requests)
    refused = data.draw(st.sets(st.sampled_from(range(count)))) if count else set()
    ended = after_storing(batch, sorted(refused))
    ends = [0, *accumulate(part.length for part in chunk.parts)]
    for part, left, (start, end) in zip(batch.parts, ended.parts, pairwise(ends), strict=True):
        expected = parsed_log.parse(chunk.lines[start:end], part.start.offset)
        assert (part.skipped, part.mended) == (len(expected.skipped), expected.mended)
        assert part.stored + len(part.rejected) + part.skipped == chunk.lines.count(b"\n", start, end)
        # What the store refuses is no request any more.
        places = {line.offset for line in left.rejected}
        assert left.skipped == part.skipped
        assert left.mended == [line for line in part.mended if line.offset not in places]


def test_nothing_was_mended_of_a_line_that_was_too_new_before() -> None:
    lines = parsed_line(50, "a", mended=[Mended.DURATION]) + parsed_line(51, "a", mended=[Mended.STATUS])
    first = lines.index(b"\n")
    too_new = {("log", 0): {START: lines[:first]}}
    batch = parse_chunk(chunk_of(lines, START), parsed_log.parse, 0, file_of, to_no_store, too_new=too_new)
    assert batch.parts[0].mended == [MendedLine(START + first + 1, Mended.STATUS)]


def test_a_line_that_is_too_long_is_its_parts_only_one() -> None:
    line = Overlong()
    line.add(b"x" * 100_000)
    batch = parse_chunk(chunk_of(line, START), parse, 0, file_of, to_no_store)
    assert not batch.requests
    assert [(bad.offset, bad.reason) for bad in batch.parts[0].rejected] == [(START, Reason.TOO_LONG)]


def test_a_byte_order_mark_within_a_file_is_part_of_its_line_wherever_a_chunk_begins() -> None:
    line = BYTE_ORDER_MARK + b"2026-11-23 16:15:35 acme /orders 200 0.25\n"
    for lines in (line, b"\n" + line):
        batch = parse_chunk(chunk_of(lines, START), Framed.of(parse), 0, file_of, to_no_store)
        assert not batch.requests
        assert batch.parts[0].rejected[-1].line == line.rstrip(b"\n")


def test_a_chunk_may_have_no_lines_and_no_parts() -> None:
    assert parse_chunk(Chunk(), parse, 0, file_of, to_no_store).parts == ()
    (part,) = parse_chunk(chunk_of(b"", START), parse, 0, file_of, to_no_store).parts
    assert (part.start, part.end, part.stored, part.newest) == (Position(0, START), Position(0, START), 0, 0)


BEFORE, BEHIND = "2026-11-23 16:15:35 acme ", "/orders 200 0.25"


@st.composite
def wrapped_parts(draw: st.DrawFn) -> list[tuple[FileId, Lines]]:
    """Parts of files whose lines are wrapped as CRI has it, and perhaps come in parts."""
    texts = st.tuples(st.sampled_from(["stdout", "stderr"]), st.booleans(), st.sampled_from([BEFORE, BEHIND, "x"]))
    made: list[tuple[FileId, Lines]] = []
    for file in draw(st.lists(files, max_size=6)):
        parts = [(stream, is_last, text.encode()) for stream, is_last, text in draw(st.lists(texts, max_size=8))]
        made.append((file, wrapped("cri", parts)[0] + draw(st.sampled_from([b"", b"bad\n"]))))
    return made


@given(wrapped_parts(), st.integers(1, 1_000))
def test_wrapped_lines_of_several_logs_are_parsed_together_as_each_by_itself(
    content: list[tuple[FileId, Lines]], piece_bytes: int
) -> None:
    framed = Framed(WRAPPERS["cri"], lambda _: parse)
    chunk = chunk_of_all(content)
    batch = parse_chunk(chunk, framed, 0, file_of, to_no_store, piece_bytes)
    rows: list[Row] = []
    for (file, lines), part, before in zip(content, batch.parts, chunk.parts, strict=True):
        assert isinstance(lines, bytes)
        parsed = framed.parse(lines, before.start.offset, 0, LAST_SECOND)
        rows += rows_of([file] * len(parsed.requests), parsed.requests)
        assert seen(part.rejected) == seen(parsed.rejected)
        assert part.stored == len(parsed.requests)
    assert batch.requests.offsets.tolist() == [row[1] for row in rows]
    assert batch.requests.customer_ids() == [row[2] for row in rows]


def test_all_parts_of_a_line_tell_which_was_refused_or_too_new() -> None:
    first = [("stdout", False, BEFORE.encode()), ("stdout", True, BEHIND.encode())]
    message = ("stderr", True, b"a message")
    data, places = wrapped("cri", [first[0], message, first[1], *first])
    framed = Framed(WRAPPERS["cri"], lambda _: parse)
    lines = data.split(b"\n")
    both = [lines[0] + b"\n" + lines[2], lines[3] + b"\n" + lines[4]]
    too_new = {("log", 0): {START + places[3]: both[1]}}
    batch = parse_chunk(chunk_of(data, START), framed, 0, file_of, to_no_store, too_new=too_new)
    assert seen(after_storing(batch, [0]).parts[0].rejected) == [
        (START, Reason.REFUSED, both[0]),
        (START + places[1], Reason.FIELDS, lines[1]),
        (START + places[3], Reason.TOO_NEW, both[1]),
    ]
