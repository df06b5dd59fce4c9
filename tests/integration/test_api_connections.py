"""Connections that send too much, too slowly or not at all: they are refused or closed, and lock nobody out."""

import json
import resource
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from api.http.connections import MAX_BODY_BYTES, MAX_HEAD_BYTES, MAX_HEADERS, SEND_SECONDS
from asking import line, today
from running_api import MODULE, Api, running
from stores import Store, sqlite_store
from until import WAIT_SECONDS, wait_until

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
IMPATIENT = (
    "import api.http.connections as it, api.__main__\n"
    "it.RECEIVE_SECONDS, it.SEND_SECONDS = 0.5, 1.0\n"
    "api.__main__.main()"
)
"""An api that waits less long."""
LINES = b"".join(line(today(), f"{number:0200}") for number in range(500))
"""Their list is long."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("connections")
    with sqlite_store(folder) as store, running(folder, store.environment) as started:
        yield started


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("impatient")
    with sqlite_store(folder) as store:
        store.fill(LINES)
        with running(folder, store.environment, (sys.executable, "-c", IMPATIENT)) as started:
            yield started


def connect(api: Api) -> socket.socket:
    return socket.create_connection(("127.0.0.1", api.port), timeout=WAIT_SECONDS)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    received = b""
    while part := connection.recv(65_536):
        received += part
    return received


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "x"])
def test_a_request_to_upgrade_is_answered_without_and_is_the_last_one(api: Api, protocol: str) -> None:
    with closing(connect(api)) as connection:
        connection.sendall(GET + f"Upgrade: {protocol}\r\nConnection: Upgrade\r\n\r\n".encode() + GET + b"\r\n")
        answered = read_all(connection)
    assert answered.count(b"HTTP/1.1 ") == 1
    assert answered.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answered


def refusal(api: Api, sent: bytes) -> tuple[int, Any]:
    """Status and detail of the problem details that the api sends before it closes the connection."""
    with closing(connect(api)) as connection:
        connection.sendall(sent)
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: application/problem+json" in head
    assert b"\r\nconnection: close" in head
    problem = json.loads(body)
    assert head.startswith(f"HTTP/1.1 {problem['status']} {problem['title']}\r\n".encode())
    assert f"\r\nx-request-id: {problem['request_id']}\r\n".encode() in head
    return problem["status"], problem["detail"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(GET + b"A: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n", id="a header"),
        pytest.param(GET + b"A: " + b"x" * 4_000_000, id="a header without an end"),
        pytest.param(GET + b"Accept: */*\r\n" * (MAX_HEADERS + 1) + b"\r\n", id="headers"),
        pytest.param(b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", id="a path"),
        pytest.param(b"GET /" + b"x" * MAX_HEAD_BYTES, id="a path without an end"),
    ],
)
def test_a_head_that_is_too_large_is_refused(api: Api, sent: bytes) -> None:
    status, detail = refusal(api, sent)
    assert status == 431
    assert str(MAX_HEAD_BYTES) in detail


def test_a_head_within_the_bounds_is_answered(api: Api) -> None:
    names = {f"X-{number}": "x" * 300 for number in range(90)}
    assert api.client.get("/health", headers=names).status_code == 200


def test_what_is_no_http_is_refused_with_problem_details(api: Api) -> None:
    for sent in (b"\x16\x03\x01\x02\x00\x01\x00", b"hello\r\n\r\n", b"CONNECT localhost:80 HTTP/1.1\r\n\r\n"):
        assert refusal(api, sent) == (400, "This is not an HTTP request")


def test_a_body_is_bounded(api: Api) -> None:
    too_long = f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode()
    assert refusal(api, GET + too_long + b"x" * 2_000_000)[0] == 413
    assert refusal(api, GET + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 500_000)[0] == 411
    assert api.client.request("GET", "/health", content=b"x" * MAX_BODY_BYTES).status_code == 200


def test_a_request_that_is_not_whole_in_time_is_refused(impatient: Api) -> None:
    half = b"GET /health HTTP/1.1\r\nHost: localhost"
    status, detail = refusal(impatient, half)
    assert (status, detail) == (408, "The request was not whole within 0.5 s")


def test_a_request_that_trickles_in_is_refused_also_after_another_one(impatient: Api) -> None:
    with closing(connect(impatient)) as connection:
        connection.sendall(GET + b"\r\n")
        while not connection.recv(65_536).endswith(b"}"):
            pass
        connection.settimeout(0.02)
        connection.sendall(b"GET /health HTTP/1.1\r\nA: ")
        for _ in range(int(WAIT_SECONDS / 0.02)):
            with suppress(TimeoutError):
                try:
                    connection.sendall(b"x")
                    assert connection.recv(65_536).startswith(b"HTTP/1.1 408 ")
                except ConnectionError:
                    pass
                return
        pytest.fail("the connection is still open")


def test_an_idle_connection_and_one_that_sends_no_body_are_closed(impatient: Api) -> None:
    with closing(connect(impatient)) as connection:
        assert read_all(connection) == b""
    with closing(connect(impatient)) as connection:
        connection.sendall(GET + b"Content-Length: 5\r\n\r\nx")
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")
    with closing(connect(impatient)) as connection:
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_does_not_read_is_closed(impatient: Api) -> None:
    ask_without_reading(impatient)


def test_answers_that_all_clients_leave_unread_are_bounded(tmp_path: Path, sqlite: Store) -> None:
    sqlite.fill(LINES)
    code = "import api.http.connections as it, api.__main__; it.MAX_UNSENT_BYTES = 1_000; api.__main__.main()"
    with running(tmp_path, sqlite.environment, (sys.executable, "-c", code)) as api:
        ask_without_reading(api)
        assert api.get("/customers?limit=500").status_code == 200


LARGE = "/customers/acme/requests?limit=1000"
"""An answer of 8 MB, of which the system takes a part alone."""


LONG_PATHS = b"".join(f"{today()} 12:00:00 acme /{number}{'x' * 8_000} 200 0.1\n".encode() for number in range(1_000))


@pytest.fixture
def large(tmp_path: Path, sqlite: Store) -> Iterator[Api]:
    """An api that has answered it."""
    sqlite.fill(LONG_PATHS)
    with running(tmp_path, {**sqlite.environment, "LOGGING_LEVEL": "DEBUG"}) as api:
        assert len(api.get(LARGE).content) > 8_000_000
        yield api


def ask_for_large(api: Api, *ids: str) -> socket.socket:
    """A connection of a client that has asked and reads nothing. What the system does not take, the api keeps."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(("127.0.0.1", api.port))
    head = f"GET {LARGE} HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: "
    connection.sendall("".join(f"{head}{of_one}\r\n\r\n" for of_one in ids).encode())
    return connection


