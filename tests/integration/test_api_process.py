"""The api as a process: `python -m api` on a socket, with a store that is sometimes unavailable."""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

import programs
from asking import ago, problem_detail
from asking import line as line_of
from influxd import InfluxServer, free_port
from running_api import running
from stores import Store, influxdb_store
from until import WAIT_SECONDS, wait_until


@contextmanager
def relay(port: int, to: str) -> Iterator[None]:
    """Forwards connections from the port to the server with this URL, and closes them in the end."""
    url = httpx.URL(to)
    listener = socket.create_server(("127.0.0.1", port))
    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(target: object, *arguments: object) -> None:
        threads.append(threading.Thread(target=target, args=arguments))  # type: ignore[arg-type]
        threads[-1].start()

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, far = listener.accept()[0], socket.create_connection((url.host, url.port or 80))
                ends.extend((near, far))
                start(carry, near, far)
                start(carry, far, near)

    start(accept)
    try:
        yield
    finally:
        for end in (listener, *ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for end in (listener, *ends):
            end.close()


def line(customer: str) -> bytes:
    return f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} {customer} /api/v1/resource1 200 0.100\n".encode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_status_0_even_with_an_open_connection(
    tmp_path: Path, sqlite: Store, number: signal.Signals
) -> None:
    with running(tmp_path, sqlite.environment) as api, socket.create_connection(("127.0.0.1", api.port)):
        assert api.get("/customers/stats").status_code == 200
        assert api.end(number) == 0
        said = api.said().splitlines()
    names = [event.partition("event=")[2].split()[0] for event in said]
    assert [name for name in names if name != "prewarmed"] == ["listening", "stopped"]
    assert all(event.startswith("ts=") and " service=api " in event for event in said)


def test_requests_are_logged_at_level_debug(tmp_path: Path, sqlite: Store) -> None:
    with running(tmp_path, {**sqlite.environment, "LOGGING_LEVEL": "DEBUG"}) as api:
        api.get("/customers/nobody/stats")
        assert api.end(signal.SIGTERM) == 0
        said = api.said().splitlines()
    assert all(event.startswith("ts=") for event in said)
    (answered,) = [event for event in said if "event=answered" in event and "nobody" in event]
    for part in ("method=GET", "path=/customers/nobody/stats", "status=404", "request_id="):
        assert part in answered


def test_log_lines_have_the_traceparent_of_their_request_if_it_is_valid(tmp_path: Path, sqlite: Store) -> None:
    valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    invalid = [
        "",
        valid.upper(),
        f"{valid} x=y",
        valid.replace("00-", "ff-", 1),
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
    ]
    with running(tmp_path, {**sqlite.environment, "LOGGING_LEVEL": "DEBUG"}) as api:
        for number, traceparent in enumerate([valid, *invalid]):
            path = f"/customers/{number}/stats"
            assert api.client.get(path, headers={b"traceparent": traceparent.encode()}).status_code == 404
        assert api.end(signal.SIGTERM) == 0
        answered = [event for event in api.said().splitlines() if "event=answered" in event and "/stats" in event]
    assert len(answered) == 1 + len(invalid)
    assert [event for event in answered if "traceparent" in event] == answered[:1]
    assert f" traceparent={valid}" in answered[0]


