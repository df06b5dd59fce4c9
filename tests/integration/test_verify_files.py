"""`verify` on files that are laid out by hand, and a store that was told what of them was read."""

import bz2
import gzip
import lzma
import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import zstandard
from msgspec import structs

import parsed_log
from counting_by_hand import Counting, Read, verified
from lines import valid_lines
from log_processor.commands.verify.definitions import LONGEST_LINE
from log_processor.commands.verify.recount import whole_lines
from log_processor.commands.verify.result import VerifyResult
from log_processor.commands.verify.text_file import TextFile
from parsed_log import parsed_line
from request_log.line import LAST_SECOND, Mended
from request_log.requests import Parsed
from rollups.counts import RollupKey, RollupKind
from rollups.groups import ALL_CUSTOMERS, group_of
from storage.keys import LogKey
from storage.logs import Gap, Position, decode_log, encode_log
from stored_rows import add_to_rollup
from stores import Store

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}
OLD, NEW = valid_lines(300, seed=1), valid_lines(200, seed=2)
YESTERDAY = int(time.time()) // 86_400 - 1


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log's path, in a folder of its own."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "log"


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def counted(store: Store, log: Path, *reads: Read) -> VerifyResult:
    """What verify says when this was read, in one commit."""
    with Counting(store.open(), log) as counting:
        counting.count(*reads)
    return verified(store.open())


def assert_agrees(result: VerifyResult, *sentences: str) -> None:
    verdict, *others = result.lines_to_print()
    assert verdict.startswith("All agree: "), others
    assert result.status == 0
    assert others == list(sentences)


def test_all_files_of_a_log_are_read(store: Store, log: Path) -> None:
    rotated = write(log.with_name("log.1"), OLD)
    result = counted(store, log, Read(rotated, state="closed"), Read(write(log, NEW), generation=1))
    assert_agrees(result)
    assert result.lines == {None: 500}


def test_a_line_of_a_rotated_file_that_was_never_read_is_told(sqlite: Store, log: Path) -> None:
    rotated = write(log.with_name("log.1"), OLD)
    end = OLD.rfind(b"\n", 0, -1) + 1
    reads = [Read(rotated, end=end, state="closed"), Read(write(log, NEW), generation=1)]
    result = counted(sqlite, log, *reads)
    assert result.status == 1
    verdict, told = result.lines_to_print()
    assert verdict.startswith("Lines are missing in the store.")
    assert told == (
        f"{len(OLD) - end} bytes of {rotated} (line 300) are not accounted for, and no processor runs to read them."
    )


def test_a_file_that_nobody_knows_is_told(sqlite: Store, log: Path) -> None:
    unknown = write(log.with_name("log-20261127"), OLD)
    result = counted(sqlite, log, Read(write(log, NEW)))
    assert result.status == 1
    assert f"{len(OLD):,} bytes of {unknown} (lines 1 to 300) are not accounted for" in "\n".join(
        result.lines_to_print()
    )


def test_a_file_that_was_read_twice_is_shown(sqlite: Store, log: Path) -> None:
    rotated = write(log.with_name("log.1"), OLD)
    twice = [Read(rotated, generation=generation, state="closed") for generation in (0, 1)]
    result = counted(sqlite, log, *twice, Read(write(log, NEW), generation=2))
    assert result.status == 1
    (read,) = [row for row in result.differences if row.figure == "lines read"]
    assert (read.log, read.store) == (500, 800)


def test_a_copy_that_was_read_as_well_is_shown(sqlite: Store, log: Path) -> None:
    copy = write(log.with_name("log.1"), OLD)
    result = counted(sqlite, log, Read(write(log, OLD + NEW)), Read(copy, generation=1, state="closed"))
    assert result.status == 1
    assert f"{copy} is a copy of {log}." in "\n".join(result.lines_to_print())


def test_a_copy_is_named(sqlite: Store, log: Path) -> None:
    for name in ("log.1", "log.2"):
        write(log.with_name(name), OLD)
    write(log.with_name("log.3.gz"), gzip.compress(OLD))
    result = counted(sqlite, log, Read(write(log, OLD + NEW)))
    assert_agrees(result, *(f"{log.with_name(name)} is a copy of {log}." for name in ("log.1", "log.2", "log.3.gz")))


