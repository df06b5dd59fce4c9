"""A ring of files, each of which is emptied and written anew in its turn, as by `rotatelogs -n` of Apache."""

from pathlib import Path

from following import QUIET, Follower, Log, Time, line_of


def test_a_file_that_its_writer_had_left_is_written_anew_without_a_gap(tmp_path: Path) -> None:
    time = Time()
    log = Log(tmp_path / "app.log", time)
    log.write(b"0 is the first\n")
    follower = Follower(log.path, time).drain()
    lines = [b"0 is the first"]
    for number in range(1, 8):
        line = b"%d comes in another turn" % number
        name = f"app.log.{number % 3}" if number % 3 else ""
        log.replace(line + b"\n", name)
        lines.append(line)
        follower.pass_time(QUIET)
    assert sorted(map(str, follower.lines.values())) == sorted(str(line_of(line)) for line in lines)
    assert follower.gaps == []


def test_a_file_that_is_emptied_soon_after_its_last_line_is_a_gap(tmp_path: Path) -> None:
    time = Time()
    log = Log(tmp_path / "app.log", time)
    log.write(b"0 is the first\n")
    follower = Follower(log.path, time).drain()
    log.write(b"1 is of another file\n", "app.log.1")
    follower.pass_time(5)
    log.replace(b"2 is new\n")
    follower.pass_time(5)
    assert len(follower.gaps) == 1
