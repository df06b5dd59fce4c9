"""A pipeline on either store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from influxd import InfluxServer
from pipeline import Pipeline
from storage.contract import Storage
from storage.influxdb import InfluxStorage
from storage.sqlite import SqliteStorage


@pytest.fixture(params=["sqlite", "influxdb"])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    """A log, and a store that was set up; the processor is the test's to start."""
    if request.param == "influxdb":
        server: InfluxServer = request.getfixturevalue("influxd")
        bucket = server.new_bucket()
        environment = {
            "STORAGE": "influxdb",
            "INFLUXDB_URL": server.url,
            "INFLUXDB_ORG": server.org,
            "INFLUXDB_BUCKET": bucket,
            "INFLUXDB_TOKEN": server.admin_token,
        }

        def open_storage() -> Storage:
            return InfluxStorage(server.url, server.org, bucket, server.admin_token)
    else:
        environment = {"STORAGE": "sqlite", "SQLITE_PATH": str(tmp_path / "requests.sqlite")}

        def open_storage() -> Storage:
            return SqliteStorage(tmp_path / "requests.sqlite")

    open_storage().set_up()
    running = Pipeline(tmp_path, environment, open_storage)
    yield running
    running.close()