def test_a_link_and_a_second_name_are_no_copies(sqlite: Store, log: Path) -> None:
    write(log, OLD)
    log.with_name("log.1").symlink_to(log)
    log.with_name("log.2").hardlink_to(log)
    assert_agrees(counted(sqlite, log, Read(log)))


def test_links_to_themselves_stop_nothing(sqlite: Store, log: Path) -> None:
    for name in ("log.1", "folder"):
        log.with_name(name).symlink_to(name)
    assert_agrees(counted(sqlite, log, Read(write(log, NEW))))
    log.rename(log.with_name("log.2"))
    log.symlink_to("log")
    assert_agrees(verified(sqlite.open()))


def test_files_of_which_one_is_a_header_are_no_copies(sqlite: Store, log: Path) -> None:
    header = b"#Fields: date time customer path status duration\n"
    files = [write(log.with_name("log.1"), header + OLD), write(log, header), write(log.with_name("log.2"), header)]
    assert_agrees(counted(sqlite, log, *(Read(file, generation) for generation, file in enumerate(files))))


def test_what_extends_another_file_is_read_from_there(sqlite: Store, log: Path) -> None:
    parts = [write(log.with_name("log.1"), OLD), write(log.with_name("log.2"), OLD + NEW)]
    write(log, valid_lines(10, seed=3))
    reads = [Read(log), Read(parts[0], 1, state="closed"), Read(parts[1], 2, start=len(OLD), state="closed")]
    assert_agrees(counted(sqlite, log, *reads), f"{parts[0]} is a copy of {parts[1]}.")


def test_what_parts_from_another_file_is_read_from_there(sqlite: Store, log: Path) -> None:
    write(log, OLD + NEW)
    other = write(log.with_name("log.1"), OLD + valid_lines(10, seed=3))
    result = counted(sqlite, log, Read(log), Read(other, 1, start=len(OLD), state="closed"))
    assert_agrees(result, f"The first {len(OLD):,} bytes of {other} are those of {log}.")


@pytest.mark.parametrize("ending", COMPRESS)
def test_compressed_files_are_read(sqlite: Store, log: Path, ending: str) -> None:
    rotated = write(log.with_name("log.1"), OLD)
    with Counting(sqlite.open(), log) as counting:
        counting.count(Read(rotated, state="closed"), Read(write(log, NEW), 1))
    write(log.with_name(f"log.2.{ending}"), COMPRESS[ending](OLD))
    rotated.unlink()
    result = verified(sqlite.open())
    assert_agrees(result)
    assert result.lines == {None: 500}
    write(log.with_name(f"log.3.{ending}"), COMPRESS[ending](valid_lines(9, seed=3)[:-1]))
    assert "log.3" in verified(sqlite.open()).unaccounted[0]


def test_files_that_cannot_be_read_are_named(sqlite: Store, log: Path) -> None:
    reads = [Read(write(log.with_name(name), lines), n) for n, (name, lines) in enumerate({"log": NEW}.items())]
    damaged = write(log.with_name("log.1.gz"), gzip.compress(OLD)[:-10])
    unknown = write(log.with_name("log.2.lz4"), b"\x04\x22\x4d\x18")
    result = counted(sqlite, log, *reads)
    assert result.lines_to_print()[0].startswith("All agree: ")
    assert result.unchecked[0].startswith(f"{damaged} cannot be read: it is damaged (")
    assert result.unchecked[1:] == [
        f"{unknown} cannot be read: its compression is unknown. Its lines could not be checked."
    ]


def test_a_file_that_is_being_compressed_is_read_once(sqlite: Store, log: Path) -> None:
    rotated = write(log.with_name("log.1"), OLD)
    write(log.with_name("log.1.gz"), gzip.compress(OLD)[:-10])
    assert_agrees(counted(sqlite, log, Read(rotated, state="closed"), Read(write(log, NEW), 1)))


