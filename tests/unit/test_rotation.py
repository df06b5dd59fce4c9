"""Which files belong to a log, and in which order."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from log_processor import rotation
from log_processor.rotation import is_rotated_name, opened


@pytest.mark.parametrize(
    "names",
    [
        ["log.10", "log.9", "log.2", "log.1", "log"],
        ["log.1", "log.0", "log"],
        ["log-20251231", "log-20260101", "log"],
        ["log-2026112322", "log-2026112323", "log"],
        ["log-20261123T2259", "log-20261123T2300", "log"],
        ["log.2026-11-22", "log.2026-11-23", "log"],
        ["log.2026-11-22_23-59", "log.2026-11-23_00-00", "log"],
        ["log-202611", "log-202612", "log"],
        ["log-1795450000", "log-1795450001", "log"],
        ["log.2.gz", "log.1.gz", "log.1", "log"],
        ["log-20261122.xz", "log-20261123", "log"],
        ["log.2", "log.1"],
        [],
    ],
)
def test_the_files_of_a_log_are_in_the_order_of_their_age(tmp_path: Path, names: list[str]) -> None:
    for name in [*sorted(names), "log.old", "log.gz", "log.1.tmp", "log1", "other", "other.1", "xlog.1", "log.12345"]:
        (tmp_path / name).touch()
    if "log" not in names:
        (tmp_path / "log").unlink(missing_ok=True)
    with opened(tmp_path / "log") as files:
        assert [found.path.name for found in files] == names
        assert [found.file is None for found in files] == [name.endswith(("gz", "xz")) for name in names]


def test_where_names_are_of_both_kinds_the_time_of_writing_tells(tmp_path: Path) -> None:
    names = ["log-20261001", "log.3", "log.2", "log-20261120", "log.1", "log"]
    for second, name in enumerate(names):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (second, second))
    with opened(tmp_path / "log") as files:
        assert [found.path.name for found in files] == names


@pytest.mark.parametrize(
    "name", ["log.1", "log.2.gz", "log-20261123", "log-20261123.zst", "log.2026-11-23_16", "a.b.1"]
)
def test_names_of_rotated_files(name: str) -> None:
    assert is_rotated_name(f"folder/{name}")


@pytest.mark.parametrize(
    "name", ["log", "api-1", "api-v2", "api-123456", "log.txt", "8080", "api.10.0.0.1.log", "log.gz"]
)
def test_names_of_logs(name: str) -> None:
    assert not is_rotated_name(f"folder.1/{name}")


def test_a_rotation_that_comes_between_is_seen_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or not at all: never so that a file is missing, or there twice."""
    path = tmp_path / "log"
    for number in range(5):
        rotate(path)
        path.write_text(str(number))
    rotations = iter(range(5, 8))

    def rotating(actual: Callable[..., int]) -> Callable[..., int]:
        def open_file(*arguments: object) -> int:
            file = actual(*arguments)
            number = next(rotations, None)
            if number is not None:
                rotate(path)
                path.write_text(str(number))
            return file

        return open_file

    monkeypatch.setattr(rotation.os, "open", rotating(os.open))
    with opened(path) as files:
        monkeypatch.undo()
        assert [os.pread(found.file or 0, 9, 0) for found in files] == [b"%d" % number for number in range(8)]
        rotate(path)
        assert [os.pread(found.file or 0, 9, 0) for found in files] == [b"%d" % number for number in range(8)]


def rotate(path: Path) -> None:
    """`log` -> `log.1` -> ..."""
    for number in reversed(range(10)):
        name = path.with_name(f"log.{number}") if number else path
        if name.exists():
            name.rename(path.with_name(f"log.{number + 1}"))
