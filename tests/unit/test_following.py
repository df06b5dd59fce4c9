"""Following a log while its files are rotated, changed and deleted: each line is handed on once."""

import errno
import gzip
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from following import DAY, GRACE, QUIET, Follower, Line, Log, Time, lines_of
from log_processor.following import family
from log_processor.following.collector import READ_BYTES
from request_log.line import MAX_LINE_BYTES

A, B, C, D = (b"".join(b"%s%d " % (name, n) * 9 + b"\n" for n in range(5)) for name in (b"a", b"b", b"c", b"d"))
HEADER = b"#Fields: date time customer path status duration\n"

Follow = Callable[..., Follower]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def log(tmp_path: Path, time: Time) -> Log:
    return Log(tmp_path / "log", time)


@pytest.fixture
def follow(log: Log, time: Time) -> Iterator[Follow]:
    """Follow the log until the test ends. `after`: the follower that the new one succeeds."""
    with ExitStack() as stack:

        def begin(after: Follower | None = None, **how: Any) -> Follower:
            if after is not None:
                after.close()
            follower = Follower(log.path, time, after.stored if after is not None else None, **how)
            stack.callback(follower.close)
            return follower

        yield begin


def of(*files: bytes) -> Counter[Line]:
    """The lines of these files."""
    return Counter(line for data in files for line in lines_of(data).values())


def assert_read(follower: Follower, *files: bytes, gaps: list[str] | None = None) -> None:
    """Assert that the follower has handed on the lines of these files, each once, and noted these gaps."""
    assert Counter(follower.texts) == of(*files)
    assert follower.gaps == (gaps or [])


def following(log: Log, follow: Follow, data: bytes = A) -> Follower:
    """A follower that has read this log."""
    log.write(data)
    follower = follow().drain()
    assert_read(follower, data)
    return follower


