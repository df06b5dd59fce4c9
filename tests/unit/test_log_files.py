"""Finding logs by paths and globs, and naming them."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from log_processor.following.log_files import FoundLog, LogFiles
from service.settings import PROJECT_ROOT

ROTATED = ["api.log.1", "api.log-20261123.gz", "api-2026-11-28T10-00-00.000.log", "api.3.log", "api.log.gz"]
LOGS = ["api.log", "api-8080.log", "8080", "api_2", "v1.2.log", "api.log.old", "api.log.1a"]


def paths(files: LogFiles) -> list[Path]:
    return [one.path for one in files.found()]


def found(*patterns: Path, named: dict[Path, str] | None = None) -> list[Path]:
    return paths(LogFiles(patterns, named or {}))


def make(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def test_a_path_is_a_log_whether_there_is_a_file_or_not(tmp_path: Path) -> None:
    (there,) = make(tmp_path, "there.log")
    assert found(tmp_path / "missing.log", there) == [tmp_path / "missing.log", there]


def test_globs_find_the_files_that_are_there_now(tmp_path: Path) -> None:
    files = LogFiles([tmp_path / "*.log"], {})
    assert files.found() == []
    one, two, _ = make(tmp_path, "one.log", "two.log", "other.txt")
    assert paths(files) == [one, two]
    one.unlink()
    assert paths(files) == [two]


def test_links_that_form_loops_hold_nothing_up(tmp_path: Path) -> None:
    """Who may write into a followed folder could stop the count of all logs: two links make 2^40 paths."""
    logs = make(tmp_path, "a.log", "sub/b.log", "sub/deep/c.log")
    for number in range(3):
        (tmp_path / f"sub/link{number}").symlink_to(tmp_path)
        (tmp_path / f"sub/deep/link{number}").symlink_to(".")
    for pattern in ("**/*.log", "**"):
        assert found(tmp_path / pattern) == logs


def test_folders_outside_are_not_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (log,) = make(tmp_path, "logs/a.log")
    make(tmp_path, "outside/b.log", "outside/deep/c.log", "logs/.hidden/d.log")
    (tmp_path / "logs/link").symlink_to(tmp_path / "outside")
    assert found(tmp_path / "logs/**/*.log") == [log]
    assert capsys.readouterr().out.count("log_not_followed") == 1
    files = LogFiles([tmp_path / "logs/**/*.log"], {}, roots=[tmp_path / "outside"])
    assert paths(files) == [log, tmp_path / "logs/link/b.log", tmp_path / "logs/link/deep/c.log"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.log", ["a.log"]),
        ("?.log", ["a.log"]),
        ("[ab].log", ["a.log"]),
        ("*/*.log", ["sub/b.log"]),
        ("sub/*", ["sub/b.log"]),
        ("**/*.log", ["a.log", "sub/b.log", "sub/deep/c.log"]),
        ("**", ["a.log", "sub/b.log", "sub/deep/c.log"]),
    ],
)
def test_globs_go_into_folders(tmp_path: Path, pattern: str, names: list[str]) -> None:
    make(tmp_path, "a.log", "sub/b.log", "sub/deep/c.log")
    assert found(tmp_path / pattern) == [tmp_path / name for name in names]


def test_a_file_that_several_patterns_name_is_one_log(tmp_path: Path) -> None:
    (log,) = make(tmp_path, "a.log")
    files = LogFiles([tmp_path / "*.log", log, tmp_path / "**/a.*"], {})
    assert paths(files) == [log]
    assert not files.found()[0].is_from_glob


def test_rotated_files_are_of_their_log(tmp_path: Path) -> None:
    logs = make(tmp_path, *LOGS)
    make(tmp_path, *ROTATED)
    files = LogFiles([tmp_path / "*"], {})
    assert set(paths(files)) == set(logs)
    logs[0].unlink()
    assert set(paths(files)) == set(logs)


def test_files_with_dates_are_a_log_without_a_file_of_its_name(tmp_path: Path) -> None:
    make(tmp_path, "app-20261127.log", "app-20261128.log", "app-20261126.log.gz")
    files = LogFiles([tmp_path / "*.log"], {})
    log = tmp_path / "app.log"
    assert files.found() == [FoundLog(str(log), log, has_path=False, is_from_glob=True)]
    assert files.found({str(log)}) == []


def test_a_compressed_file_alone_makes_no_log(tmp_path: Path) -> None:
    make(tmp_path, "app.log.gz", "other-20261128.log.xz")
    assert found(tmp_path / "*") == []


def test_a_rotated_file_is_of_the_log_that_is_given_by_its_path(tmp_path: Path) -> None:
    (log, *_) = make(tmp_path, "app.log", "app.log.1", "app-20261128.log")
    assert found(log, tmp_path / "app*") == [log]


def test_two_spellings_of_a_path_are_one_log(tmp_path: Path) -> None:
    (log, _) = make(tmp_path, "app.log", "sub/other.log")
    assert found(log, tmp_path / "sub" / ".." / "app.log", Path(f"{tmp_path}//app.log")) == [log]


def test_a_path_that_is_given_is_a_log_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "api.8080"
    assert found(path, tmp_path / "*") == [path]


def test_a_log_is_called_by_its_path_unless_it_has_a_name(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one.log", "two.log")
    inside = PROJECT_ROOT / "src/log_generator/other.log"
    # No log that is followed has the name of a backfilled one.
    looks_backfilled = PROJECT_ROOT / "backfill-1.log"
    files = LogFiles([tmp_path / "*.log", inside, looks_backfilled], {one: "api_requests"})
    logs = {log.name: log.path for log in files.found()}
    assert logs == {
        "api_requests": one,
        str(two): two,
        "src/log_generator/other.log": inside,
        str(looks_backfilled): looks_backfilled,
    }


def test_the_path_of_a_named_log_is_no_glob(tmp_path: Path) -> None:
    path = tmp_path / "[1]" / "what?.log"
    assert found(path, named={path: "api_requests"}) == [path]


def _folder(path: Path) -> None:
    path.mkdir()


def _unreadable(path: Path) -> None:
    path.touch()
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user reads every file")


def _in_a_folder_that_cannot_be_entered(path: Path) -> None:
    closed = path.with_name("closed")
    make(closed, "file")
    path.symlink_to(closed / "file")
    closed.chmod(0)
    if os.access(closed, os.X_OK):
        pytest.skip("this user enters every folder")


@pytest.mark.parametrize("make_it", [_folder, os.mkfifo, _unreadable, _in_a_folder_that_cannot_be_entered])
def test_a_log_that_cannot_be_followed_is_logged_once_and_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make_it: Callable[[Path], None]
) -> None:
    (other,) = make(tmp_path, "other.log")
    path = tmp_path / "bad.log"
    make_it(path)
    files = LogFiles([path, tmp_path / "*.log"], {})
    for _ in range(2):
        assert paths(files) == [other]
    said = capsys.readouterr().out
    assert said.count("log_not_followed") == 1
    assert str(path) in said

    path.rmdir() if make_it is _folder else path.unlink()
    make(tmp_path, "bad.log")
    assert paths(files) == [path, other]


def test_a_folder_that_a_glob_finds_is_nothing_to_speak_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "folder/file")
    assert found(tmp_path / "*") == []
    assert capsys.readouterr().out == ""


def test_a_name_that_is_not_utf8_is_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (other,) = make(tmp_path, "other.log")
    (tmp_path / os.fsdecode(b"\xff.log")).touch()
    assert found(tmp_path / "*.log") == [other]
    assert r"\xff.log" in capsys.readouterr().out


def test_a_link_to_a_file_of_another_log_is_no_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As of winston-daily-rotate-file: the link points to the newest of the files with dates."""
    make(tmp_path, "app-20261127.log", "app-20261128.log.1")
    (tmp_path / "current.log").symlink_to("app-20261128.log.1")
    for patterns in ([tmp_path / "*"], [tmp_path / "current.log", tmp_path / "app-*"]):
        files = LogFiles(patterns, {})
        assert [paths(files), paths(files)] == [[tmp_path / "app.log"]] * 2
        assert capsys.readouterr().out.count("it is a link to a file of") == 1
    # Its files are counted under its name already.
    found_logs = LogFiles([tmp_path / "*"], {}).found(read={str(tmp_path / "current.log")})
    assert [log.path.name for log in found_logs] == ["app.log", "current.log"]


