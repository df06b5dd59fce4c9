"""Fixtures that tests of several folders share."""

from collections.abc import Iterator

import pytest

from influxd import InfluxServer, influx_server


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """A real InfluxDB, one for the whole session: take a `new_bucket()` of it for each test."""
    with influx_server(tmp_path_factory.mktemp("influxd")) as server:
        yield server
