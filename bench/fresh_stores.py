"""Fresh stores, each with a server of its own: what was written before costs the next one nothing."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from influxd import InfluxServer, influxd
from stores import Store, influxdb_store, sqlite_store


@dataclass(frozen=True)
class FreshStore:
    """A store that was set up, in a folder that goes away with it."""

    store: Store
    folder: Path
    server: InfluxServer | None
    """None: SQLite."""

    def points(self) -> int:
        """How many requests the bucket has."""
        assert self.server is not None
        question = {"db": self.store.environment["INFLUXDB_BUCKET"], "q": "SELECT count(status_code) FROM api_requests"}
        with self.server.client() as client:
            answer = client.get("/query", params=question).raise_for_status().json()
        series = answer["results"][0].get("series")
        return int(series[0]["values"][0][1]) if series else 0


@contextmanager
def fresh_store(kind: str, parent: Path) -> Iterator[FreshStore]:
    """An empty store, `influxdb` or `sqlite`."""
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}_", dir=parent))
    try:
        if kind == "sqlite":
            with sqlite_store(folder) as store:
                yield FreshStore(store, folder, None)
        else:
            command = shutil.which("influxd")
            assert command is not None
            with influxd(command, folder) as server, influxdb_store(server) as store:
                yield FreshStore(store, folder, server)
    finally:
        shutil.rmtree(folder)