@pytest.mark.parametrize("path", ["/", "/page/vendor/uplot.js", "/customers", "/docs"])
def test_head_has_the_response_of_get_without_the_body(tmp_path: Path, sqlite: Store, path: str) -> None:
    with running(tmp_path, sqlite.environment) as api:
        for _ in range(2):
            get, head = api.client.get(path), api.client.head(path)
            assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
            assert head.headers["Content-Type"] == get.headers["Content-Type"]
        assert "level=error" not in api.said()


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/static-offline-docs/swagger-ui.css"])
def test_a_file_is_answered_as_a_whole_or_not_at_all(tmp_path: Path, sqlite: Store, path: str) -> None:
    with running(tmp_path, sqlite.environment) as api:
        whole = api.client.get(path)
        assert whole.headers["Cache-Control"] == "no-cache"
        # Many small parts would cost far more than they send.
        ranges = api.client.get(path, headers={"Range": "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 200, 2))})
        assert (ranges.status_code, ranges.content) == (200, whole.content)
        same = api.client.get(path, headers={"If-None-Match": whole.headers["ETag"]})
        assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", whole.headers["ETag"])
        assert api.client.post(path).status_code == 405


def test_the_list_is_prewarmed(tmp_path: Path, sqlite: Store) -> None:
    sqlite.fill(line("cust_1") + line("cust_2"))
    with running(tmp_path, sqlite.environment) as api:
        wait_until(lambda: "event=prewarmed customers=2" in api.said(), "the list is ready")


def test_log_lines_are_json_on_request(tmp_path: Path, sqlite: Store) -> None:
    with running(tmp_path, {**sqlite.environment, "LOGGING_FORMAT": "json"}) as api:
        assert api.end(signal.SIGTERM) == 0
        events = [json.loads(event) for event in api.said().splitlines()]
    assert [event["event"] for event in events if event["event"] != "prewarmed"] == ["listening", "stopped"]
    assert list(events[0])[:4] == ["ts", "level", "service", "event"]
    assert events[0]["port"] == api.port


def test_only_pages_of_allowed_origins_may_ask(tmp_path: Path, sqlite: Store) -> None:
    origins = {"CORS_ORIGINS": "https://a.example, http://localhost:3000"}
    with running(tmp_path, {**sqlite.environment, **origins}) as api:

        def allowed(origin: str) -> str | None:
            answered = httpx.get(f"http://127.0.0.1:{api.port}/customers", headers={"Origin": origin})
            assert answered.status_code == 200
            allowed_origin: str | None = answered.headers.get("Access-Control-Allow-Origin")
            return allowed_origin

        assert allowed("https://a.example") == "https://a.example"
        assert allowed("http://localhost:3000") == "http://localhost:3000"
        assert allowed("https://b.example") is None


def test_customer_ids_pass_through_a_socket_unchanged(tmp_path: Path, sqlite: Store) -> None:
    customers = [
        "a/b",
        "a//b",
        "/",
        "stats",
        "a%2Fb",
        "per%",
        'quo"te',
        "back\\slash",
        "pl+us",
        "e=q?u#a&l",
        "ünï-客户",
    ]
    sqlite.fill(b"".join(map(line, [*customers, ".."])))
    with running(tmp_path, sqlite.environment) as api:
        for customer in customers:
            quoted = quote(customer, safe="")
            for url in (f"/customers/{quoted}/stats", f"/customers/stats?customer_id={quoted}"):
                answer = api.get(url).json()
                assert (answer.get("customer_id"), answer.get("total_requests")) == (customer, 1)
        assert api.get("/customers/stats?customer_id=..").json()["customer_id"] == ".."


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc tells the memory of a process")
def test_requests_that_differ_in_what_no_answer_depends_on_are_kept_once(tmp_path: Path, sqlite: Store) -> None:
    sqlite.fill(line("c"))
    with running(tmp_path, sqlite.environment) as api:
        api.until("/customers/c/stats", 200)
        before = api.memory()
        for number in range(1_500):
            accept = f"text/csv;note={number:020000}"
            assert api.client.get("/customers/c/stats", headers={"Accept": accept}).status_code == 200
        # Their headers have 30 MB.
        assert api.memory() - before < 15_000_000


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc tells the memory of a process")
def test_ranges_of_a_busy_customer_are_kept_up_to_a_size(tmp_path: Path, sqlite: Store) -> None:
    lines = [line_of(ago(number % 40), "c", seconds=f"{number / 1000:.3f}") for number in range(60_000)]
    sqlite.fill(b"".join(lines))
    code = "import api.caching.customer_days as it; it._MAX_BYTES = 5_000_000; from api.__main__ import main; main()"
    with running(tmp_path, sqlite.environment, (sys.executable, "-c", code)) as api:
        ranges = [(start, end) for start in range(40, 28, -1) for end in range(12)]
        # The first ones make the memory that each question needs for a moment.
        for number, (start, end) in enumerate(ranges):
            if number == 20:
                before = api.memory()
            url = f"/customers/c/stats?from_date={ago(start)}&to_date={ago(end)}"
            assert api.get(url).json()["daily"][0]["date"] == f"{ago(min(start, 39))}"
        # Without the bound they take 90 MB.
        assert api.memory() - before < 50_000_000


def test_a_taken_port_is_reported_in_one_line(tmp_path: Path, sqlite: Store) -> None:
    with running(tmp_path, sqlite.environment) as api:
        environment = {**os.environ, **sqlite.environment, "API_PORT": str(api.port)}
        second = programs.run("api", env=environment, timeout=WAIT_SECONDS)
    assert second.returncode == 78
    assert second.stdout == ""
    assert second.stderr.startswith(f"API_PORT={api.port}: cannot listen: Address already in use")
    assert len(second.stderr.splitlines()) == 1


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("--port=80", 2)])
def test_unknown_arguments_are_rejected(argument: str, status: int) -> None:
    environment = {**os.environ, "API_PORT": str(free_port())}
    ended = programs.run("api", argument, env=environment, timeout=WAIT_SECONDS)
    assert ended.returncode == status
    assert "usage: python -m api" in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "0"),
        ("API_PORT", "http"),
        ("API_HOST", "192.0.2.1"),
        ("LOGGING_LEVEL", "loud"),
        ("ALLOWED_HOSTS", "https://a.example"),
        ("CORS_ORIGINS", "a.example"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line(name: str, value: str) -> None:
    ended = programs.run("api", env={**os.environ, "STORAGE": "sqlite", name: value}, timeout=WAIT_SECONDS)
    assert ended.returncode == 78
    assert ended.stderr.startswith(f"{name}={value}: ")
    assert len(ended.stderr.splitlines()) == 1


def test_it_recovers_when_the_sqlite_file_is_back(tmp_path: Path, sqlite: Store) -> None:
    sqlite.fill(line("c"))
    path = Path(sqlite.environment["SQLITE_PATH"])
    with running(tmp_path, sqlite.environment) as api:
        assert api.get("/customers/c/stats").status_code == 200
        # With its write-ahead log, if it has one.
        away = tmp_path / "away"
        away.mkdir()
        files = [file.rename(away / file.name) for file in tmp_path.glob(f"{path.name}*")]
        for url in ("/customers/c/stats", "/customers/stats", "/customers", "/ready"):
            response = api.get(url)
            detail = problem_detail(response, HTTPStatus.SERVICE_UNAVAILABLE)
            assert detail.startswith("SQLite store requests.sqlite: ")
            assert int(response.headers["Retry-After"]) > 0
        assert api.get("/health").status_code == 200
        for file in files:
            file.rename(tmp_path / file.name)
        assert api.get("/customers/c/stats").json()["total_requests"] == 1
        assert api.get("/ready").status_code == 200
        assert "event=store_unavailable" in api.said()


def test_it_recovers_when_influxdb_is_back(tmp_path: Path, influxd: InfluxServer) -> None:
    port = free_port()
    with influxdb_store(influxd) as store:
        store.fill(line("c"))
        environment = {**store.environment, "INFLUXDB_URL": f"http://127.0.0.1:{port}"}
        with running(tmp_path, environment) as api:
            for _ in range(2):
                away = api.get("/customers/c/stats")
                assert away.status_code == 503
                assert away.json()["detail"].startswith("InfluxDB cannot be reached")
                assert api.get("/ready").status_code == 503
                assert api.get("/health").status_code == 200
                with relay(port, influxd.url):
                    assert api.get("/customers/c/stats").json()["total_requests"] == 1
                    assert api.get("/ready").status_code == 200


def test_a_wrong_token_is_503_without_retry_after(tmp_path: Path, influxd: InfluxServer) -> None:
    with influxdb_store(influxd) as store, running(tmp_path, {**store.environment, "INFLUXDB_TOKEN": "wrong"}) as api:
        response = api.get("/customers/stats")
        assert response.status_code == 503
        assert "401" in response.json()["detail"]
        assert "Retry-After" not in response.headers
        assert "event=store_refused" in api.said()


# An api with a fault of its own.
FAULTY = """
from api.__main__ import main
from storage.sqlite.requests import SqliteRequests

async def requests(*_):
    raise RuntimeError("a fault of our own")

SqliteRequests.requests = requests
main()
"""


def test_an_internal_error_is_500_with_problem_details_and_logged(tmp_path: Path, sqlite: Store) -> None:
    sqlite.fill(line("c"))
    with running(tmp_path, sqlite.environment, (sys.executable, "-c", FAULTY)) as api:
        response = api.get("/customers/c/requests")
        assert problem_detail(response, HTTPStatus.INTERNAL_SERVER_ERROR) == "Internal Server Error"
        request_id = response.json()["request_id"]
        assert api.get("/customers/c/stats").status_code == 200
        (fault,) = [said for said in api.said().splitlines() if " level=error " in said]
        assert "a fault of our own" in fault
        assert request_id in fault