class TestRename:
    def test_the_new_file_is_read(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename("log.1")
        log.write(B)
        assert_read(follower.drain(), A, B)

    def test_unread_lines_are_read_under_the_new_name(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(B)
        log.rename("log.1")
        log.write(C)
        assert_read(follower.drain(), A, B, C)

    @pytest.mark.parametrize("seconds", [0, 3, QUIET])
    def test_the_writer_goes_on_with_the_renamed_file(self, log: Log, follow: Follow, seconds: float) -> None:
        follower = following(log, follow)
        log.rename("log.1")
        log.write(B)
        follower.pass_time(seconds)
        log.write(C, "log.1")
        log.write(D)
        assert_read(follower.pass_time(seconds), A, B, C, D)

    def test_the_renamed_file_has_grown_while_it_was_not_followed(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename("log.1")
        log.write(B)
        follower.pass_time(QUIET)
        log.write(C, "log.1")
        assert_read(follow(follower).drain(), A, B, C)

    def test_there_is_no_new_file_for_a_while(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename("log.1")
        follower.pass_time(QUIET)
        log.write(B)
        assert_read(follower.drain(), A, B)

    @pytest.mark.parametrize("is_followed", [True, False])
    @pytest.mark.parametrize(
        "names",
        [
            pytest.param(["log.9", "log.10"], id="count"),
            pytest.param(["log.2", "log.1"], id="count down"),
            pytest.param(["log.2026-11-28.9", "log.2026-11-28.10"], id="date and count"),
            pytest.param(["log-20261127", "log-20261128"], id="date"),
            pytest.param(["log-2026112723", "log-1795450001"], id="hour and Unix time"),
        ],
    )
    def test_several_times_between_two_looks(
        self, log: Log, follow: Follow, names: list[str], is_followed: bool
    ) -> None:
        follower = following(log, follow)
        for name, data in zip(names, (B, C), strict=True):
            log.write(D)
            log.rename(name)
            log.write(data)
        follower = follower if is_followed else follow(follower)
        assert_read(follower.drain(), A, D, B, D, C)

    @pytest.mark.parametrize(
        "name",
        ["app-2026-11-28T10-00-00.000.log", "app__2026-11-28_00-00-00.log", "app.1.log", "app-20261128.log"],
    )
    @pytest.mark.parametrize("is_followed", [True, False])
    def test_to_a_name_with_the_same_ending(self, tmp_path: Path, time: Time, name: str, is_followed: bool) -> None:
        log = Log(tmp_path / "app.log", time)
        log.write(A)
        follower = Follower(log.path, time).drain()
        log.write(B)
        log.rename(name)
        log.write(C)
        if not is_followed:
            follower.close()
            follower = Follower(log.path, time, follower.stored)
        assert_read(follower.drain(), A, B, C)
        follower.close()

    def test_into_another_folder(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(B)
        log.rename("old/log-20261128")
        log.write(C)
        follower.drain()
        log.write(D, "old/log-20261128")
        assert_read(follower.drain(), A, B, C, D)
        log.write(D, "old/log-20261128")
        assert_read(follow(follower).drain(), A, B, C, D, D)

    def test_empty_files_are_no_matter(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        for data in (b"", b"", B):
            log.shift()
            log.write(data)
        assert_read(follower.drain(), A, B)
        assert_read(follow(follower).drain(), A, B)


class TestCopytruncate:
    @pytest.mark.parametrize("is_followed", [True, False])
    @pytest.mark.parametrize("unread", [b"", B])
    def test_unread_lines_are_read_in_the_copy(
        self, log: Log, follow: Follow, unread: bytes, is_followed: bool
    ) -> None:
        follower = following(log, follow)
        log.write(unread)
        log.copytruncate("log.1")
        log.write(C)
        follower = follower if is_followed else follow(follower)
        assert_read(follower.drain(), A, unread, C)

    def test_twice_between_two_looks(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(B)
        log.copytruncate("log-20261127")
        log.write(C)
        log.copytruncate("log-20261128")
        log.write(D)
        assert_read(follower.drain(), A, B, C, D)

    @pytest.mark.parametrize("more", [b"", C + D])
    def test_the_copy_was_compressed_before_a_look(self, log: Log, follow: Follow, more: bytes) -> None:
        follower = following(log, follow)
        log.write(B)
        log.copytruncate("log.1")
        log.compress("log.1")
        log.write(C + more)
        assert_read(follower.drain(), A, B, C, more)

    @pytest.mark.parametrize("is_followed", [True, False])
    def test_the_writer_leaves_a_hole(self, log: Log, follow: Follow, is_followed: bool) -> None:
        follower = following(log, follow)
        log.copytruncate("log.1")
        log.write(b"\0" * len(A) + B)
        follower = follower if is_followed else follow(follower)
        assert_read(follower.drain(), A, B)
        log.copytruncate("log.2")
        log.write(b"\0" * (1 << 16) + C)
        assert_read(follower.drain(), A, B, C)

    def test_without_a_copy_there_is_a_gap(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(B)
        log.replace(C)
        assert_read(follower.drain(), A, C, gaps=[family.TRUNCATED])

    def test_a_copy_that_is_being_made_is_not_read(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow, A + B)
        log.replace(A + B[:10], "log.1")
        assert_read(follower.drain(), A, B)
        log.write(B[10:], "log.1")
        log.replace(C)
        assert_read(follower.drain(), A, B, C)

    def test_a_copy_of_less_than_was_read_is_not_read(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.copy("log.1")
        log.write(B)
        follower.drain()
        log.replace(C)
        assert_read(follower.drain(), A, B, C, gaps=[family.TRUNCATED])

    def test_a_copy_is_read_where_its_original_changed_before_it_was(self, log: Log, follow: Follow) -> None:
        follower = follow()
        log.write(A + B)
        follower.step()
        log.replace(A, "log.1")
        follower.look()
        log.replace(HEADER)
        assert_read(follower.pass_time(QUIET), A, HEADER, gaps=[family.TRUNCATED])

    def test_half_a_line_whose_rest_is_lost_is_not_handed_on(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(b"half")
        follower.drain()
        log.replace(B)
        assert_read(follower.drain(), A, B, gaps=[family.TRUNCATED])

    def test_a_long_line_whose_rest_is_lost_is_not_handed_on(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(b"half" * MAX_LINE_BYTES)
        follower.drain()
        log.replace(B)
        assert_read(follower.drain(), A, B, gaps=[family.TRUNCATED])


class TestInItsPlace:
    """The log's path stays, and the bytes there change."""

    @pytest.mark.parametrize("is_followed", [True, False])
    @pytest.mark.parametrize("through", [2_000, 1_981, 1_500])
    def test_a_file_that_was_cut_at_its_end_is_not_read_again(
        self, log: Log, follow: Follow, through: int, is_followed: bool
    ) -> None:
        before = b"".join(b"%019d\n" % number for number in range(100)) + B[:100] + b"\n"
        follower = following(log, follow, before)
        log.replace(before[:through])
        follower = follower if is_followed else follow(follower)
        follower.pass_time(GRACE)
        log.write(C)
        assert_read(follower.drain(), before, C, gaps=[family.CUT])
        assert_read(follow(follower).drain(), before, C, gaps=[family.CUT])

    def test_a_file_of_which_nothing_was_read_is_known_by_its_first_bytes(self, log: Log, follow: Follow) -> None:
        versions = [HEADER + b"1\n\n", HEADER + b"2\n\n", HEADER + b"\n", HEADER + B, HEADER + b"0 1 2 3 4 5 6 7 8 9\n"]
        follower = following(log, follow, versions[0])
        for version in versions[1:]:
            log.replace(version)
            follower.pass_time(GRACE)
        assert of(*versions) >= Counter(follower.texts)

    @pytest.mark.parametrize("how", ["emptied", "deleted"])
    def test_a_file_that_gets_the_same_lines_again_is_another_file(self, log: Log, follow: Follow, how: str) -> None:
        follower = following(log, follow)
        if how == "emptied":
            log.replace(b"")
        else:
            log.path.unlink()
        follower.pass_time(6)
        log.write(B + A)
        assert_read(follower.drain(), A, B, A, gaps=[family.TRUNCATED] if how == "emptied" else [])

    def test_a_file_that_is_seen_empty_is_read_from_its_beginning(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow, HEADER + A)
        log.replace(b"")
        follower.pass_time(GRACE)
        log.write(HEADER + B)
        assert_read(follower.drain(), HEADER, A, HEADER, B, gaps=[family.TRUNCATED])

    def test_a_file_that_has_grown_again_is_read_from_a_new_line(self, log: Log, follow: Follow) -> None:
        before = b"".join(b"%019d\n" % number for number in range(100))
        follower = following(log, follow, before + A)
        log.replace(before + B[:50] + C + D)
        content = before + B[:50] + C + D
        follower.pass_time(GRACE)
        assert set(follower.texts) >= set(of(before, A, D))
        assert not Counter(follower.texts) - of(before, A, B[:50] + C, D)
        assert follower.gaps == [family.CUT]
        assert content.endswith(D)

    def test_a_header_that_is_written_anew(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow, HEADER + A)
        log.copy("log.1")
        log.replace(HEADER + B)
        assert_read(follower.drain(), HEADER, A, HEADER, B)

    def test_a_file_that_goes_on_is_read_from_the_beginning_of_a_line(self, log: Log, follow: Follow) -> None:
        follower = follow()
        log.write(HEADER + A)
        follower.step()
        # The new content is read from the place where it parts from the old one.
        log.put_a_copy_in_its_place()
        log.write(B)
        follower.drain()
        log.replace(HEADER[:20] + b"\n" + HEADER * 20)
        follower.pass_time(GRACE)
        assert set(follower.texts) <= set(of(HEADER, A, B, HEADER[:20]))

    def test_a_copy_in_its_place_is_read_on(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.put_a_copy_in_its_place()
        log.write(B)
        assert_read(follower.drain(), A, B)
        log.put_a_copy_in_its_place()
        log.write(C)
        follower = follow(follower).drain()
        assert_read(follower, A, B, C)

    def test_a_copy_in_the_place_of_an_unread_file_is_read_once(self, log: Log, follow: Follow) -> None:
        follower = follow()
        log.write(A)
        follower.step()
        log.put_a_copy_in_its_place()
        log.write(B)
        assert_read(follower.pass_time(6), A, B)

    def test_the_writer_goes_on_with_the_file_that_was_replaced(self, log: Log, follow: Follow, tmp_path: Path) -> None:
        """Such a file is left by `sed -i`."""
        follower = following(log, follow)
        with log.path.open("ab") as writer:
            log.put_a_copy_in_its_place()
            writer.write(B)
            writer.flush()
            log.write(C)
            for _ in range(4):
                follower.step()
            writer.write(D)
            writer.flush()
            assert_read(follower.drain(), A, B, C, D)
        assert_read(follower.pass_time(6), A, B, C, D)

    def test_half_a_line_that_the_copy_continues_is_read_once(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(b"half")
        follower.drain()
        log.put_a_copy_in_its_place()
        follower.pass_time(6)
        log.write(b" and half\n")
        assert_read(follower.pass_time(6), A, b"half and half\n")

    def test_a_rotated_file_is_replaced(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename("old/log-20261128")
        log.write(B)
        follower.drain()
        log.put_a_copy_in_its_place("old/log-20261128")
        log.write(C, "old/log-20261128")
        assert_read(follower.drain(), A, B, C)

    def test_a_copy_was_put_in_its_place_twice(self, log: Log, follow: Follow) -> None:
        """Nothing was read of the second file."""
        follower = following(log, follow)
        log.put_a_copy_in_its_place()
        follower.drain()
        log.rename("log.1")
        follower.drain()
        log.put_a_copy_in_its_place("log.1")
        log.write(B, "log.1")
        assert_read(follower.pass_time(QUIET), A, B)


class TestCompressed:
    @pytest.mark.parametrize("removes", [True, False])
    @pytest.mark.parametrize("is_followed", [True, False])
    def test_lines_that_were_read_are_not_read_again(
        self, log: Log, follow: Follow, is_followed: bool, removes: bool
    ) -> None:
        follower = following(log, follow)
        log.rename("log.1")
        log.write(B)
        if is_followed:
            follower.drain()
        log.compress("log.1", removes)
        follower = follower if is_followed else follow(follower)
        assert_read(follower.pass_time(QUIET), A, B)
        assert_read(follow(follower).pass_time(QUIET), A, B)

    def test_unread_lines_are_read_from_where_the_file_was_left(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(B + b"half a line")
        log.rename("log.1")
        log.compress("log.1")
        log.write(C)
        assert_read(follow(follower).drain(), A, B, b"half a line", C)

    def test_a_compressed_file_that_was_begun_is_read_on_after_a_restart(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename("log.1")
        log.write(B)
        log.write(C, "log.2")
        log.compress("log.2")
        for _ in range(3):
            follower.step()
        follower.commit()
        assert_read(follow(follower).drain(), A, B, C)

    @pytest.mark.parametrize("text", [b"b\n", B * 100], ids=["smaller than its file", "larger than its file"])
    def test_a_compressed_file_that_was_read_and_is_gone_after_a_restart_is_no_gap(
        self, log: Log, follow: Follow, text: bytes
    ) -> None:
        follower = following(log, follow)
        log.write(text, "log.1")
        log.compress("log.1")
        # Only the lines are committed, not what the next step tells of the file.
        while Counter(follower.texts) != of(A, text):
            follower.commit()
            follower.step()
        follower.commit()
        log.at("log.1.gz").unlink()
        assert_read(follow(follower).pass_time(GRACE), A, text)

    def test_a_compressed_file_that_was_begun_and_is_gone_after_a_restart_is_a_gap(
        self, log: Log, follow: Follow
    ) -> None:
        follower = following(log, follow)
        line = b"b" * (MAX_LINE_BYTES // 2) + b"\n"
        log.write(line * (3 * READ_BYTES // len(line)), "log.1")
        log.compress("log.1")
        while Counter(follower.texts) == of(A):
            follower.step()
            follower.commit()
        log.at("log.1.gz").unlink()
        assert follow(follower).pass_time(GRACE).gaps == [family.DELETED]

    def test_a_compressed_file_that_is_being_written_is_waited_for(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        packed = gzip.compress(B)
        log.replace(packed[:20], "log.1.gz")
        assert_read(follower.drain(), A)
        log.replace(packed, "log.1.gz")
        assert_read(follower.drain(), A, B)

    def test_a_file_that_cannot_be_decompressed_is_logged_once(
        self, log: Log, follow: Follow, capsys: pytest.CaptureFixture[str]
    ) -> None:
        follower = following(log, follow)
        log.write(gzip.compress(B)[:20], "log.1.gz")
        log.write(b"\x04\x22\x4d\x18", "log.2.lz4")
        follower.pass_time(QUIET)
        log.write(C)
        assert_read(follower.pass_time(QUIET), A, C)
        said = capsys.readouterr().out
        reasons = {"log.1.gz": "it cannot be decompressed", "log.2.lz4": "its compression is not supported"}
        assert [said.count(f"{name} reason='{reason}'") for name, reason in reasons.items()] == [1, 1]

    def test_a_file_that_has_grown_since_it_was_closed(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename("log.1")
        follower.pass_time(QUIET)
        log.write(B, "log.1")
        follower.pass_time(QUIET)
        log.compress("log.1", removes=False)
        follower.pass_time(QUIET)
        assert_read(follow(follower).pass_time(QUIET), A, B)

    def test_a_compressed_file_that_was_put_in_the_place_of_another(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.put_a_copy_in_its_place()
        log.write(B)
        follower.pass_time(QUIET)
        log.rename("log.1")
        log.compress("log.1", removes=False)
        follower.pass_time(QUIET)
        assert_read(follow(follower).pass_time(QUIET), A, B)
        log.at("log.1").unlink()
        assert_read(follow(follower).pass_time(QUIET), A, B)

    def test_a_copy_of_a_file_that_is_compressed_already(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename("log.1")
        log.write(B)
        log.compress("log.1")
        follower.pass_time(QUIET)
        log.write(A, "log.2")
        log.compress("log.2")
        log.write(A + C, "log.3")
        log.compress("log.3")
        assert_read(follower.pass_time(QUIET), A, B, C)

    def test_a_copy_of_a_file_that_is_gone_is_read(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.rename("log.1")
        log.write(B)
        follower.drain()
        log.compress("log.1", removes=False)
        follower.drain()
        log.write(C, "log.1")
        log.compress("log.1")
        assert_read(follow(follower).drain(), A, B, C)


class TestLinks:
    def test_a_hard_link_is_the_same_file(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.at("log.1").hardlink_to(log.path)
        log.write(B)
        assert_read(follower.drain(), A, B)
        log.path.unlink()
        log.write(C)
        assert_read(follow(follower).drain(), A, B, C)

    @pytest.mark.parametrize("is_followed", [True, False])
    @pytest.mark.parametrize("folder", ["", "elsewhere/"])
    def test_a_link_is_switched(self, log: Log, follow: Follow, folder: str, is_followed: bool) -> None:
        log.at(folder or "log").parent.mkdir(exist_ok=True)
        log.at("elsewhere").mkdir(exist_ok=True)
        log.write(A, f"{folder}log-20261127")
        log.path.symlink_to(f"{folder}log-20261127")
        follower = follow().drain()
        assert_read(follower, A)
        log.write(B, f"{folder}log-20261127")
        log.write(C, f"{folder}log-20261128")
        log.path.unlink()
        log.path.symlink_to(f"{folder}log-20261128")
        follower = follower if is_followed else follow(follower)
        assert_read(follower.pass_time(GRACE), A, B, C)

    def test_the_target_of_a_link_is_rotated(self, log: Log, follow: Follow) -> None:
        log.at("elsewhere").mkdir()
        log.write(A, "elsewhere/real")
        log.path.symlink_to("elsewhere/real")
        follower = follow().drain()
        log.write(B, "elsewhere/real")
        log.rename("elsewhere/real.1", "elsewhere/real")
        log.write(C, "elsewhere/real")
        assert_read(follow(follower).drain(), A, B, C)


class TestEqualBeginnings:
    @pytest.mark.parametrize("is_followed", [True, False])
    def test_files_that_begin_with_the_same_header(self, log: Log, follow: Follow, is_followed: bool) -> None:
        follower = following(log, follow, HEADER)
        log.write(A)
        log.rename("log.1")
        log.write(HEADER + B)
        follower = follower if is_followed else follow(follower)
        assert_read(follower.drain(), HEADER, A, HEADER, B)

    def test_a_shorter_file_with_the_same_header(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow, HEADER + A)
        log.write(HEADER + b"b\n", "log.1")
        assert_read(follower.drain(), HEADER, A, HEADER, b"b\n")

    def test_files_of_one_equal_line_beside_each_other(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow, HEADER)
        log.rename("log.1")
        log.write(HEADER)
        assert_read(follower.drain(), HEADER, HEADER)
        log.shift()
        log.write(HEADER)
        assert_read(follower.drain(), HEADER, HEADER, HEADER)

    def test_files_that_begin_with_zeros(self, log: Log, follow: Follow) -> None:
        log.write(b"\0" * 5000)
        follower = follow().drain()
        log.write(A)
        follower.drain()
        log.rename("log.1")
        log.write(b"\0" * 5000 + B)
        assert_read(follower.drain(), A, B)


class TestGone:
    def test_a_deleted_file_is_read_to_its_end(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(B + b"half a line")
        log.path.unlink()
        log.write(C)
        assert_read(follower.pass_time(6), A, B, b"half a line", C)

    def test_a_file_that_changed_before_it_was_deleted_is_read(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.replace(B)
        log.path.unlink()
        assert_read(follower.pass_time(6), A, B, gaps=[family.TRUNCATED])

    def test_the_log_was_deleted_while_it_was_not_followed(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.path.unlink()
        log.write(B)
        assert_read(follow(follower).pass_time(GRACE), A, B, gaps=[family.DELETED])

    @pytest.mark.parametrize("unread", [b"", B])
    def test_a_rotated_file_was_deleted_while_it_was_not_followed(
        self, log: Log, follow: Follow, unread: bytes
    ) -> None:
        follower = following(log, follow)
        log.rename("log.1")
        log.write(C)
        follower.drain()
        log.write(unread, "log.1")
        follower.look()
        log.at("log.1").unlink()
        follower.close()
        assert_read(follow(follower).pass_time(GRACE), A, C)


class TestBeginning:
    def test_the_log_is_not_there_yet_nor_is_its_folder(self, tmp_path: Path, time: Time) -> None:
        log = Log(tmp_path / "logs" / "log", time)
        follower = Follower(log.path, time, scratch=tmp_path / "spool").drain()
        log.path.parent.mkdir()
        log.write(A)
        assert_read(follower.drain(), A)
        follower.close()

    @pytest.mark.parametrize("start", ["end", "beginning"])
    def test_files_that_were_rotated_before_are_not_read(self, log: Log, follow: Follow, start: str) -> None:
        log.write(A)
        log.compress("log", removes=False)
        log.rename("log.2.gz", "log.gz")
        log.rename("log.1")
        log.write(B + b"half")
        follower = follow(start=start).drain()
        log.write(b" and half\n")
        log.write(C, "log.1")
        read = [b"half and half\n"] if start == "end" else [B, b"half and half\n"]
        assert_read(follow(follower).drain(), *read, C)

    def test_the_log_came_and_was_rotated_while_it_was_not_followed(self, log: Log, follow: Follow) -> None:
        follower = follow().drain()
        log.write(A)
        log.rename("log.1")
        log.write(B)
        assert_read(follow(follower).drain(), A, B)

    def test_dated_files_without_a_log(self, tmp_path: Path, time: Time) -> None:
        log = Log(tmp_path / "app.log", time)
        log.write(A, "app-20261126.log")
        log.write(B, "app-20261127.log")
        follower = Follower(tmp_path / "app-*.log", time).drain()
        assert_read(follower, B)
        log.write(C, "app-20261127.log")
        log.write(D, "app-20261128.log")
        log.write(C, "app-20261127.log")
        assert_read(follower.drain(), B, C, C, D)
        follower.close()
        again = Follower(tmp_path / "app-*.log", time, follower.stored)
        log.write(A, "app-20261127.log")
        assert_read(again.drain(), B, C, C, D, A)
        again.close()

    def test_other_files_beside_the_log_do_no_harm(self, log: Log, follow: Follow) -> None:
        log.at("log.1").mkdir()
        os.mkfifo(log.at("log.2"))
        log.at("log.3").symlink_to(log.at("log.4"))
        log.write(B, "log.old")
        log.write(B, "log.8080")
        follower = following(log, follow)
        log.write(B)
        assert_read(follower.drain(), A, B)


class TestStartingAgain:
    def test_after_each_commit(self, log: Log, follow: Follow) -> None:
        """A successor that goes on from a commit hands on the lines that the first follower would have handed on."""
        follower = follow()
        places = []

        def go_on(*what: Callable[[], None]) -> None:
            for happens in what:
                happens()
                for _ in range(4):
                    follower.step()
                    follower.commit()
                    places.append(follower.stored)

        long_line = b"0123456789abcdef" * (MAX_LINE_BYTES // 4)
        go_on(lambda: log.write(A), lambda: log.write(B), log.shift, lambda: log.write(C + b"half a line"))
        go_on(lambda: log.copytruncate("log.9"), lambda: log.write(long_line + b"\n" + D), log.shift)
        go_on(lambda: log.write(HEADER), log.shift, lambda: log.write(A))
        follower.pass_time(DAY)
        everything = A, B, C, b"half a line", long_line, D, HEADER, A
        assert_read(follower, *everything)
        follower.close()
        assert len({str(stored.files) for stored in places}) > 12
        for stored in places:
            again = Follower(log.path, follower.time, stored).pass_time(DAY)
            again.close()
            assert_read(again, *everything)


class TestLines:
    def test_ends_of_lines(self, log: Log, follow: Follow) -> None:
        following(log, follow, b"\n\r\n\r\r\na\r\nb\n\n\xff\xfe\x00\n")

    def test_half_a_line_is_waited_for(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        for byte in B:
            log.write(bytes([byte]))
            follower.step()
        assert_read(follower.drain(), A, B)

    @pytest.mark.parametrize("is_followed", [True, False])
    def test_half_a_line_at_the_end_of_a_rotated_file_is_one_after_a_day(
        self, log: Log, follow: Follow, is_followed: bool
    ) -> None:
        follower = following(log, follow)
        log.write(b"half a line")
        follower.drain()
        log.rename("log.1")
        log.write(B + b"half")
        follower.pass_time(QUIET)
        assert_read(follower, A, B)
        follower = follower if is_followed else follow(follower)
        assert_read(follower.pass_time(DAY), A, B, b"half a line")
        log.write(C, "log.1")
        assert_read(follower.pass_time(QUIET), A, B, b"half a line", C)

    def test_zeros_at_the_end_may_be_bytes_that_are_still_to_come(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(B[:10] + b"\0" * len(B[10:]))
        follower.drain()
        with log.path.open("r+b") as file:
            file.seek(len(A) + 10)
            file.write(B[10:])
        log.write(C)
        assert_read(follower.drain(), A, B, C)

    def test_a_long_line_is_not_held(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        piece = b"0123456789abcdef" * 4_000
        for _ in range(40):
            log.write(piece)
            follower.step()
            (file,) = follower.logs.files()
            assert file.reader is not None
            assert len(file.reader.buffer) <= len(piece) + MAX_LINE_BYTES
        log.write(b"\r\n" + B)
        assert_read(follower.drain(), A, 40 * piece + b"\r\n", B)

    def test_a_long_line_is_read_from_its_beginning_after_a_restart(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(b"x" * 2 * MAX_LINE_BYTES)
        follower = follow(follower.drain()).drain()
        log.write(b"y\n" + B)
        assert_read(follower.drain(), A, b"x" * 2 * MAX_LINE_BYTES + b"y\n", B)

    @pytest.mark.parametrize("rotate", [Log.rename, Log.copytruncate])
    def test_a_long_line_goes_on_in_a_rotated_file(
        self, log: Log, follow: Follow, rotate: Callable[[Log, str], None]
    ) -> None:
        follower = following(log, follow)
        line = b"x" * 2 * MAX_LINE_BYTES
        log.write(line)
        follower.drain()
        log.write(b"y\n")
        rotate(log, "log.1")
        log.write(B)
        assert_read(follower.drain(), A, line + b"y\n", B)

    def test_a_long_line_is_the_last_of_its_file(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        log.write(b"x" * 2 * MAX_LINE_BYTES)
        log.rename("log.1")
        log.compress("log.1")
        log.write(B)
        assert_read(follower.drain(), A, b"x" * 2 * MAX_LINE_BYTES, B)


class TestBytesBehind:
    def test_of_all_files(self, log: Log, follow: Follow) -> None:
        follower = following(log, follow)
        (observed,) = follower.logs.observed_ends()
        assert (observed.size, observed.bytes_behind, observed.bytes) == (len(A), 0, len(A))
        log.write(B)
        log.rename("log.1")
        log.write(C + b"half a line")
        follower.look()
        (observed,) = follower.logs.observed_ends()
        assert (observed.size, observed.bytes_behind) == (len(C) + 11, len(B) + len(C) + 11)
        (observed,) = follower.drain().logs.observed_ends()
        assert (observed.size, observed.bytes_behind) == (len(C) + 11, 0)
        assert observed.bytes == len(A + B + C)

    def test_where_there_is_no_file(self, log: Log, follow: Follow) -> None:
        (observed,) = follow().logs.observed_ends()
        assert (observed.size, observed.bytes_behind) == (0, 0)


@pytest.mark.parametrize("rotated", [False, True])
def test_a_file_for_which_no_descriptor_is_left_is_read_once_one_is(
    log: Log, follow: Follow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rotated: bool
) -> None:
    follower = follow()
    if rotated:
        log.write(b"a\n")
        follower.drain()
        log.rename("log.1")
    log.write(b"b\n")

    def none_is_left(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(os, "dup", none_is_left)
        for _ in range(20):
            follower.step()
    follower.drain()
    assert follower.texts == ([b"a", b"b"] if rotated else [b"b"])
    assert [key.generation for key in follower.stored.files] == ([0, 1] if rotated else [0])
    assert not follower.gaps
    assert capsys.readouterr().out.count("Too many open files") == 1