@pytest.mark.parametrize("kept", [-10, 12], ids=["its end is missing", "nothing can be unpacked"])
def test_a_damaged_file_beside_another_file_of_its_name_is_named(sqlite: Store, log: Path, kept: int) -> None:
    rotated = write(log.with_name("log.1"), OLD)
    damaged = write(log.with_name("log.1.gz"), gzip.compress(valid_lines(300, seed=3))[:kept])
    os.utime(damaged, (0, 0))
    result = counted(sqlite, log, Read(rotated, state="closed"), Read(write(log, NEW), 1))
    assert [text.partition(" (")[0] for text in result.unchecked] == [f"{damaged} cannot be read: it is damaged"]


def test_a_backfilled_file_is_read_where_it_came_from(sqlite: Store, log: Path, tmp_path: Path) -> None:
    origin = write(tmp_path / "old.gz", gzip.compress(OLD))
    backfilled = Read(origin, log="backfill-1", state="closed")
    assert_agrees(counted(sqlite, log, Read(write(log, NEW)), backfilled))
    origin.unlink()
    assert_agrees(
        verified(sqlite.open()),
        f"Of log backfill-1, {len(OLD):,} bytes that were counted are not in files any more. They could not be checked:"
        " their requests are taken as they are stored.",
    )


def test_a_file_of_the_log_that_was_backfilled_is_counted_once(sqlite: Store, log: Path) -> None:
    old = write(log.with_name("log.1"), OLD)
    noted = Read(old, 1, start=len(OLD), state="closed")
    result = counted(sqlite, log, Read(write(log, NEW)), noted, Read(old, log="backfill-1", state="closed"))
    assert_agrees(result)
    assert result.lines == {None: 500}


