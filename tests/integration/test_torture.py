"""A short torture run on each store; `python -m torture` is the long one."""

from pathlib import Path

import pytest

from torture.run import torture
from torture.scheme import drawn
from torture.victim import influxdb_victim, sqlite_victim

# It waits long for what may be stuck.
pytestmark = pytest.mark.timeout(900)

KILLS = 3
RATE = 2_000


def test_the_store_equals_the_log_on_sqlite(tmp_path: Path) -> None:
    with sqlite_victim(tmp_path, {}) as victim:
        report = torture(victim, drawn(1), KILLS, RATE, seed=1, progress=print)
    assert not report.differences, report.text()


def test_the_store_equals_the_log_on_influxdb(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("influxd")
    with influxdb_victim(tmp_path, {}, server, seed=1) as victim:
        report = torture(victim, drawn(2), KILLS, RATE, seed=2, progress=print)
    assert not report.differences, report.text()
