"""Links that lead out of a log's folder: a file is read only if the settings allow it."""

from pathlib import Path

import pytest

from following import QUIET, Follower, Time

SECRET = b"a secret\n"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file that must not be read."""
    path = tmp_path / "etc" / "secret"
    path.parent.mkdir()
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The path of a log in a folder that exists."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "app.log"


@pytest.mark.parametrize("name", ["app.log", "*.log"])
@pytest.mark.parametrize("link", ["app.log.1", "app.log-20261129", "app-2026-11-28T10-00-00.000.log"])
def test_a_rotated_name_that_leads_elsewhere_is_not_read(log: Path, outside: Path, name: str, link: str) -> None:
    log.write_bytes(b"one\n")
    follower = Follower(log.with_name(name), Time()).drain()
    log.with_name(link).symlink_to(outside)
    assert follower.drain().texts == [b"one"]
    follower.close()


@pytest.mark.parametrize("name", ["app.log", "*.log"])
def test_a_rotated_name_that_leads_to_the_same_folder_is_read(log: Path, name: str) -> None:
    log.write_bytes(b"one\n")
    follower = Follower(log.with_name(name), Time()).drain()
    log.with_name("elsewhere").write_bytes(b"two\n")
    log.with_name("app.log.1").symlink_to(log.with_name("elsewhere"))
    assert sorted(map(str, follower.drain().texts)) == ["b'one'", "b'two'"]
    follower.close()


def test_a_log_that_a_glob_has_found_and_that_becomes_a_link(log: Path, outside: Path) -> None:
    log.write_bytes(b"one\n")
    follower = Follower(log.with_name("*.log"), Time()).drain()
    log.unlink()
    log.symlink_to(outside)
    assert follower.pass_time(QUIET).texts == [b"one"]
    log.unlink()
    log.write_bytes(b"two\n")
    assert sorted(map(str, follower.drain().texts)) == ["b'one'", "b'two'"]
    follower.close()


@pytest.mark.parametrize("name", ["app.log", "*.log", "**/*.log"])
def test_a_link_to_itself_stops_nothing(log: Path, name: str) -> None:
    log.write_bytes(b"one\n")
    log.with_name("app.log.1").symlink_to("app.log.1")
    log.with_name("folder").symlink_to("folder")
    follower = Follower(log.parent / name, Time()).drain()
    log.rename(log.with_name("app.log.2"))
    log.symlink_to("app.log")
    assert follower.pass_time(QUIET).texts == [b"one"]
    log.unlink()
    log.write_bytes(b"two\n")
    assert sorted(map(str, follower.drain().texts)) == ["b'one'", "b'two'"]
    follower.close()


def test_a_log_of_a_glob_that_is_deleted_while_it_is_not_followed(log: Path) -> None:
    log.write_bytes(b"one\n")
    follower = Follower(log.with_name("*.log"), Time()).drain()
    follower.close()
    log.unlink()
    for _ in range(2):
        follower = follower.successor().pass_time(QUIET)
        assert (follower.texts, len(follower.gaps)) == ([b"one"], 1)
    log.write_bytes(b"two\n")
    assert sorted(map(str, follower.drain().texts)) == ["b'one'", "b'two'"]
    follower.close()


def test_a_log_of_a_glob_that_is_renamed_while_it_is_not_followed(log: Path) -> None:
    log.write_bytes(b"one\n")
    follower = Follower(log.with_name("*.log"), Time()).drain()
    follower.close()
    log.write_bytes(b"one\ntwo\n")
    log.rename(log.with_name("app.log.1"))
    follower = follower.successor().pass_time(QUIET)
    assert (follower.texts, follower.gaps) == ([b"one", b"two"], [])
    follower.close()


def test_a_link_to_a_file_with_a_date_in_another_folder_each_day(log: Path, tmp_path: Path) -> None:
    """A named path may lead anywhere."""
    follower = None
    for day in (b"27", b"28", b"29"):
        folder = tmp_path / day.decode()
        folder.mkdir()
        (folder / "app.log").write_bytes(day + b"\n")
        log.unlink(missing_ok=True)
        log.symlink_to(folder / "app.log")
        follower = follower or Follower(log, Time())
        follower.drain()
    assert follower is not None
    assert sorted(map(str, follower.texts)) == ["b'27'", "b'28'", "b'29'"]
    follower.close()
