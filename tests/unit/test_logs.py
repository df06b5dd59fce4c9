"""How far the writer is in each log, and where the files of a log lie in lanes."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_processor.counting.logs import GAPS_KEPT, UNCOMMITTED_BYTES, Logs
from log_processor.parsing.batch import BatchPart
from request_log.line import Mended, Reason
from request_log.requests import MendedLine, Rejected
from storage.keys import FileKey
from storage.ledger import RolledUp
from storage.logs import CELL_BYTES, FileRow, FileState, Gap, LedgerRow, Position, forgotten
from storage.requests import FileId, OffsetRange


def part(
    generation: int,
    start: int,
    end: int,
    log: str = "log",
    state: FileState = "live",
    stored: int = 0,
    rejected: int = 0,
    newest: int = 0,
    gaps: tuple[Gap, ...] = (),
    skipped: int = 0,
    mended: Sequence[Mended] = (),
    last_seconds: tuple[int, ...] = (),
) -> BatchPart:
    lines = [Rejected(0, Reason.FIELDS, b"")] * rejected
    path = f"/logs/{log}" if state == "live" else f"/logs/{log}.1"
    places = Position(generation, start), Position(generation, end)
    mended_lines = [MendedLine(start, what) for what in mended]
    return BatchPart(
        log,
        path,
        *places,
        f"at {end}",
        gaps=gaps,
        state=state,
        size=end,
        stored=stored,
        newest=newest,
        last_seconds=last_seconds,
        rejected=lines,
        skipped=skipped,
        mended=mended_lines,
    )


def begin(generation: int, log: str = "log", state: FileState = "live", start: int = 0) -> BatchPart:
    """The part with which a file begins."""
    return part(generation, start, start, log, state)


def commit(logs: Logs) -> None:
    logs.commit(*logs.changed())


def test_the_row_of_a_log_adds_up_its_parts() -> None:
    assert not Logs([], [], {}).have_changed
    logs = Logs([], [], {})
    logs.take(begin(0))
    logs.take(part(0, 0, 100, stored=3, rejected=1, newest=70, mended=[Mended.STATUS, Mended.DURATION]))
    logs.take(part(0, 100, 150, stored=2, newest=60, skipped=4, mended=[Mended.STATUS]))
    assert logs.have_changed
    ((row,), (file,)) = logs.changed()
    assert row == LedgerRow(
        "log",
        "/logs/log",
        Position(0, 0),
        Position(0, 150),
        bytes=150,
        read=10,
        stored=5,
        rejected=Counter({Reason.FIELDS: 1}),
        skipped=4,
        mended=Counter({Mended.STATUS: 2, Mended.DURATION: 1}),
        newest=70,
    )
    assert file == FileRow("log", 0, 0, 0, 0, 150, 150, "live", "/logs/log", "at 150")
    assert logs.committed == {}
    commit(logs)
    assert logs.committed == {"log": row}
    assert logs.files == {FileKey("log", 0): file}
    assert logs.changed() == ((), ())


def test_a_single_line_moves_the_time_that_a_log_has_reached_by_no_more_than_its_neighbours() -> None:
    logs = Logs([], [], {})
    logs.take(begin(0))
    logs.take(part(0, 0, 100, stored=7, newest=64, last_seconds=(60, 61, 62, 63, 64)))
    for number, second in enumerate([82_865, 66, 3, 68, 69, 70]):
        at = 100 + 20 * number
        logs.take(part(0, at, at + 20, stored=1, newest=second, last_seconds=(second,)))
        ((row,), _) = logs.changed()
        assert 63 <= row.reached <= 69
    assert row.newest == 82_865
    assert row.last_seconds == (66, 3, 68, 69, 70)
    # That of a row from before the times were kept.
    assert LedgerRow("log", "/logs/log", Position(0, 0), Position(0, 10), newest=70).reached == 70


def test_files_of_a_log_are_read_at_the_same_time() -> None:
    logs = Logs([], [], {})
    logs.take(begin(0))
    logs.take(part(0, 0, 100, stored=2))
    logs.take(part(0, 100, 100, state="open"))
    logs.take(begin(1))
    logs.take(part(1, 0, 30, stored=1))
    # A late writer goes on with the renamed file.
    logs.take(part(0, 100, 150, state="open", stored=1))
    ((row,), files) = logs.changed()
    assert (row.path, row.position, row.bytes, row.stored) == ("/logs/log", Position(1, 30), 180, 4)
    assert {(file.generation, file.offset, file.path) for file in files} == {
        (0, 150, "/logs/log.1"),
        (1, 30, "/logs/log"),
    }


def test_a_part_without_anything_new_is_no_news() -> None:
    logs = Logs([], [], {})
    assert logs.is_news(begin(0))
    logs.take(begin(0))
    assert not logs.is_news(begin(0))
    assert logs.is_news(part(0, 0, 1))
    assert logs.is_news(begin(0, state="closed"))
    assert logs.is_news(part(0, 0, 0, gaps=(Gap(Position(0, 0), "deleted"),)))


@pytest.mark.parametrize("start", [99, 101])
def test_missing_lines_end_the_program(start: int) -> None:
    logs = Logs([], [], {})
    logs.take(part(0, 0, 100))
    with pytest.raises(AssertionError, match="did not come"):
        logs.take(part(0, start, 200))


def test_the_latest_gaps_are_kept() -> None:
    logs = Logs([], [], {})
    gaps = tuple(Gap(Position(0, number), "deleted") for number in range(GAPS_KEPT + 5))
    logs.take(part(0, 0, 0, gaps=gaps[:50]))
    logs.take(part(0, 0, 0, gaps=gaps[50:]))
    ((row,), _) = logs.changed()
    assert row.gaps == gaps[5:]


def test_files_follow_one_another_in_lanes_in_which_no_file_is_read_on() -> None:
    logs = Logs([], [], {})
    logs.take(begin(0))
    logs.take(part(0, 0, 100))
    logs.take(begin(0, "other"))
    # The first file is read on: the second one has a lane of its own.
    logs.take(begin(1))
    logs.take(part(1, 0, 33))
    logs.take(part(0, 100, 100, state="closed"))
    logs.take(begin(2))
    logs.take(part(2, 0, 16, state="closed"))
    # A file that is read on from its middle lies after the files before it.
    logs.take(begin(3, start=1_000))
    # A copy is in no lane.
    logs.take(begin(4, state="copy"))
    expected = [
        FileId("log", 0, 0, 0),
        FileId("log", 1, 2, 0),
        FileId("log", 2, 0, 112),
        FileId("log", 3, 0, 0),
        FileId("log", 4, -1, 0),
    ]
    assert [logs.file("log", generation) for generation in range(5)] == expected
    assert logs.file("other", 0) == FileId("other", 0, 1, 0)
    rows, files = logs.changed()
    # After a restart, in any order in which the store gives the rows.
    again = Logs(rows, reversed(files), {})
    again.take(begin(5))
    assert again.file("log", 5) == FileId("log", 5, 3, 0)
    again.take(begin(0, "third"))
    assert again.file("third", 0) == FileId("third", 0, 4, 0)


def test_a_file_lies_far_after_one_that_another_process_was_reading() -> None:
    logs = Logs([], [], {})
    logs.take(begin(0))
    logs.take(part(0, 0, 100))
    # The successor finds the rest of the file gone, of which its predecessor may have stored more.
    after = Logs(*logs.changed(), {})
    after.take(part(0, 100, 100, state="closed"))
    for generation in (1, 2):
        after.take(begin(generation))
        after.take(part(generation, 0, 160, state="closed"))
    far = 112 + UNCOMMITTED_BYTES
    expected = [FileId("log", 0, 0, 0), FileId("log", 1, 0, far), FileId("log", 2, 0, far + 160)]
    assert [after.file("log", generation) for generation in range(3)] == expected


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.integers(0, 60), st.booleans()), max_size=20))
def test_no_two_files_overlap_in_a_lane(files: list[tuple[str, int, int, bool]]) -> None:
    logs = Logs([], [], {})
    places: set[tuple[int, int]] = set()
    for generation, (log, start, length, is_closed) in enumerate(files):
        logs.take(begin(generation, log, start=start))
        logs.take(part(generation, start, start + length, log, "closed" if is_closed else "open"))
        file = logs.file(log, generation)
        # A request is stored under its cell.
        own = {(file.lane, (file.base + offset) // CELL_BYTES) for offset in range(start, start + length)}
        assert not places & own
        places |= own


def test_the_requests_of_a_commit_are_offset_ranges_of_files() -> None:
    logs = Logs([], [], {})
    logs.take(begin(0))
    logs.take(part(0, 0, 100))
    commit(logs)
    logs.take(begin(0, "other"))
    logs.take(part(0, 100, 150, state="closed"))
    logs.take(begin(1))
    logs.take(begin(2, state="open"))
    logs.take(part(2, 0, 50, state="open"))
    first, last = FileId("log", 0, 0, 0), FileId("log", 2, 2, 0)
    assert sorted(logs.uncommitted()) == [OffsetRange(first, 100, 150), OffsetRange(last, 0, 50)]
    commit(logs)
    assert logs.uncommitted() == ()
    assert logs.not_rolled_up() == (OffsetRange(first, 0, 150), OffsetRange(last, 0, 50))
    assert logs.rolled_up_after() == {"log": RolledUp(3, {1: 0, 2: 50})}
    assert not logs.is_rolled_up("log")
    logs.roll_up({"log": RolledUp(1, {0: 120})})
    assert logs.not_rolled_up() == (OffsetRange(first, 120, 150), OffsetRange(last, 0, 50))
    logs.roll_up({"log": RolledUp(3, {1: 0, 2: 50})})
    assert logs.is_rolled_up("log")
    assert logs.not_rolled_up() == ()


def test_a_log_that_is_followed_from_its_end_has_no_earlier_requests() -> None:
    logs = Logs([], [], {})
    logs.take(begin(0, start=5_000))
    logs.take(part(0, 5_000, 5_100, stored=1))
    assert logs.uncommitted() == (OffsetRange(FileId("log", 0, 0, 0), 5_000, 5_100),)
    commit(logs)
    assert logs.not_rolled_up() == (OffsetRange(FileId("log", 0, 0, 0), 5_000, 5_100),)
    ((row,), _) = (tuple(logs.committed.values()), None)
    assert (row.first, row.bytes) == (Position(0, 5_000), 100)


def test_the_rows_of_a_redone_commit_are_those_of_its_intent() -> None:
    stored = LedgerRow("log", "/logs/log", Position(0, 0), Position(0, 100), 100, 5, 5)
    later = LedgerRow("log", "/logs/log", Position(0, 0), Position(1, 30), 150, 7, 7)
    logs = Logs([stored], [FileRow("log", 0, 0, 0, offset=100)], {})
    files = [
        FileRow("log", 0, 0, 0, 0, 120, 120, "closed", "/logs/log.1", "at 120"),
        FileRow("log", 1, 0, 128, 0, 30, 30, "live", "/logs/log", "at 30"),
    ]
    logs.commit([later], files)
    assert logs.committed == {"log": later}
    assert not logs.have_changed
    logs.take(part(1, 30, 60))
    assert logs.uncommitted() == (OffsetRange(FileId("log", 1, 0, 128), 30, 60),)
    assert logs.not_rolled_up() == (
        OffsetRange(FileId("log", 0, 0, 0), 0, 120),
        OffsetRange(FileId("log", 1, 0, 128), 0, 30),
    )


def test_files_that_are_long_gone_are_forgotten_except_the_last_one_of_their_log() -> None:
    files = [FileRow("log", number, 0, 0, gone=gone) for number, gone in enumerate((0, 99, 100, 90))]
    logs = Logs([], [*files, FileRow("another", 7, 0, 0, gone=90)], {})
    assert forgotten(logs.files, 100) == [FileKey("log", 1)]
    logs.forget([FileKey("log", 1)])
    assert sorted(logs.files) == [FileKey("another", 7), FileKey("log", 0), FileKey("log", 2), FileKey("log", 3)]
