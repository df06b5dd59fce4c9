"""Server-Sent Events of a real api."""

import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

import httpx

from api.routes.events import MAX_LISTENERS
from asking import line, today
from faulty_proxy import Request, faulty_proxy
from influxd import InfluxServer
from pipeline import Pipeline
from running_api import running
from stores import Store, influxdb_store
from until import WAIT_SECONDS


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
                "missing",
                "age_seconds",
                "bytes_behind",
                "records_behind",
                "seen_age_seconds",
                "clock_fault",
            }
            pipeline.append(line(today(), "cust_2"))
            assert next(data for name, data in told if name == "progress" and data["ledger"] != first["ledger"])
            database.rename(tmp_path / "away")
            assert "SQLite store" in next(data for name, data in told if name == "away")["detail"]
            (tmp_path / "away").rename(database)
            assert next(data for name, data in told if name == "progress")
            # It does not keep the api from ending, cleanly.
            assert api.end(signal.SIGTERM) == 0
            assert "Traceback" not in api.said()
    finally:
        pipeline.close()


def test_the_store_is_asked_once_for_all_who_listen(tmp_path: Path, sqlite: Store) -> None:
    with running(tmp_path, sqlite.environment) as api:

        def questions() -> float:
            text = api.get("/metrics").text
            return float(text.partition('request_statistics_api_store_seconds_count{operation="poll"} ')[2].split()[0])

        def listen(_: int) -> list[str]:
            with httpx.stream("GET", f"http://127.0.0.1:{api.port}/events", timeout=30) as response:
                told = events(response)
                return [next(told)[0] for _ in range(2)]

        before = questions()
        with ThreadPoolExecutor(30) as pool:
            assert list(pool.map(listen, range(30))) == [["progress", "progress"]] * 30
        # Two a second, for as long as a heartbeat takes.
        assert questions() - before < 30


def test_logs_are_not_looked_at_while_nothing_happens_in_them(tmp_path: Path, influxd: InfluxServer) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(parse_qs(urlsplit(request.target).query).get("q", [""])[0])

    with influxdb_store(influxd) as store, faulty_proxy(influxd.url) as proxy:
        pipeline = Pipeline(tmp_path, store.environment, store.open)
        try:
            pipeline.append(line(today(), "cust_1"))
            pipeline.start()
            pipeline.until_stored()
            pipeline.until_rolled_up()
            with (
                running(tmp_path, {**store.environment, "INFLUXDB_URL": proxy.url}) as api,
                api.client.stream("GET", "/events") as response,
            ):
                told = events(response)
                # Until it has reported what it has committed.
                next(data for _, data in told if data["age_seconds"] is not None and data["age_seconds"] <= 1)
                next(told)
                proxy.decide = note
                at_rest = [next(told)[1] for _ in range(4)]
                assert len({data["complete_through"] for data in at_rest}) == 4
                assert {data["bytes_behind"] for data in at_rest} == {0}
                assert asked
                assert all("FROM state " in question for question in asked)
                pipeline.append(line(today(), "cust_2"))
                assert next(data for _, data in told if data["ledger"] != at_rest[-1]["ledger"])
        finally:
            pipeline.close()


def test_head_does_not_wait_for_an_end(tmp_path: Path, sqlite: Store) -> None:
    with running(tmp_path, sqlite.environment) as api:
        answered = api.client.head("/events")
        assert (answered.status_code, answered.content) == (200, b"")


def test_silent_listeners_do_not_shut_out_the_page(tmp_path: Path, sqlite: Store) -> None:
    with running(tmp_path, sqlite.environment) as api, ExitStack() as stack:

        def listen(address: str) -> BinaryIO:
            connected = socket.create_connection(("127.0.0.1", api.port), WAIT_SECONDS, source_address=(address, 0))
            connection = stack.enter_context(closing(connected))
            connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            stream: BinaryIO = stack.enter_context(connection.makefile("rb"))
            assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
            return stream

        def is_told(stream: BinaryIO) -> bool:
            """Whether another event comes before the end of the stream, which is an empty chunk."""
            ends = (b"event: progress\n", b"0\r\n")
            return next(text for text in iter(stream.readline, b"") if text in ends) == ends[0]

        lone = listen("127.0.0.1")
        silent = [listen("127.0.0.2") for _ in range(MAX_LISTENERS - 1)]
        page, other = listen("127.0.0.3"), listen("127.0.0.2")
        # The oldest two of the address that has most listeners have ended, and no others.
        for stream in silent[:2]:
            while is_told(stream):
                pass
        for stream in (lone, silent[2], silent[-1], page, other):
            assert is_told(stream)
            assert is_told(stream)