def test_what_was_there_before_the_log_was_followed_is_told(sqlite: Store, log: Path) -> None:
    noted = Read(write(log.with_name("log.1"), OLD), 1, start=len(OLD), state="closed")
    read = Read(write(log, OLD[: len(OLD) // 2] + NEW), start=len(OLD) // 2)
    # Alike only by chance.
    write(log, log.read_bytes().replace(b"/api", b"/ipa", 1))
    result = counted(sqlite, log, replace(read), noted)
    assert_agrees(result, f"Of log log, {len(OLD) + len(OLD) // 2:,} bytes were there before it was followed.")


def test_a_file_that_grew_when_it_was_closed_goes_on_under_another_number(sqlite: Store, log: Path) -> None:
    rotated = write(log.with_name("log.1"), OLD)
    with Counting(sqlite.open(), log) as counting:
        counting.count(Read(rotated, state="closed"))
        rotated.write_bytes(OLD + NEW)
        late = Read(rotated, 2, start=len(OLD), state="closed")
        counting.count(Read(write(log, valid_lines(9, seed=3)), 1), late)
    assert_agrees(verified(sqlite.open()))


def test_a_file_in_whose_place_a_longer_copy_was_put_is_read_there(sqlite: Store, log: Path) -> None:
    with Counting(sqlite.open(), log) as counting:
        counting.count(Read(write(log, OLD), state="closed"))
        write(log.with_name("new"), OLD + NEW).replace(log)
        counting.count(Read(log, 1, start=len(OLD)))
    assert_agrees(verified(sqlite.open()))


def test_a_file_at_the_logs_path_is_new_even_where_it_begins_like_one_that_is_gone(sqlite: Store, log: Path) -> None:
    with Counting(sqlite.open(), log) as counting:
        counting.count(Read(write(log, OLD), state="closed"))
        write(log.with_name("new"), OLD + NEW).replace(log)
        counting.count(Read(log, 1))
    result = verified(sqlite.open())
    assert (result.status, result.lines) == (0, {None: 500})


def test_days_that_only_a_deleted_file_had_are_not_compared(sqlite: Store, log: Path) -> None:
    rotated = write(log.with_name("log.1"), OLD)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    write(log, b"".join(b"%s 00:00:00 cust_1 /path 200 0.%03d\n" % (today.encode(), n) for n in range(20)))
    with Counting(sqlite.open(), log) as counting:
        counting.count(Read(rotated, state="closed"), Read(log, 1))
    rotated.unlink()
    result = verified(sqlite.open())
    assert result.status == 0
    assert result.days == 1
    log.unlink()
    result = verified(sqlite.open())
    assert result.status == 1
    assert result.lines_to_print()[0].startswith("Nothing could be checked. In the log: lines 0,")


def test_where_no_day_was_compared_nothing_was_checked(sqlite: Store, log: Path) -> None:
    result = counted(sqlite, log, Read(write(log, b"no request\n")))
    assert result.status == 1
    assert result.lines_to_print()[0].startswith(
        "Nothing could be checked. In the log: lines 1, requests 0, rejected 1 (fields 1)"
    )


def test_lines_in_a_gap_are_accounted_for(sqlite: Store, log: Path) -> None:
    end = OLD.rfind(b"\n", 0, len(OLD) // 2) + 1
    gaps = (Gap(Position(0, end), "it could not be read"),)
    read = Read(write(log.with_name("log.1"), OLD), end=end, state="closed", gaps=gaps)
    assert_agrees(
        counted(sqlite, log, read, Read(write(log, NEW), 1)),
        "Log log has a gap: it could not be read.",
    )


@pytest.mark.parametrize("is_sparse", [True, False])
def test_half_a_line_and_zeros_are_no_lines(sqlite: Store, log: Path, is_sparse: bool) -> None:
    hole = 20_000_000
    rotated = write(log.with_name("log.1"), OLD + b"\0" * 1_000)
    write(log, b"" if is_sparse else b"\0" * hole)
    os.truncate(log, hole)
    append(log, NEW + b"half a li")
    reads = [Read(log, end=hole, begun=0), Read(log, start=hole, end=hole + len(NEW), begun=0)]
    result = counted(sqlite, log, *reads, Read(rotated, 1, end=len(OLD)))
    assert_agrees(result)
    assert result.lines == {None: 500}


@pytest.mark.parametrize("before", [b"", OLD + b"half a li"])
def test_a_large_hole_is_not_read(log: Path, before: bytes) -> None:
    hole = 1 << 40
    write(log, before)
    os.truncate(log, hole)
    append(log, b"\n" * bool(before) + NEW)
    with ExitStack() as stack:
        file = TextFile(log, stack)
        advanced: list[int] = []
        blocks = list(islice(file.blocks(0, file.size, advanced.append), 10))
        assert sum(advanced) == file.size
        lines = [line for some in whole_lines(blocks) for line in some.split(b"\n") if len(line) <= LONGEST_LINE]
        assert lines == (OLD * bool(before) + NEW).splitlines()


def test_half_a_line_is_a_line_when_its_file_is_a_day_old(sqlite: Store, log: Path) -> None:
    write(log, NEW[:-1])
    read = Read(log, end=NEW.rfind(b"\n", 0, -1) + 1)
    assert_agrees(counted(sqlite, log, read))
    yesterday = time.time() - 90_000
    os.utime(log, (yesterday, yesterday))
    assert verified(sqlite.open()).status == 1


@pytest.mark.parametrize("kind", ["parts", "endpoints"])
@pytest.mark.parametrize("is_of_all", [True, False])
def test_a_rollup_that_was_changed_is_shown(store: Store, log: Path, kind: RollupKind, is_of_all: bool) -> None:
    with Counting(store.open(), log) as counting:
        counting.count(Read(write(log, OLD)))
    add_to_rollup(store.open(), RollupKey(ALL_CUSTOMERS if is_of_all else group_of("cust_1"), YESTERDAY, kind))
    result = verified(store.open())
    assert result.status == 1
    (row,) = result.differences
    assert row.customer == ("(all)" if is_of_all else "cust_1")
    assert row.figure.endswith(": requests")
    assert row.log is not None
    assert row.log + 1 == row.store


def test_endpoints_beyond_a_hundred_are_compared_together(sqlite: Store, log: Path) -> None:
    """Which of them have a name depends on the order of commits."""
    stamp = time.strftime("%Y-%m-%d", time.gmtime()).encode()

    def lines(numbers: range) -> bytes:
        paths = [b"/p%s" % b"abcdefghijklmnopqrst"[n // 20 : n // 20 + 1] * (n % 20 + 1) for n in numbers]
        return b"".join(b"%s 00:00:00 cust_1 %s 200 0.1\n" % (stamp, path) for path in [*paths, b"/(other)"])

    other = write(log.with_name("log.1"), lines(range(200, 350)))
    with Counting(sqlite.open(), log) as counting:
        counting.count(Read(write(log, lines(range(200)))))
        counting.count(Read(other, 1, state="closed"))
    assert_agrees(verified(sqlite.open()))
    add_to_rollup(sqlite.open(), RollupKey(ALL_CUSTOMERS, YESTERDAY + 1, "endpoints"))
    assert verified(sqlite.open()).status == 1


def test_requests_that_are_not_rolled_up_yet_are_none_of_rollups(sqlite: Store, log: Path) -> None:
    with Counting(sqlite.open(), log) as counting:
        counting.count(Read(write(log, OLD)))
        counting.count(Read(write(log, OLD + NEW), start=len(OLD), begun=0), roll_up=False)
    assert_agrees(verified(sqlite.open()))


NOW = int(time.time())
MIXED = (
    parsed_log.SKIPPED
    + parsed_line(NOW - 100_000, "a", "/a", 0, "", "GET", 12, [Mended.STATUS, Mended.DURATION])
    + parsed_log.REJECTED
    + parsed_line(NOW, "a", "/a", 999, "0.5", mended=[Mended.DURATION])
    + parsed_log.SKIPPED
    + parsed_line(NOW, "b", "/b", 200, "0.25")
)


def count_mixed(store: Store, log: Path) -> None:
    write(log, MIXED)
    with Counting(store.open(), log, parse=parsed_log.parse) as counting:
        counting.count(Read(log))


def test_what_was_skipped_and_mended_is_counted_anew(store: Store, log: Path) -> None:
    count_mixed(store, log)
    result = verified(store.open(), parse=parsed_log.parse)
    assert_agrees(result)
    counts = "lines 6, requests 3, rejected 1 (fields 1), skipped 2, mended (duration 2, status 1)"
    assert result.lines_to_print() == [f"All agree: {counts}, customers 2, days 2."]


def test_another_count_of_what_was_skipped_or_mended_is_shown(sqlite: Store, log: Path) -> None:
    count_mixed(sqlite, log)
    storage = sqlite.open()
    storage.acquire()
    row = decode_log("log", storage.read_logs()[0]["log"])
    wrong = structs.replace(row, skipped=1, mended=Counter({Mended.DURATION: 3, Mended.ENCODING: 1}))
    storage.write({LogKey("log"): encode_log(wrong)})
    storage.close()
    result = verified(sqlite.open(), parse=parsed_log.parse)
    assert [difference[2:] for difference in result.differences] == [
        ("lines skipped", 2, 1),
        ("mended: duration", 2, 3),
        ("mended: status", 1, 0),
        ("mended: encoding", 0, 1),
    ]
    assert result.status == 1


def test_a_request_without_a_status_is_told_by_that(sqlite: Store, log: Path) -> None:
    def parse(data: bytes, offset: int = 0, oldest_day: int = 0, latest_second: int = LAST_SECOND) -> Parsed:
        return parsed_log.parse(data.replace(b'"status": 0', b'"status": 7'), offset)

    count_mixed(sqlite, log)
    result = verified(sqlite.open(), parse=parse)
    assert result.status == 1
    assert {"requests without a status", "requests with status 7"} <= {one.figure for one in result.differences}


@pytest.mark.parametrize("lost", [1, 2])
def test_lines_of_which_the_parser_says_nothing_are_told(sqlite: Store, log: Path, lost: int) -> None:
    def parse(data: bytes, offset: int = 0, oldest_day: int = 0, latest_second: int = LAST_SECOND) -> Parsed:
        parsed = parsed_log.parse(data, offset)
        return parsed._replace(skipped=parsed.skipped[lost:])

    write(log, MIXED)
    with Counting(sqlite.open(), log, parse=parse) as counting:
        counting.count(Read(log))
    result = verified(sqlite.open(), parse=parse)
    assert result.status == 1
    assert f"{lost} lines are neither requests, nor rejected, nor skipped." in result.lines_to_print()
