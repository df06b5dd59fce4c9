"""Server-Sent Events of a real api."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from asking import line, today
from pipeline import Pipeline
from running_api import running
from stores import Store, sqlite_store


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Store]:
    with sqlite_store(tmp_path) as store:
        yield store


def events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    """The events as they come: name and data."""
    name = ""
    for text in response.iter_lines():
        field, _, value = text.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def test_it_is_told_when_the_store_has_moved_on_is_away_and_is_back(tmp_path: Path, sqlite: Store) -> None:
    pipeline = Pipeline(tmp_path, sqlite.environment, sqlite.open)
    database = Path(sqlite.environment["SQLITE_PATH"])
    try:
        pipeline.append(line(today(), "cust_1"))
        pipeline.start()
        pipeline.until_stored()
        with running(tmp_path, sqlite.environment) as api, api.client.stream("GET", "/events") as response:
            assert response.headers["Content-Type"].startswith("text/event-stream")
            told = events(response)
            name, first = next(told)
            assert name == "progress"
            assert first.keys() == {
                "ledger",
                "complete_through",
                "age_seconds",
                "bytes_behind",
                "seen_age_seconds",
            }
            pipeline.append(line(today(), "cust_2"))
            assert next(data for name, data in told if name == "progress" and data["ledger"] != first["ledger"])
            database.rename(tmp_path / "away")
            assert "SQLite store" in next(data for name, data in told if name == "away")["detail"]
            (tmp_path / "away").rename(database)
            assert next(data for name, data in told if name == "progress")
            # It does not keep the api from ending.
            assert api.end(signal.SIGTERM) == 0
    finally:
        pipeline.close()


def test_head_does_not_wait_for_an_end(tmp_path: Path, sqlite: Store) -> None:
    with running(tmp_path, sqlite.environment) as api:
        answered = api.client.head("/events")
        assert (answered.status_code, answered.content) == (200, b"")


def test_only_so_many_may_listen_and_whoever_leaves_makes_room(tmp_path: Path, sqlite: Store) -> None:
    with running(tmp_path, sqlite.environment) as api:
        limits = httpx.Limits(max_connections=200)
        with httpx.Client(base_url=api.client.base_url, limits=limits, timeout=30) as client:
            listening = [client.send(client.build_request("GET", "/events"), stream=True) for _ in range(101)]
            assert [response.status_code for response in listening] == [200] * 100 + [503]
            for response in listening:
                response.close()
            api.until("/ready", 200)

            def joins() -> bool:
                with client.stream("GET", "/events") as response:
                    return response.status_code == 200

            api.wait_for(joins, "there is room again")
