"""Fixtures that tests of several folders share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from influxd import InfluxServer, influx_server
from kafka_broker import shared_broker
from stores import Store, influxdb_store, sqlite_store

# Machines are of many speeds, so no example has a deadline. A check of a change has the same examples each time.
settings.register_profile("project", deadline=None, derandomize=True)
settings.register_profile("hard", deadline=None, max_examples=3_000)
# A run in other surroundings, after one with all examples: another Python, user and time zone need few.
settings.register_profile("again", deadline=None, derandomize=True, max_examples=10)
settings.load_profile("project")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """What runs the tests that are coroutines."""
    return "asyncio"


@pytest.fixture(scope="session")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """A real InfluxDB, one for the whole session: take a `new_bucket()` of it for each test."""
    with influx_server(tmp_path_factory.mktemp("influxd")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[str]:
    """The address of a real broker of Kafka, one for the whole session: make a `Topic` for each test."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    assert pytestconfig.cache is not None
    with shared_broker(folder, pytestconfig.cache) as servers:
        yield servers


@pytest.fixture(params=["sqlite", "influxdb"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A fresh store of either kind."""
    if request.param == "influxdb":
        server: InfluxServer = request.getfixturevalue("influxd")
        with influxdb_store(server) as opened:
            yield opened
    else:
        yield request.getfixturevalue("sqlite")


@pytest.fixture(params=["sqlite", "influxdb"])
def lasting_store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A fresh store of either kind that keeps all, for tests about fixed days."""
    if request.param == "influxdb":
        with influxdb_store(request.getfixturevalue("influxd"), expires=False) as opened:
            yield opened
    else:
        yield request.getfixturevalue("sqlite")


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    """A fresh SQLite store, for what does not depend on the store."""
    with sqlite_store(tmp_path) as opened:
        yield opened


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that may take minutes begin first: in the end nothing waits for one of them alone. In the containers of the
    test mode there is no host to drive."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)
    if "TESTS_IN_CONTAINER" in os.environ:
        for item in items:
            if item.get_closest_marker("host"):
                item.add_marker(pytest.mark.skip(reason="runs on the host, not in a container"))
