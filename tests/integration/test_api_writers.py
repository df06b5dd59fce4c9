"""A store of several writers has the answers of a store with the same lines from one writer."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from asking import ago, line, responses, today
from influxd import InfluxServer
from lines import valid_lines
from metric_samples import samples
from running_api import running
from storage.ledger import Report
from storage.logs import Position
from storage.observed import ObservedEnd
from stores import Store, count_lines, influxdb_store, sqlite_store, write_report

CUSTOMERS = ["cust_1", "a/b", "\u5ba2"]
WRITERS = ["main", "web-1", "web 2"]
MILLISECOND = timedelta(milliseconds=1)


@pytest.fixture(params=["sqlite", "influxdb"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    """A function that makes a fresh store of either kind with this name."""
    with ExitStack() as stack:

        def make(name: str) -> Store:
            if request.param == "influxdb":
                server: InfluxServer = request.getfixturevalue("influxd")
                return stack.enter_context(influxdb_store(server))
            folder = tmp_path / name
            folder.mkdir()
            return stack.enter_context(sqlite_store(folder))

        yield make


def urls() -> list[str]:
    """The URL of every question about customers."""
    days = f"from_date={ago(2)}&to_date={ago(1)}"
    found = [f"/customers?sort={sort}&order=asc" for sort in ("total", "failed", "average", "median", "p99")]
    found += [f"/customers?{days}&limit=2", "/customers/stats", f"/customers/stats?percentiles=10,50,99.9&{days}"]
    found += ["/customers/status-codes", "/customers/latencies"]
    for customer in CUSTOMERS:
        for what in ("stats", "stats?percentiles=50,90", "status-codes", "latencies", "paths", f"paths?{days}&limit=3"):
            found.append(f"/customers/{customer}/{what}")
        found += [f"/customers/{customer}/series?interval={interval}" for interval in ("hour", "day")]
        found.append(f"/customers/{customer}/series?interval=minute&from={ago(1)}&to={today()}")
        for status in ("all", "failed", "successful"):
            found.append(f"/customers/{customer}/requests?status={status}&limit=300")
    return found


def in_order(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with the requests of each second sorted: their order differs between logs."""
    if "requests" in answer:
        answer["requests"].sort(key=lambda request: (request["time"], *map(str, request.values())), reverse=True)
    return answer


def test_answers_equal_those_of_one_writer_with_all_lines(new_store: Callable[[str], Store]) -> None:
    lines = valid_lines(3_000, customers=CUSTOMERS).splitlines(keepends=True)
    pick = random.Random(5)
    of_writers: dict[str, list[bytes]] = {writer: [] for writer in WRITERS}
    for one in lines:
        # One log has no requests of the last customer.
        at = 2 if CUSTOMERS[2].encode() in one else 3
        of_writers[pick.choice(WRITERS[:at])].append(one)
    several, single = new_store("several"), new_store("single")
    for writer, own in of_writers.items():
        # Two writers have a log of the same name.
        several.fill(b"".join(own), writer=writer, log="log" if writer != "main" else "other")
    single.fill(b"".join(lines))
    asked = urls()
    for url, found, expected in zip(asked, responses(several, *asked), responses(single, *asked), strict=True):
        assert found.status_code == expected.status_code == 200, url
        assert in_order(found.json()) == in_order(expected.json()), url
        assert any(isinstance(value, list) and value for value in found.json().values()), url


def test_a_commit_of_another_writer_is_in_the_next_answer(new_store: Callable[[str], Store], tmp_path: Path) -> None:
    store = new_store("store")
    store.fill(line(today(), "cust_1"))
    with running(tmp_path, store.environment) as api:
        asked = ["/customers/cust_1/stats", "/customers/stats", "/customers/cust_1/series?interval=hour"]

        def totals() -> list[int]:
            stats, of_all, series = (api.get(url).json() for url in asked)
            (point,) = series["points"]
            return [stats["total_requests"], of_all["total_requests"], point["total_requests"]]

        assert totals() == [1, 1, 1]
        store.fill(line(today(), "cust_1") + line(today(), "cust_2"), writer="web-1")
        assert totals() == [2, 3, 2]
        store.fill(line(today(), "cust_1"), writer="web-2")
        assert totals() == [3, 4, 3]
        assert [log["writer"] for log in api.get("/status").json()["logs"]] == ["main", "web-1", "web-2"]


def report(store: Store, writer: str, age: float, through: float) -> None:
    """Fill the log of a writer with a line, which reported some time ago (s) that it is complete through a time."""
    storage = store.open(writer)
    count_lines(storage, line(today(), "cust_1"))
    end = ObservedEnd("log", time.time() - age, Position(0, 10), 10, 1_000 if age else 0, 10)
    write_report(storage, Report(time.time() - age, 1, through), [end])
    storage.close()


def test_a_silent_writer_is_named_and_all_is_complete_through_the_slowest(store: Store) -> None:
    now = time.time()
    report(store, "main", 0, now)
    report(store, "web-1", 60, now - 60)
    report(store, "web-2", 0, now - 5)
    urls = ["/customers/cust_1/stats", "/customers/stats?format=csv", "/customers", "/status", "/metrics"]
    stats, table, customers, status, metrics = responses(store, *urls)
    through = datetime.fromtimestamp(now - 60, timezone.utc)
    for found in (stats.json(), customers.json(), status.json()):
        assert found["missing"] == ["web-1"]
        assert abs(datetime.fromisoformat(found["complete_through"].replace("Z", "+00:00")) - through) < MILLISECOND
    assert stats.json()["total_requests"] == 3
    assert table.headers["Missing"] == "web-1"
    writers = {writer.pop("writer"): writer for writer in status.json()["writers"]}
    assert {name: (writer["is_silent"], writer["bytes_behind"] > 0) for name, writer in writers.items()} == {
        "main": (False, False),
        "web-1": (True, True),
        "web-2": (False, False),
    }
    assert 59 < writers["web-1"]["age_seconds"] < 120
    told = samples(metrics.text)
    assert told["request_statistics_api_writer_silent", "web-1"] == 1
    assert told["request_statistics_api_writer_silent", "main"] == 0
    seconds = told["request_statistics_api_writer_complete_through_timestamp_seconds", "web-2"]
    assert abs(seconds - (now - 5)) < 0.001
    assert abs(told["request_statistics_api_writer_reported_timestamp_seconds", "main"] - now) < 60


def test_where_every_writer_reports_nothing_is_missing(sqlite: Store) -> None:
    report(sqlite, "web-1", 0, time.time())
    stats, table = responses(sqlite, "/customers/cust_1/stats", "/customers/stats?format=csv")
    assert stats.json()["missing"] == []
    assert "Missing" not in table.headers
