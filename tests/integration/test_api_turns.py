"""Questions that take long: they hold up nobody, end with their client, and are refused where counts tell enough."""

import asyncio
import pkgutil
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import build_app
from asking import RETENTION_DAYS, ago, answer, line, problem_detail, response, today
from faulty_proxy import Fault, Request, faulty_proxy
from influxd import InfluxServer
from running_api import Api, running
from storage.sqlite.requests import SqliteRequests
from stores import Store, influxdb_store
from until import wait_until

# A search for all requests of a customer never ends; one for its failed requests does.
ENDLESS = """
import api.__main__, storage.requests
storage.requests.OUTCOMES["all"] = (
    " AND (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n) > 0"
)
api.__main__.main()
"""
SECONDS = 10.0
"""Less than a third of what SQLite may take for a question."""


@pytest.fixture
def endless(tmp_path: Path, sqlite: Store) -> Iterator[Api]:
    """An api whose searches for requests never end."""
    sqlite.fill(line(today(), "c", 500) + line(ago(1), "c"))
    with running(tmp_path, sqlite.environment, (sys.executable, "-c", ENDLESS)) as api:
        api.client.timeout = httpx.Timeout(SECONDS)
        wait_until(lambda: "event=prewarmed" in api.said(), "the list is there")
        yield api


def ask(api: Api, *paths: str) -> socket.socket:
    """Ask without waiting for an answer."""
    connection = socket.create_connection(("127.0.0.1", api.port), timeout=SECONDS)
    connection.sendall(b"".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for path in paths))
    return connection


def test_they_hold_up_nobody_and_end_when_their_clients_leave(endless: Api) -> None:
    paths = [f"/customers/c/requests?limit={limit}" for limit in range(1, 13)]
    paths += [f"/customers/c/series?interval=minute&from={today()}T{hour:02}:00" for hour in range(12)]
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(closing(ask(endless, path)))
        for path in ("/ready", "/customers/c/stats", "/customers/c/paths", "/customers", "/status"):
            assert endless.get(path).status_code == 200
    assert endless.get("/customers/c/requests?status=failed").status_code == 200
    count = 'request_statistics_api_requests_total{route="/customers/{customer_id:path}/requests",status="499"} 12.0'
    wait_until(lambda: count in endless.get("/metrics").text, "all have ended")


def test_they_end_when_a_client_leaves_that_has_asked_more_after_them(endless: Api) -> None:
    with ExitStack() as stack:
        for limit in range(1, 3):
            connection = ask(endless, f"/customers/c/requests?limit={limit}", "/events", "/health")
            stack.enter_context(closing(connection))
        connection = stack.enter_context(closing(ask(endless, "/customers/c/requests?limit=3")))
        # One by one, while the first one is searched for.
        for _ in range(10):
            assert endless.get("/ready").status_code == 200
            connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert endless.get("/ready").status_code == 200
        # More than may wait: the api closes this connection.
        connection = ask(endless, "/customers/c/requests?limit=4", *["/health"] * 20)
        assert stack.enter_context(closing(connection)).recv(1) == b""
    count = 'request_statistics_api_requests_total{route="/customers/{customer_id:path}/requests",status="499"} 4.0'
    wait_until(lambda: count in endless.get("/metrics").text, "all have ended")
    assert 'route="/events"' not in endless.get("/metrics").text
    assert "level=error" not in endless.said()


def test_so_many_wait_and_further_ones_are_refused(endless: Api) -> None:
    with ExitStack() as stack:
        connections = [
            stack.enter_context(closing(ask(endless, f"/customers/c/requests?limit={limit}")))
            for limit in range(1, 110)
        ]
        refused = connections[-1].recv(65_536)
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 5\r\n" in refused
        assert endless.get("/customers/c/stats").status_code == 200


@pytest.mark.parametrize(
    ("url", "computed"),
    [
        ("/customers/c/paths", "api.questions.paths.histograms_of_endpoints"),
        ("/customers/c/errors", "api.questions.errors.statuses_of_endpoints"),
        ("/series?interval=hour", "api.questions.all_series.histograms_of_hours"),
        ("/customers/c/stats?percentiles=50", "api.questions.statistics.figures_of_each"),
        ("/customers/c/stats?tz=Asia/Kathmandu", "api.questions.statistics.figures_of_each"),
    ],
)
def test_what_takes_long_to_compute_holds_up_nobody(
    sqlite: Store, monkeypatch: pytest.MonkeyPatch, url: str, computed: str
) -> None:
    # So many different latencies that their counts are long.
    sqlite.fill(b"".join(line(today(), "c", seconds=f"{n**2 % 86_400_000 / 1000:.3f}") for n in range(30_000)))
    begun, others_are_answered = threading.Event(), threading.Event()
    compute = pkgutil.resolve_name(computed)

    def wait_for_others(*arguments: Any) -> Any:
        begun.set()
        assert others_are_answered.wait(SECONDS)
        return compute(*arguments)

    monkeypatch.setattr(computed, wait_for_others)

    async def statuses() -> list[int]:
        storage = sqlite.open()
        transport = httpx.ASGITransport(build_app(storage, RETENTION_DAYS))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            slow = asyncio.create_task(client.get(url))
            await asyncio.to_thread(begun.wait)
            other = await client.get("/health")
            others_are_answered.set()
            found = [other.status_code, (await slow).status_code]
        await storage.aclose()
        return found

    assert asyncio.run(statuses()) == [200, 200]


