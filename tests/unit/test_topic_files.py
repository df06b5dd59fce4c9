"""The records of a partition as the files of a log, and where reading begins."""

from collections.abc import Callable, Iterable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from log_processor.kafka.beginning import MADE_ANEW, REMOVED, Beginning, beginning
from log_processor.kafka.chunks import Records, chunk_of, parse_records
from log_processor.kafka.records import plain_text, text_in
from log_processor.parsing.chunk import Part
from request_log.formats import simple
from request_log.line import LAST_SECOND, Reason
from storage.logs import FileRow, Gap, Position
from storage.requests import FileId, StoredRequests
from storage.topic_files import TopicFile, path_of
from stores import to_no_store

LOG, PATH, TODAY = "requests-0", path_of("requests", 0), 20_000
LINE = b"2026-11-23 10:00:00 cust_1 /api 200 0.1"


def test_a_line_has_sixteen_bytes_of_its_own() -> None:
    file = TopicFile.beginning("topic", 7)
    assert (file, file.offset(7), file.record(112), file.line(112)) == (TopicFile("topic", 0, 1), 112, 7, 0)
    of_chunks = TopicFile.beginning("topic", 7, lines=3)
    assert (of_chunks, of_chunks.offset(8), of_chunks.line(of_chunks.offset(8) + 32)) == (
        TopicFile("topic", 7, 1_024),
        16_384,
        2,
    )
    assert TopicFile.decode(str(of_chunks)) == of_chunks


def test_a_file_ends_before_its_offsets_are_too_large() -> None:
    file = TopicFile.beginning("topic", 10, lines=1 << 22)
    assert file.holds(10, 1 << 22)
    assert not file.holds(10, (1 << 22) + 1)
    assert not file.holds(10 + (1 << 13), 1)


@given(st.integers(0, 1 << 40), st.integers(1, 5_000), st.lists(st.integers(0, 1_000), min_size=1))
def test_lines_of_a_file_are_in_cells_of_their_own(first: int, lines: int, records: list[int]) -> None:
    file = TopicFile.beginning("topic", first, lines)
    found = [file.offset(first + record) + 16 * line for record in set(records) for line in (0, lines - 1)]
    assert len({offset // 16 for offset in found}) == len(set(records)) * (2 if lines > 1 else 1)
    assert [file.record(offset) for offset in found] == [first + record for record in set(records) for _ in range(2)]


def begins(row: FileRow | None, topic: str, low: int, end: int) -> Beginning:
    return beginning(LOG, PATH, [row] if row is not None else [], topic, low, end, TODAY)


def file_row(record: int, state: str = "live") -> FileRow:
    file = TopicFile("topic", 0, 1)
    return FileRow(LOG, 4, 0, offset=file.offset(record), path=PATH, identity=str(file))


def test_a_new_partition_is_read_from_its_first_record() -> None:
    found = begins(None, "topic", 5, 90)
    assert (found.place.generation, found.place.record) == (0, 5)
    assert [(part.start, part.end, part.gaps, part.state) for part in found.before] == [
        (Position(0, 80), Position(0, 80), (), "live")
    ]


def test_reading_goes_on_at_the_ledgers_record() -> None:
    found = begins(file_row(40), "topic", 5, 90)
    assert (found.place.generation, found.place.record, found.before) == (4, 40, ())


def test_a_low_watermark_beyond_the_ledger_is_a_gap() -> None:
    found = begins(file_row(40), "topic", 50, 90)
    assert (found.place.generation, found.place.record) == (5, 50)
    assert [(part.state, part.start.generation, part.gaps) for part in found.before] == [
        ("closed", 4, (Gap(Position(4, 640), REMOVED),)),
        ("live", 5, ()),
    ]


def test_a_topic_that_was_made_anew_begins_at_its_first_record() -> None:
    found = begins(file_row(40), "other", 0, 90)
    assert (found.place.generation, found.place.record) == (5, 0)
    assert [part.gaps for part in found.before] == [(Gap(Position(4, 640), MADE_ANEW),), ()]


def test_a_partition_that_lost_counted_records_goes_on_at_its_end() -> None:
    found = begins(file_row(40), "topic", 0, 30)
    assert (found.place.generation, found.place.record) == (5, 30)
    assert [part.gaps for part in found.before] == [(), ()]


def test_lines_keep_their_offsets_through_parsing() -> None:
    file = TopicFile("topic", 0, 1_024)
    texts = [LINE, b"\n".join([LINE, b"no request at all", LINE]), b"x" * 70_000]
    records = Records([3, 5, 9], texts, [1, 3, 1], [(7, b"{}")])
    part = Part(LOG, PATH, Position(0, file.offset(3)), Position(0, file.offset(10)), str(file), unit=file.record_bytes)
    stored: list[int] = []

    def prepare(parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        for part in parts:
            stored.extend(part.requests.offsets.tolist())
        return to_no_store(())

    chunk = chunk_of(records, file, part, has_backlog=False, due=0.0)
    batch = parse_records(
        chunk, simple.parse, 0, lambda log, number: FileId(log, number, 0, 0), prepare, LAST_SECOND, {}, bytes
    )
    assert stored == [file.offset(3), file.offset(5), file.offset(5) + 32]
    assert batch.place is not None
    (placed,) = batch.place(batch).parts
    assert (placed.start, placed.end, placed.stored) == (part.start, part.end, 3)
    assert [(line.offset, line.reason) for line in placed.rejected] == [
        (file.offset(5) + 16, Reason.FIELDS),
        (file.offset(7), Reason.FIELDS),
        (file.offset(9), Reason.TOO_LONG),
    ]


def test_a_line_that_was_too_new_is_rejected_again() -> None:
    file = TopicFile("topic", 0, 1)
    part = Part(LOG, PATH, Position(0, 0), Position(0, file.offset(3)), str(file))
    chunk = chunk_of(
        Records([0, 1, 2], [LINE, LINE + b"1", LINE], [1, 1, 1], []), file, part, has_backlog=False, due=0.0
    )
    batch = parse_records(
        chunk,
        simple.parse,
        0,
        lambda log, number: FileId(log, number, 0, 0),
        to_no_store,
        LAST_SECOND,
        {(LOG, 0): {file.offset(1): LINE + b"1", file.offset(2): b"another line"}},
        bytes,
    )
    assert batch.place is not None
    (placed,) = batch.place(batch).parts
    assert [(line.offset, line.reason) for line in placed.rejected] == [(16, Reason.TOO_NEW)]


def test_a_line_is_found_in_a_member() -> None:
    text = text_in("message")
    assert text(b'{"host": {"message": 1}, "message": "a\\tb\\n", "@timestamp": 7}') == b"a\tb"
    assert [text(value) for value in (b"", b"{}", b"[1]", b'{"message": 1}', b'{"message": "\\ud800"}')] == [None] * 5
    assert np.array_equal([plain_text(value) for value in (b"a\nb\n", b"", b"\n\n")], [b"a\nb", b"", b"\n"])
