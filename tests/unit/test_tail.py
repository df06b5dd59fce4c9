"""Following a log through each kind of rotation: no line is lost, and none handed on twice."""

import gzip
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from following import START, Follower, Line, Rotating, lines_of
from log_processor import tail as tail_module
from log_processor.collector import READ_BYTES
from log_processor.fingerprint import Fingerprint
from request_log.line import MAX_LINE_BYTES
from storage.contract import Position

A, B, C, D = (b"".join(b"%s%d " % (name, n) * 9 + b"\n" for n in range(5)) for name in (b"a", b"b", b"c", b"d"))

Follow = Callable[..., Follower]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tail_module, "monotonic", clock)
    return clock


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "clock" not in request.fixturenames:
        monkeypatch.setattr(tail_module, "QUIET_SECONDS", 0)
        monkeypatch.setattr(tail_module, "CHECK_SECONDS", 0)


@pytest.fixture
def log(tmp_path: Path) -> Rotating:
    return Rotating(tmp_path / "log")


@pytest.fixture
def follow(log: Rotating) -> Iterator[Follow]:
    """Follow the log from a place on, until the test ends."""
    with ExitStack() as stack:

        def begin(position: Position = START, fingerprint: str = "") -> Follower:
            follower = Follower(log.path, position, fingerprint)
            stack.callback(follower.close)
            return follower

        yield begin


def lines(*generations: bytes, since: Position = START) -> dict[Position, Line]:
    """Each line of these generations, at its position."""
    found = {place: line for number, data in enumerate(generations) for place, line in lines_of(data, number).items()}
    return {place: line for place, line in found.items() if place >= since}


def following(log: Rotating, follow: Follow, data: bytes = A) -> Follower:
    """One who has read this log."""
    log.write(data)
    follower = follow().drain()
    assert follower.lines == lines(data)
    return follower