def test_paths_at_which_a_glob_would_find_a_log(tmp_path: Path) -> None:
    files = LogFiles([tmp_path / "*.log", tmp_path / "a/**/*.txt"], {})
    for name in ("app.log", "a/app.txt", "a/b/c/app.txt"):
        assert files.would_find(tmp_path / name)
    for name in ("app.txt", "a/app.log", "b/app.txt"):
        assert not files.would_find(tmp_path / name)


def test_files_that_the_processor_writes_are_no_logs(tmp_path: Path) -> None:
    letters, store = tmp_path / "dead_letters.jsonl", tmp_path / "requests.sqlite"
    (log, *_) = make(tmp_path, "api.log", letters.name, f"{letters.name}.1", store.name, f"{store.name}-wal")
    assert paths(LogFiles([tmp_path / "*"], {}, [letters, store])) == [log]


class TestLinksThatLeadElsewhere:
    """A file without a named path is read only if it lies below a named folder."""

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        """A file that must not be read."""
        (path,) = make(tmp_path / "etc", "secret.log")
        path.write_text("a secret\n")
        return path

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """The folder of logs."""
        folder = tmp_path / "logs"
        folder.mkdir()
        return folder

    @pytest.mark.parametrize("pattern", ["*.log", "**/*.log"])
    def test_a_glob_does_not_find_them(self, folder: Path, outside: Path, pattern: str) -> None:
        (folder / "link.log").symlink_to(outside)
        (folder / "sub").symlink_to(outside.parent)
        (own,) = make(folder, "own.log")
        make(folder, "no-log")
        (folder / "inner.log").symlink_to(folder / "no-log")
        assert found(folder / pattern) == [folder / "inner.log", own]

    def test_a_glob_finds_them_below_a_root(self, folder: Path, outside: Path) -> None:
        (folder / "link.log").symlink_to(outside)
        assert paths(LogFiles([folder / "*.log"], {}, roots=[outside.parent])) == [folder / "link.log"]
        assert paths(LogFiles([folder / "*.log"], {}, roots=[folder.parent / "et"])) == []

    def test_the_folder_may_itself_be_reached_by_a_link(self, folder: Path, tmp_path: Path) -> None:
        make(folder, "own.log")
        (tmp_path / "link").symlink_to(folder)
        assert found(tmp_path / "link" / "*.log") == [tmp_path / "link" / "own.log"]

    def test_a_path_that_is_named_may_lead_anywhere(self, folder: Path, outside: Path) -> None:
        (folder / "link.log").symlink_to(outside)
        assert found(folder / "link.log") == [folder / "link.log"]
