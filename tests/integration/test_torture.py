"""A short torture run on each store; `python -m torture` is the long one."""

from pathlib import Path

import pytest

from faulty_proxy import faulty_proxy
from kafka_broker import POM, broker_of
from maven import classpath
from stores import influxdb_store
from torture.__main__ import main
from torture.run import torture
from torture.scheme import drawn, scheme_of
from torture.shippers import torture_way
from torture.topic import torture_topic
from torture.victim import influxdb_victim

# It waits long for what may be stuck.
pytestmark = pytest.mark.timeout(900)

KILLS = 3
RATE = 1_000
SELDOM_CUSTOMERS = 100
"""More take InfluxDB longer; on SQLite there are as many as `python -m torture` has."""


def test_the_store_equals_the_log_on_sqlite(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["torture", "--kills", str(KILLS), "--rate", str(RATE)])
    main()
    assert "store:      sqlite" in capsys.readouterr().out


def test_the_store_equals_the_log_on_influxdb(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue("influxd")
    with influxdb_victim(tmp_path, {}, server, seed=1) as victim:
        report = torture(victim, drawn(2), KILLS, RATE, 2, print, SELDOM_CUSTOMERS)
    assert not report.differences, report.text()


def test_the_store_equals_the_topic(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    assert request.config.cache is not None
    (tmp_path / "kafka").mkdir()
    # Its own, for it is killed.
    jars = classpath(request.config.cache, POM)
    server = request.getfixturevalue("influxd")
    with influxdb_store(server) as store, broker_of(tmp_path / "kafka", jars) as broker:
        deeds = ["SIGKILL", "broker", "partition", "SIGSTOP", "SIGTERM"]
        report = torture_topic(broker, store, tmp_path, deeds, RATE, seed=1, progress=print)
    assert not report.differences, report.text()


def test_the_answers_equal_the_files_of_shippers(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    # SIGSTOP, and more customers, take longer: `python -m torture --source kafka` has them.
    assert request.config.cache is not None
    (tmp_path / "kafka").mkdir()
    (tmp_path / "way").mkdir()
    jars = classpath(request.config.cache, POM)
    server = request.getfixturevalue("influxd")
    with (
        influxdb_store(server) as store,
        faulty_proxy(server.url) as proxy,
        broker_of(tmp_path / "kafka", jars) as broker,
    ):
        deeds = ["shipper SIGKILL", "processor SIGKILL", "broker SIGKILL", "partition", "store"]
        # A log of each shipper.
        schemes = [scheme_of("numbered+delayed"), scheme_of("dated")]
        report = torture_way(
            broker, store, proxy, tmp_path / "way", schemes, deeds, RATE, seed=1, progress=print, seldom_customers=20
        )
    assert not report.differences, report.text()