def is_answered(api: Api, request_id: str) -> bool:
    return f" request_id={request_id}\n" in api.said()


def test_answers_that_are_left_unread_are_bounded_at_once(tmp_path: Path, sqlite: Store) -> None:
    sqlite.fill(LONG_PATHS)
    code = (
        "import api.http.connections as it, api.__main__\n"
        "it.MAX_UNSENT_BYTES, it.Connection.check_all = 1_000, lambda *_: None\n"
        "api.__main__.main()"
    )
    with running(tmp_path, sqlite.environment, (sys.executable, "-c", code)) as api:
        with closing(ask_for_large(api, "only")) as client, suppress(ConnectionError):
            assert len(read_all(client)) < 8_000_000
        assert api.get("/health").status_code == 200


def test_an_answer_that_many_clients_leave_unread_is_in_memory_once(large: Api) -> None:
    before = large.peak_memory()
    ids = [f"unread-{number}" for number in range(100)]
    with ExitStack() as stack:
        for of_one in ids:
            stack.enter_context(closing(ask_for_large(large, of_one)))
        wait_until(lambda: all(is_answered(large, of_one) for of_one in ids), "all are answered", large.said)
    assert large.peak_memory() - before < 200 << 20


def test_a_client_that_does_not_read_has_no_further_answer_made(large: Api) -> None:
    with closing(ask_for_large(large, "first", "second")) as client:
        wait_until(lambda: is_answered(large, "first"), "the first one is answered", large.said)
        large.client.get("/health", headers={"X-Request-ID": "later"})
        wait_until(lambda: is_answered(large, "later"), "another client is answered", large.said)
        assert not is_answered(large, "second")
        client.settimeout(WAIT_SECONDS)
        while not is_answered(large, "second"):
            assert client.recv(1 << 20)