def test_influxdb_is_told_when_the_client_leaves(tmp_path: Path, influxd: InfluxServer) -> None:
    asked, left = threading.Event(), threading.Event()

    def hold_searches(request: Request) -> Fault | None:
        if "api_requests" not in request.target:
            return None
        asked.set()
        return Fault.HOLD

    def given_up() -> float:
        left.set()
        return 0.0

    with influxdb_store(influxd) as store:
        store.fill(line(today(), "c"))
        with faulty_proxy(influxd.url, given_up) as proxy:
            proxy.decide = hold_searches
            with running(tmp_path, {**store.environment, "INFLUXDB_URL": proxy.url}) as api:
                with closing(ask(api, "/customers/c/requests")):
                    assert asked.wait(SECONDS)
                    assert api.get("/ready").status_code == 200
                    assert not left.is_set()
                assert left.wait(SECONDS / 2), "the api still waits for the answer"


def test_minutes_of_too_many_requests_are_refused_before_any_is_read(
    sqlite: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite.fill(line(ago(1), "c", clock="10:00:00") * 3 + line(ago(1), "c", clock="11:30:00") * 3)
    monkeypatch.setattr("api.questions.series.MAX_REQUESTS", 5)
    of_six = f"/customers/c/series?interval=minute&from={ago(1)}&to={today()}"
    of_three = f"/customers/c/series?interval=minute&from={ago(1)}&to={ago(1)}T11:30"
    assert len(response(sqlite, of_three).json()["points"]) == 1
    monkeypatch.setattr("storage.sqlite.requests.SqliteRequests.requests", None)
    (error,) = problem_detail(response(sqlite, of_six), HTTPStatus.UNPROCESSABLE_ENTITY)
    assert "there are more than 5 requests" in error["msg"]


def test_minutes_are_the_same_in_however_many_parts_they_are_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = ["00:00:00", "00:59:59", "01:00:00", "10:00:30", "10:00:31", "10:59:00", "11:00:00", "23:59:59"]
    store.fill(b"".join(line(ago(1), customer, clock=clock) for clock in clocks for customer in ("c", "d")))
    urls = [
        f"/customers/c/series?interval=minute&from={ago(1)}{start}&to={end}"
        for start in ("", "T00:59", "T10:00")
        for end in (today(), f"{ago(1)}T10:31", f"{ago(1)}T23:00")
    ]
    at_once = [answer(store, url)["points"] for url in urls]
    assert len(at_once[0]) == 7
    monkeypatch.setattr("api.questions.series.REQUESTS_AT_ONCE", 1)
    assert [answer(store, url)["points"] for url in urls] == at_once


def test_latest_requests_are_found_at_the_end_of_a_day_whose_roll_ups_are_behind(
    sqlite: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocks = ["03:00:00", "10:00:00", "10:30:00", "11:00:00", "09:00:00"]
    database = sqlite.environment["SQLITE_PATH"]
    for number, clock in enumerate(clocks):
        if number == 3:
            with closing(sqlite3.connect(database)) as connection:
                before = connection.execute("SELECT * FROM rollups").fetchall()
        sqlite.fill(line(ago(1), "c", clock=clock), writer=f"writer {number}")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM rollups")
        connection.executemany(f"INSERT INTO rollups VALUES ({', '.join('?' * len(before[0]))})", before)
    searched: list[int] = []
    search = SqliteRequests.requests

    async def note(self: SqliteRequests, customer: str, start: int, *others: Any) -> Any:
        searched.append(start // 3_600 % 24)
        return await search(self, customer, start, *others)

    monkeypatch.setattr(SqliteRequests, "requests", note)
    for limit in range(1, 6):
        found = answer(sqlite, f"/customers/c/requests?limit={limit}")["requests"]
        assert [one["time"][11:19] for one in found] == sorted(clocks, reverse=True)[:limit]
    # Three of five are in the hours from the latest one that is rolled up.
    assert searched == [10, 10, 10, 10, 0, 10, 0]