class TestRename:
    def test_the_new_file_is_the_next_generation(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename()
        log.write(B)
        assert follower.drain().lines == lines(A, B)
        assert follower.gaps == []

    def test_what_came_before_it_and_was_not_read_is_read_first(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow, A)
        log.write(B)
        log.rename()
        log.write(C)
        assert follower.drain().lines == lines(A + B, C)

    def test_the_writer_goes_on_with_the_renamed_file(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename()
        log.write(B, log.rotated(1))
        follower.drain()
        log.write(b"")  # logrotate has made the new one
        log.write(C, log.rotated(1))
        follower.drain()
        log.write(D)
        assert follower.drain().lines == lines(A + B + C, D)

    def test_the_renamed_file_is_left_when_it_has_been_quiet_for_a_second(
        self, log: Rotating, follow: Follow, clock: Clock
    ) -> None:
        log.write(A)
        follower = follow().drain()
        log.rename()
        log.write(C)
        clock.now += 0.9
        log.write(B, log.rotated(1))
        follower.drain()
        clock.now += 0.9
        assert follower.drain().lines == lines(A + B)
        clock.now += 0.2
        assert follower.drain().lines == lines(A + B, C)

    def test_there_is_no_new_file_for_a_while(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename()
        follower.drain()
        log.write(B)
        assert follower.drain().lines == lines(A, B)

    def test_twice_and_there_is_no_new_file_yet(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename()
        log.write(B)
        log.rename()
        assert follower.drain().lines == lines(A, B)
        assert follower.gaps == []

    @pytest.mark.parametrize("live", [True, False])
    def test_several_times_while_nobody_followed(self, log: Rotating, follow: Follow, live: bool) -> None:
        follower = following(log, follow)
        log.write(B)
        for data in (C, D):
            log.rename()
            log.write(data)
        log.rename()
        log.write(A)
        since = START if live else follower.place[0]
        if not live:
            follower = follow(*follower.place)
        assert follower.drain().lines == lines(A + B, C, D, A, since=since)
        assert follower.gaps == []

    @pytest.mark.parametrize(
        "names", [["-20261122", "-20261123"], ["-2026112322", "-2026112323"], [".2026-11-22_23", ".2026-11-23_00"]]
    )
    def test_to_names_with_dates(self, log: Rotating, follow: Follow, names: list[str]) -> None:
        follower = following(log, follow)
        for name, data in zip(names, (B, C), strict=True):
            log.path.rename(f"{log.path}{name}")
            log.write(data)
        assert follow(START, follower.places[1][1]).drain().lines == lines(A, B, C)

    def test_to_a_name_of_another_kind_than_before(self, log: Rotating, follow: Follow) -> None:
        log.write(D, log.path.with_name("log-20261001"))
        log.write(A)
        follower = follow().drain()
        log.rename()
        log.write(B)
        assert follower.drain().lines == lines_of(A, 0) | lines_of(B, 1)

    def test_a_tenth_time(self, log: Rotating, follow: Follow) -> None:
        log.write(A)
        place = follow().drain().places[1]
        everything = [A]
        for n in range(10):
            log.rename()
            everything.append(b"%d\n" % n)
            log.write(everything[-1])
        assert follow(*place).drain().lines == lines(*everything)

    def test_empty_files_are_no_generations(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        for data in (b"", b"", B):
            log.rename()
            log.write(data)
        assert follower.drain().lines == lines(A, B)
        assert follow(*follower.places[1]).drain().lines == lines(A, B)


class TestCopytruncate:
    def test_everything_was_read(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.copytruncate()
        log.write(B)
        assert follower.drain().lines == lines(A, B)
        assert follower.gaps == []

    @pytest.mark.parametrize("live", [True, False])
    def test_what_was_not_read_is_in_the_copy(self, log: Rotating, follow: Follow, live: bool) -> None:
        follower = following(log, follow)
        log.write(B)
        log.copytruncate()
        log.write(C)
        if not live:
            follower = follow(*follower.places[1])
        assert follower.drain().lines == lines(A + B, C)
        assert follower.gaps == []

    def test_twice_between_two_looks(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(B)
        log.copytruncate()
        log.write(C)
        log.copytruncate()
        log.write(D)
        assert follower.drain().lines == lines(A + B, C, D)
        assert follower.gaps == []

    @pytest.mark.parametrize("live", [True, False])
    def test_without_a_copy_there_is_a_gap(self, log: Rotating, follow: Follow, live: bool) -> None:
        follower = following(log, follow)
        log.write(B)
        log.replace(C[:-10])
        since = START if live else follower.place[0]
        if not live:
            follower = follow(*follower.place)
        follower.drain()
        log.write(C[-10:])
        assert follower.drain().lines == lines(A, C, since=since)
        assert [gap.position for gap in follower.gaps] == [(0, len(A))]
        assert "truncated" in follower.gaps[0].reason

    def test_a_copy_that_ends_before_what_was_read_is_not_read_again(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.copy()
        log.write(B)
        follower.drain()
        log.replace(C)
        assert follower.drain().lines == lines(A + B, C)
        assert [gap.position for gap in follower.gaps] == [(0, len(A + B))]

    def test_a_copy_that_is_still_being_made_is_not_read(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename()
        log.write(B + C)
        log.write(B, log.rotated(2))
        log.rotated(1).rename(log.rotated(3))
        log.rotated(2).rename(log.rotated(1))
        assert follower.drain().lines == lines(A, B + C)

    def test_a_line_of_which_half_was_read_is_no_line_when_the_rest_is_lost(
        self, log: Rotating, follow: Follow
    ) -> None:
        follower = following(log, follow)
        log.write(b"half")
        follower.drain()
        log.replace(B)
        assert follower.drain().lines == lines(A, B)

    def test_a_line_too_long_of_which_half_was_read_is_no_line_when_the_rest_is_lost(
        self, log: Rotating, follow: Follow
    ) -> None:
        follower = following(log, follow)
        log.write(b"half" * MAX_LINE_BYTES)
        follower.drain()
        log.replace(B)
        assert follower.drain().lines == lines(A, B)

    def test_the_file_has_grown_beyond_what_was_read(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.copy()
        log.replace(B + C)
        assert follower.drain().lines == lines(A, B + C)

    def test_the_file_is_as_long_as_it_was(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.copy()
        log.replace(B[: len(A)])
        assert follower.drain().lines == lines(A, B)
        assert len(A) == len(B)

    @pytest.mark.parametrize("live", [True, False])
    @pytest.mark.parametrize("through", [2_000, 1_981, 1_500])
    def test_a_file_that_was_cut_at_its_end_is_not_read_again(
        self, log: Rotating, follow: Follow, live: bool, through: int
    ) -> None:
        before = b"".join(b"%019d\n" % number for number in range(100))
        log.write(before + B[:100] + b"\n")
        follower = follow().drain()
        place = follower.place
        log.replace((before + B)[:through])
        after = follower if live else follow(*place)
        after.drain()
        log.write(C)
        after.drain()
        read = lines_of(before + B[:100] + b"\n", 0) | lines_of(C, 1, through)
        assert follower.lines | after.lines == read
        (gap,) = after.gaps
        assert (gap.position, gap.reason) == (place[0], "its end was cut off or changed after it was read")
        # As it would be after another restart.
        assert follow(*after.place).drain().lines == {}

    @pytest.mark.parametrize("how", ["emptied", "deleted"])
    def test_one_that_gets_the_same_lines_again_is_another(self, log: Rotating, follow: Follow, how: str) -> None:
        lines = b"".join(b"%019d\n" % number for number in range(100))
        log.write(lines)
        follower = follow().drain()
        if how == "emptied":
            log.replace(b"")
        else:
            log.path.unlink()
        follower.step()
        log.write(lines[:1_500])
        assert follower.drain().lines == lines_of(lines, 0) | lines_of(lines[:1_500], 1)

    def test_one_that_has_grown_again_is_read_from_the_next_line(self, log: Rotating, follow: Follow) -> None:
        before = b"".join(b"%019d\n" % number for number in range(100))
        log.write(before + A)
        follower = follow().drain()
        log.replace(before + B[:50] + C + D)
        follower.drain()
        content = before + B[:50] + C + D
        start = content.index(b"\n", len(before + A) - 1) + 1
        assert follower.lines == lines_of(before + A, 0) | lines_of(content[start:], 1, start)
        assert [gap.position for gap in follower.gaps] == [(0, len(before + A))]

    def test_it_is_noticed_before_the_first_line_was_handed_on(self, log: Rotating, follow: Follow) -> None:
        log.write(A)
        follower = follow()
        follower.step()
        assert follower.place[0] == START
        log.copytruncate()
        log.write(B + C)
        assert follower.drain().lines == lines(A, B + C)


class TestLost:
    def test_deleted_and_made_again(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.path.unlink()
        follower.drain()
        log.write(B)
        assert follower.drain().lines == lines(A, B)
        assert follower.gaps == []

    def test_a_deleted_file_is_read_to_its_end(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(B)
        log.path.unlink()
        log.write(C)
        assert follower.drain().lines == lines(A + B, C)

    def test_rotated_and_deleted_while_nobody_followed(self, log: Rotating, follow: Follow) -> None:
        place = following(log, follow).place
        log.write(B)
        log.path.unlink()
        log.write(C)
        follower = follow(*place).drain()
        assert follower.lines == lines_of(C, 1)
        assert [gap.position for gap in follower.gaps] == [(0, len(A))]

    @pytest.mark.parametrize("live", [True, False])
    def test_the_oldest_file_that_is_left_is_the_next(self, log: Rotating, follow: Follow, live: bool) -> None:
        follower = following(log, follow)
        for data in (B, C, D):
            log.rename()
            log.write(data)
        log.rotated(3).unlink()
        log.rotated(2).unlink()
        since = START if live else follower.place[0]
        if not live:
            follower = follow(*follower.place)
        assert follower.drain().lines == lines(A, C, D, since=since)
        assert [gap.position for gap in follower.gaps] == [(0, len(A))]

    def test_older_files_are_not_read_again(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename()
        log.write(B)
        place = follower.drain().place
        log.path.unlink()
        log.write(C)
        assert follow(*place).drain().lines == lines_of(C, 2)

    def test_older_files_are_not_read_again_though_the_clock_was_set_back(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename()
        log.write(B)
        os.utime(log.path, (1_000_000_000, 1_000_000_000))
        place = follower.drain().place
        log.path.unlink()
        log.write(C)
        assert follow(*place).drain().lines == lines_of(C, 2)

    def test_a_gap_is_handed_on_with_the_next_chunk(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.replace(B[:-1])
        assert follower.drain().place[0].generation == 1
        assert [gap.position for gap in follower.gaps] == [(0, len(A))]

    def test_what_was_compressed_before_it_was_read_is_a_gap(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        for data in (B, C):
            log.rename()
            log.write(data)
        compress(log.rotated(2))
        compress(log.rotated(1))
        assert follower.drain().lines == lines(A, C)
        assert [gap.position for gap in follower.gaps] == [(0, len(A))]
        assert "compressed" in follower.gaps[0].reason

    def test_what_was_compressed_after_it_was_read_is_none(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename()
        compress(log.rotated(1))
        log.write(B)
        assert follower.drain().lines == lines(A, B)
        place = follower.place
        log.rename()
        log.write(C)
        assert follow(*place).drain().lines == lines_of(C, 2)
        assert follower.drain().lines == lines(A, B, C)
        assert follower.gaps == []


def compress(path: Path) -> None:
    """As gzip does, which keeps the file's time."""
    with gzip.open(f"{path}.gz", "wb") as file:
        file.write(path.read_bytes())
    shutil.copystat(path, f"{path}.gz")
    path.unlink()


class TestBeginning:
    def test_the_log_is_not_there_yet(self, log: Rotating, follow: Follow) -> None:
        follower = follow().drain()
        assert follower.place[0] == START
        log.write(A)
        assert follower.drain().lines == lines(A)

    def test_nor_is_its_folder(self, tmp_path: Path) -> None:
        log = Rotating(tmp_path / "logs" / "log")
        follower = Follower(log.path).drain()
        log.path.parent.mkdir()
        log.write(A)
        assert follower.drain().lines == lines(A)
        follower.close()

    def test_the_log_came_and_was_rotated_while_nobody_followed(self, log: Rotating, follow: Follow) -> None:
        log.write(D)
        log.rename()
        place = follow().place
        log.write(A)
        log.rename()
        log.write(B)
        assert follow(*place).drain().lines == lines(A, B)

    def test_an_empty_log_was_written_and_rotated_while_nobody_followed(self, log: Rotating, follow: Follow) -> None:
        log.write(b"")
        with log.path.open("rb") as file:
            place = START, str(Fingerprint.of(file.fileno(), 0))
        log.write(A)
        log.copytruncate()
        log.write(B)
        assert follow(*place).drain().lines == lines(A, B)

    @pytest.mark.parametrize("rotate", [Rotating.rename, Rotating.copytruncate])
    def test_a_log_of_which_nothing_was_read_is_known_by_its_beginning(
        self, log: Rotating, follow: Follow, rotate: Callable[[Rotating], None]
    ) -> None:
        log.write(A)
        with log.path.open("rb") as file:
            place = START, str(Fingerprint.of(file.fileno(), 0))
        log.write(B)
        rotate(log)
        log.write(C)
        assert follow(*place).drain().lines == lines(A + B, C)

    def test_files_that_were_rotated_before_are_not_read(self, log: Rotating, follow: Follow) -> None:
        log.write(A)
        log.rename()
        log.write(B)
        assert follow().drain().lines == lines(B)


class TestStartingAgain:
    def test_at_each_place(self, log: Rotating, follow: Follow) -> None:
        """Whoever starts from a place hands on what comes after it, at the same positions as who was there."""
        long_line = b"0123456789abcdef" * (MAX_LINE_BYTES // 4)
        log.write(A)
        follower = follow()
        for _ in range(3):
            follower.step()
        log.write(B)
        log.copytruncate()
        log.write(C + b"half a line")
        follower.drain()
        log.rename()
        log.write(D)
        follower.drain()
        log.rename()
        log.write(long_line + b"\n" + A)
        follower.drain()
        log.rename()
        log.write(long_line)
        follower.drain()
        log.copytruncate()
        log.write(B)
        generations = (A + B, C + b"half a line", D, long_line + b"\n" + A, long_line, B)
        assert follower.drain().lines == lines(*generations)
        assert len(set(follower.places)) > 20
        for position, fingerprint in set(follower.places):
            again = follow(position, fingerprint).drain()
            assert again.lines == lines(*generations, since=position)
            assert again.gaps == []

    def test_files_that_begin_alike_are_told_by_their_inodes(self, log: Rotating, follow: Follow) -> None:
        header = b"date time customer path status duration\n"
        log.write(header)
        place = follow().drain().place
        log.write(A)
        log.rename()
        log.write(header + B)
        assert follow(*place).drain().lines == lines(header + A, header + B, since=place[0])

    def test_a_backup_beside_the_log_is_not_taken_for_it(self, log: Rotating, follow: Follow) -> None:
        place = following(log, follow).place
        log.copy()
        log.write(B)
        assert follow(*place).drain().lines == lines_of(B, 0, len(A))

    @pytest.mark.parametrize("live", [True, False])
    def test_a_copy_in_the_logs_place_is_gone_on_with(self, log: Rotating, follow: Follow, live: bool) -> None:
        follower = following(log, follow)
        log.put_a_copy_in_its_place()
        log.write(B)
        if not live:
            follower = follow(*follower.places[1])
        assert follower.drain().lines == lines(A + B)
        assert follower.gaps == []

    def test_what_else_bears_such_a_name_does_no_harm(self, log: Rotating, follow: Follow) -> None:
        place = following(log, follow).places[1]
        log.rotated(1).mkdir()
        os.mkfifo(log.rotated(2))
        log.rotated(3).symlink_to(log.rotated(4))
        Path(f"{log.path}.5.gz").write_bytes(A)
        Path(f"{log.path}.old").write_bytes(A)
        assert follow(*place).drain().lines == lines(A)


class TestLines:
    def test_ends_of_lines(self, log: Rotating, follow: Follow) -> None:
        following(log, follow, b"\n\r\n\r\r\na\r\nb\n\n\xff\xfe\x00\n")

    def test_a_half_line_is_waited_for(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        for byte in B:
            log.write(bytes([byte]))
            follower.step()
        assert follower.drain().lines == lines(A + B)

    @pytest.mark.parametrize("live", [True, False])
    def test_the_last_line_of_a_generation_needs_no_newline(self, log: Rotating, follow: Follow, live: bool) -> None:
        follower = following(log, follow)
        log.write(b"half a line")
        follower.drain()
        log.rename()
        if not live:
            follower = follow(*follower.places[1])
        log.write(B)
        assert follower.drain().lines == lines(A + b"half a line", B)

    def test_a_long_line_is_not_held(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        piece = b"0123456789abcdef" * 4_000
        for _ in range(40):
            log.write(piece)
            follower.step()
            assert len(follower.tail.buffer) <= len(piece) + MAX_LINE_BYTES
        log.write(b"\r\n" + B)
        assert follower.drain().lines == lines(A + 40 * piece + b"\r\n" + B)

    def test_a_long_line_that_comes_at_once_is_not_held(self, log: Rotating, follow: Follow) -> None:
        line = b"x" * (3 * READ_BYTES + 5) + b"\n"
        log.write(A + line + b"y" * 2 * READ_BYTES + b"\n" + B)
        follower = follow()
        for _ in range(12):
            follower.step()
            assert len(follower.tail.buffer) < 2 * READ_BYTES
        assert follower.drain().lines == lines(A + line + b"y" * 2 * READ_BYTES + b"\n" + B)

    def test_a_long_line_is_read_from_its_beginning_after_a_restart(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(b"x" * 2 * MAX_LINE_BYTES)
        follower.drain()
        again = follow(*follower.place).drain()
        log.write(b"y\n" + B)
        rest = lines_of(b"x" * 2 * MAX_LINE_BYTES + b"y\n" + B, 0, len(A))
        assert again.drain().lines == rest
        assert follower.drain().lines == lines(A) | rest

    @pytest.mark.parametrize("rotate", [Rotating.rename, Rotating.copytruncate])
    def test_a_long_line_goes_on_in_a_rotated_file(
        self, log: Rotating, follow: Follow, rotate: Callable[[Rotating], None]
    ) -> None:
        follower = following(log, follow)
        line = b"x" * 2 * MAX_LINE_BYTES
        log.write(line)
        follower.drain()
        log.write(b"y\n")
        rotate(log)
        log.write(B)
        assert follower.drain().lines == lines(A + line + b"y\n", B)

    def test_a_long_line_is_the_last_of_its_generation(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(b"x" * 2 * MAX_LINE_BYTES)
        follower.drain()
        log.rename()
        log.write(B)
        assert follower.drain().lines == lines(A + b"x" * 2 * MAX_LINE_BYTES, B)


class TestBytesBehind:
    def test_of_the_log(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        assert (follower.tail.size, follower.tail.bytes_behind) == (len(A), 0)
        log.write(b"half a line")
        follower.drain()
        assert (follower.tail.size, follower.tail.bytes_behind) == (len(A) + 11, 11)

    def test_of_the_files_that_are_still_to_come(self, log: Rotating, follow: Follow) -> None:
        follower = following(log, follow)
        for data in (B, C + C):
            log.rename()
            log.write(data)
        log.write(D, log.rotated(2))
        assert follower.tail.bytes_behind == len(D + B + C + C)
        assert follower.drain().tail.bytes_behind == 0

    def test_where_there_is_no_file(self, log: Rotating, follow: Follow) -> None:
        follower = follow()
        assert (follower.tail.size, follower.tail.bytes_behind) == (0, 0)
