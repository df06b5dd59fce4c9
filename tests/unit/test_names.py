"""Telling from a file's name which log the file belongs to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_processor.following.names import Names, base_of, dateless, family_of, is_of, is_rotated, uncompressed

ROTATED = [
    "app.log.1",
    "app.log.12",
    "app.log.123",
    "app.log.2.gz",
    "app.log-20261128",
    "app.log-20261128.gz",
    "app.log-20261128-1795450001",
    "app.log-2026112823",
    "app.log.2026-11-28",
    "app.log.2026-11-28.10",
    "app.log.2026-11-28_08",
    "app.log-2026-11-28T08:30.xz",
    "app.log.28-11-2026",
    "app.log-202611",
    "app.log-2026-W48",
    "app.log.gz",
    "app.log.bz2",
    "app.log.zst",
    "app.log.zip",
    # Rotators that keep the ending: lumberjack, pm2, log4j2, logback, cronolog.
    "app-2026-11-28T10-00-00.000.log",
    "app-2026-11-28T10-00-00.000.log.gz",
    "app__2026-11-28_00-00-00.log",
    "app.1.log",
    "app-20261128.log",
    "app.2026-11-28.3.log",
    "app-1795450001.log",
    # timberjack names its reason, NLog pads its counts.
    "app-2026-11-28T10-00-00.000-size.log",
    "app-2026-11-28T10-00-00.000-time.log.gz",
    "app.00012.log",
    "app.log.0001",
    # log4net.
    "app.log20261128",
    "app.log20261128-1030",
]
OTHERS = [
    "app-8080.log",
    "app_8080.log",
    "app.log.8080",
    "app.log.old",
    "app.log.1a",
    "app.log.tmp",
    "app.logs",
    "application.log",
    "app-error.log",
    "app-v2.log",
    "app.txt",
    "app",
    "log",
    "app.log-20261328",
]


@pytest.mark.parametrize("name", ROTATED)
def test_names_that_rotation_gives(name: str) -> None:
    assert is_of(name, "app.log")
    assert is_rotated(name)
    assert base_of(name, {"app.log", "app", "other.log"}) == "app.log"


@pytest.mark.parametrize("name", OTHERS)
def test_names_of_other_logs(name: str) -> None:
    assert not is_of(name, "app.log")
    assert base_of(name, {"app.log"}) is None


@pytest.mark.parametrize("ending", ["s", "u"])
def test_names_of_multilog(ending: str) -> None:
    name = f"@40000000674e5c010a1b2c3d.{ending}"
    assert is_of(name, "current")
    assert is_rotated(name)
    assert base_of(name, {"current", "app.log"}) == "current"
    assert Names([name, "current", "@4000"]).of("current") == [name, "current"]


def test_a_log_is_of_itself_and_is_not_rotated() -> None:
    assert is_of("app.log", "app.log")
    assert not is_rotated("app.log")


@pytest.mark.parametrize("base", ["app-20261128.log", "app.8080", "2026-11-28", "api.1"])
def test_a_log_whose_own_name_has_marks(base: str) -> None:
    for name in (f"{base}.1", f"{base}-20261129", f"{base}.2.gz"):
        assert is_of(name, base)
        assert base_of(name, {base}) == base
    assert not is_of("other.1", base)


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("app-20261128.log", "app.log"),
        ("app-20261128.3.log.gz", "app.log"),
        ("app.log.2026-11-28.10", "app.log"),
        ("access.20261128", "access"),
        ("app.1.log", None),
        ("app-8080.log", None),
        ("app.log", None),
        ("-20261128", None),
    ],
)
def test_the_name_of_a_log_whose_files_all_have_dates(name: str, log: str | None) -> None:
    assert dateless(name) == log


@pytest.mark.parametrize(
    ("name", "names", "family"),
    [
        ("app.log", {"app.log"}, ("app.log", True)),
        ("app-20261128.log", {"app.log"}, ("app.log", True)),
        ("app-20261128.log", set(), ("app.log", False)),
        ("app.log.1", set(), ("app.log", True)),
        ("app-8080.log", {"app.log"}, ("app-8080.log", True)),
    ],
)
def test_the_log_that_a_file_belongs_to(name: str, names: set[str], family: tuple[str, bool]) -> None:
    assert family_of(name, names) == family


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip"])
def test_endings_of_compression(ending: str) -> None:
    assert uncompressed(f"app.log{ending}") == "app.log"


PIECES = [
    "app",
    "api",
    "log",
    ".",
    "-",
    "_",
    "1",
    "20",
    "2026",
    "2026-11-28",
    "20261128",
    "1764300000",
    "T10-00-00",
    "gz",
    "x",
]
names = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)


@given(st.sets(names, max_size=20), names)
def test_the_names_of_a_log_are_found_among_those_of_its_folder(there: set[str], base: str) -> None:
    # Most drawn names belong to no log. These names do.
    there = {*there, base, f"{base}.1", f"{base}-20261128.gz"}
    found = Names(sorted(there)).of(base)
    assert sorted(found) == sorted(name for name in there if is_of(name, base))
