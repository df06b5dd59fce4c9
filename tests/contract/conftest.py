"""The stores of the contract: one set of tests runs on each."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from influxd import InfluxServer
from memory_store import MemoryStorage, MemoryStore
from storage.writers import MAIN
from stored_rows import OpenStorage
from stores import influxdb_store, sqlite_store


@pytest.fixture(params=["sqlite", "influxdb", "memory"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], OpenStorage]]:
    """Makes fresh stores of one kind."""
    with ExitStack() as stack:

        def make() -> OpenStorage:
            if request.param == "memory":
                store = MemoryStore()
                return lambda writer=MAIN: MemoryStorage(store, writer)
            if request.param == "influxdb":
                server: InfluxServer = request.getfixturevalue("influxd")
                return stack.enter_context(influxdb_store(server)).open
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            return stack.enter_context(sqlite_store(folder)).open

        yield make


@pytest.fixture
def open_storage(new_store: Callable[[], OpenStorage]) -> OpenStorage:
    """Opens connections to one fresh store."""
    return new_store()


@pytest.fixture
def influxdb_bucket(influxd: InfluxServer) -> Iterator[tuple[InfluxServer, str]]:
    """A server, and a fresh bucket in it that was set up."""
    with influxdb_store(influxd) as store:
        yield influxd, store.environment["INFLUXDB_BUCKET"]