def ask_without_reading(api: Api) -> None:
    """Ask on one connection until the api closes it, within half the time that it usually waits."""
    deadline = time.monotonic() + SEND_SECONDS / 2
    with closing(connect(api)) as connection, suppress(ConnectionError):
        while time.monotonic() < deadline:
            connection.sendall(b"GET /customers?limit=500 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.01)
    assert time.monotonic() < deadline


def test_requests_that_wait_for_others_are_bounded(api: Api) -> None:
    with closing(connect(api)) as connection, suppress(ConnectionError):
        connection.sendall((GET + b"\r\n") * 10_000)
        assert read_all(connection).count(b"HTTP/1.1 200 ") < 100
    with closing(connect(api)) as connection:
        connection.sendall((GET + b"\r\n") * 9 + GET + b"Connection: close\r\n\r\n")
        assert read_all(connection).count(b"HTTP/1.1 200 ") == 10


@pytest.mark.parametrize("open_files", [None, 128])
def test_idle_and_half_sent_connections_lock_nobody_out(tmp_path: Path, sqlite: Store, open_files: int | None) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2_000:
        pytest.skip(f"this user may open {hard} files")
    prlimit = shutil.which("prlimit")
    if open_files and prlimit is None:
        pytest.skip("prlimit is not installed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_000), hard))
    command = (str(prlimit), f"--nofile={open_files}:{open_files}", *MODULE) if open_files else MODULE
    with ExitStack() as stack:
        api = stack.enter_context(running(tmp_path, sqlite.environment, command))
        for number in range(900):
            connection = stack.enter_context(closing(connect(api)))
            if number % 3 == 0:
                connection.sendall(b"GET /customers HTTP/1.1\r\nHost: loc")
        for _ in range(20):
            with closing(connect(api)) as connection:
                connection.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert read_all(connection).startswith(b"HTTP/1.1 200 ")
        assert api.get("/customers").status_code == 200
        assert "Too many open files" not in api.said()
        assert "level=error" not in api.said()


def test_more_connections_than_there_may_be_close_the_oldest(tmp_path: Path, sqlite: Store) -> None:
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        pytest.skip("prlimit is not installed")
    with ExitStack() as stack:
        api = stack.enter_context(running(tmp_path, sqlite.environment, (prlimit, "--nofile=128:128", *MODULE)))
        listening = [stack.enter_context(closing(connect(api)))]
        listening[0].sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: b"event: " in listening[0].recv(65_536), "the first one is told")
        for _ in range(70):
            listening.append(stack.enter_context(closing(connect(api))))
            listening[-1].sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert listening[-1].recv(65_536).startswith(b"HTTP/1.1 200 ")
        with closing(connect(api)) as connection:
            connection.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert read_all(connection).startswith(b"HTTP/1.1 200 ")
        # Whoever came last still listens.
        wait_until(lambda: b"event: progress" in listening[-1].recv(65_536), "the last one is told")
        # Until it is closed.
        with suppress(ConnectionResetError):
            read_all(listening[0])


FILE = b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""One of 1.5 MB. Of ten the system does not take all."""


def test_clients_that_leave_files_unread_lock_nobody_out(tmp_path: Path, sqlite: Store) -> None:
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        pytest.skip("prlimit is not installed")
    with ExitStack() as stack:
        api = stack.enter_context(running(tmp_path, sqlite.environment, (prlimit, "--nofile=128:128", *MODULE)))
        for _ in range(60):
            connection = stack.enter_context(closing(socket.socket()))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.settimeout(WAIT_SECONDS)
            connection.connect(("127.0.0.1", api.port))
            connection.sendall(FILE * 10)
            # Those with the most unread bytes may be closed.
            with suppress(ConnectionError):
                connection.recv(1)
        for _ in range(20):
            with closing(connect(api)) as connection:
                connection.sendall(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert read_all(connection).startswith(b"HTTP/1.1 200 ")
        assert "level=error" not in api.said()


def test_clients_that_leave_files_unread_have_no_larger_answer_cut(tmp_path: Path, sqlite: Store) -> None:
    sqlite.fill(LONG_PATHS)
    code = "import api.http.connections as it, api.__main__; it.MAX_UNSENT_BYTES = 20 << 20; api.__main__.main()"
    with ExitStack() as stack:
        api = stack.enter_context(running(tmp_path, sqlite.environment, (sys.executable, "-c", code)))
        client = stack.enter_context(closing(ask_for_large(api, "slow")))
        client.settimeout(WAIT_SECONDS)
        received = len(client.recv(1))
        for _ in range(60):
            connection = stack.enter_context(closing(connect(api)))
            connection.sendall(FILE * 10)
            connection.recv(1)
        while received < 8_000_000:
            part = client.recv(1 << 20)
            assert part
            received += len(part)
