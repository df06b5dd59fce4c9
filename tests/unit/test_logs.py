"""How far the processor is in each log, and where its files lie."""

from collections import Counter

import pytest

from log_processor.chunk import BatchPart
from log_processor.counting.logs import GAPS_KEPT, Logs
from request_log.line import Reason
from request_log.requests import Rejected
from storage.contract import FileId, FileRow, Gap, LedgerRow, Position, Stretch


def part(
    start: Position,
    end: Position,
    log: str = "log",
    stored: int = 0,
    rejected: int = 0,
    newest: int = 0,
    gaps: tuple[Gap, ...] = (),
) -> BatchPart:
    lines = [Rejected(0, Reason.FIELDS, b"")] * rejected
    return BatchPart(log, f"/logs/{log}", start, end, f"at {end.offset}", gaps, 0, stored, newest, lines)


def begin(generation: int, log: str = "log") -> BatchPart:
    """The beginning of a file."""
    return part(Position(generation, 0), Position(generation, 0), log)


def commit(logs: Logs) -> None:
    logs.commit(*logs.changed())


def test_what_is_taken_in_is_added_up() -> None:
    assert not Logs([], [], {}).have_changed
    logs = Logs([], [], {})
    logs.take(begin(0))
    logs.take(part(Position(0, 0), Position(0, 100), stored=3, rejected=1, newest=70))
    logs.take(part(Position(0, 100), Position(0, 150), stored=2, newest=60))
    assert logs.have_changed
    ((row,), (file,)) = logs.changed()
    assert row == LedgerRow(
        "log", "/logs/log", Position(0, 0), Position(0, 150), "at 150", 6, 5, Counter({Reason.FIELDS: 1}), (), 70
    )
    assert file == FileRow("log", 0, lane=0, base=0)
    assert logs.committed == {}
    commit(logs)
    assert logs.committed == {"log": row}
    assert logs.changed() == ((), ())


def test_a_part_that_says_nothing_new_is_no_news() -> None:
    logs = Logs([], [], {})
    assert logs.is_news(begin(0))
    logs.take(begin(0))
    assert not logs.is_news(begin(0))
    assert logs.is_news(part(Position(0, 0), Position(0, 1)))
    assert logs.is_news(part(Position(0, 0), Position(0, 0), gaps=(Gap(Position(0, 0), "deleted"),)))


@pytest.mark.parametrize("start", [Position(0, 99), Position(0, 101), Position(1, 5)])
def test_lines_that_did_not_come_end_the_program(start: Position) -> None:
    logs = Logs([], [], {})
    logs.take(part(Position(0, 0), Position(0, 100)))
    with pytest.raises(AssertionError, match="did not come"):
        logs.take(part(start, start._replace(offset=200)))


def test_the_latest_gaps_are_kept() -> None:
    logs = Logs([], [], {})
    gaps = tuple(Gap(Position(0, number), "deleted") for number in range(GAPS_KEPT + 5))
    logs.take(part(Position(0, 0), Position(0, 0), gaps=gaps[:50]))
    logs.take(part(Position(0, 0), Position(0, 0), gaps=gaps[50:]))
    ((row,), _) = logs.changed()
    assert row.gaps == gaps[5:]


def test_files_of_a_log_lie_one_after_the_other_in_its_lane() -> None:
    logs = Logs([], [], {})
    for log in ("log", "other"):
        logs.take(begin(0, log))
        logs.take(part(Position(0, 0), Position(0, 100), log))
    # The second file is empty, and generation 2 was never seen.
    for generation, end in ((1, 0), (3, 33), (4, 16), (5, 1)):
        logs.take(begin(generation))
        logs.take(part(Position(generation, 0), Position(generation, end)))
    expected = [
        FileId("log", 0, 0, 0),
        FileId("log", 1, 0, 112),
        FileId("log", 3, 0, 112),
        FileId("log", 4, 0, 112 + 48),
        FileId("log", 5, 0, 112 + 48 + 16),
    ]
    assert [logs.file("log", generation) for generation in (0, 1, 3, 4, 5)] == expected
    assert logs.file("other", 0) == FileId("other", 0, 1, 0)
    rows, files = logs.changed()
    assert {(row.log, row.generation): row.end for row in files} == {
        ("log", 0): 100,
        ("log", 1): 0,
        ("log", 3): 33,
        ("log", 4): 16,
        ("log", 5): None,
        ("other", 0): None,
    }
    # After a restart, in whatever order the store gives them.
    again = Logs(rows, reversed(files), {})
    again.take(begin(6))
    assert again.file("log", 6) == FileId("log", 6, 0, 112 + 48 + 16 + 16)
    again.take(begin(0, "third"))
    assert again.file("third", 0) == FileId("third", 0, 2, 0)


def test_the_requests_of_a_commit_are_stretches_of_files() -> None:
    logs = Logs([], [], {})
    logs.take(begin(0))
    logs.take(part(Position(0, 0), Position(0, 100)))
    commit(logs)
    logs.take(begin(0, "other"))
    logs.take(part(Position(0, 100), Position(0, 150)))
    logs.take(begin(1))
    logs.take(begin(3))
    logs.take(part(Position(3, 0), Position(3, 50)))
    assert sorted(logs.uncommitted()) == [
        Stretch(FileId("log", 0, 0, 0), 100, 150),
        Stretch(FileId("log", 3, 0, 160), 0, 50),
    ]
    commit(logs)
    assert logs.uncommitted() == ()
    assert sorted(logs.not_rolled_up()) == [
        Stretch(FileId("log", 0, 0, 0), 0, 150),
        Stretch(FileId("log", 3, 0, 160), 0, 50),
    ]
    assert logs.positions() == {"log": Position(3, 50), "other": Position(0, 0)}
    logs.rolled_up |= {"log": Position(0, 120), "other": Position(0, 0)}
    assert logs.positions() == {"log": Position(3, 50)}
    assert logs.not_rolled_up() == (
        Stretch(FileId("log", 0, 0, 0), 120, 150),
        Stretch(FileId("log", 3, 0, 160), 0, 50),
    )


def test_a_log_that_is_followed_from_its_end_has_no_earlier_requests() -> None:
    logs = Logs([], [], {})
    end = Position(0, 5_000)
    logs.begin(LedgerRow("log", "/logs/log", end, end, "at the end"))
    logs.take(part(end, Position(0, 5_100), stored=1))
    assert logs.uncommitted() == (Stretch(FileId("log", 0, 0, 0), 5_000, 5_100),)
    commit(logs)
    assert logs.not_rolled_up() == (Stretch(FileId("log", 0, 0, 0), 5_000, 5_100),)


def test_the_rows_of_a_commit_that_is_done_again_are_those_of_its_intent() -> None:
    stored = LedgerRow("log", "/logs/log", Position(0, 0), Position(0, 100), "at 100", 5, 5)
    later = LedgerRow("log", "/logs/log", Position(0, 0), Position(1, 30), "at 30", 7, 7)
    logs = Logs([stored], [FileRow("log", 0, 0, 0)], {})
    files = [FileRow("log", 0, 0, 0, 120, "at 120"), FileRow("log", 1, 0, 128)]
    logs.commit([later], files)
    assert logs.committed == {"log": later}
    assert not logs.have_changed
    logs.take(part(Position(1, 30), Position(1, 60)))
    assert logs.uncommitted() == (Stretch(FileId("log", 1, 0, 128), 30, 60),)
